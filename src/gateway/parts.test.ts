/** Configuration, routing, breakers and the cutting of streams, each by itself. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { CircuitBreaker } from "./breaker.ts";
import { EventBlocks } from "./event-blocks.ts";
import { retryAfterMs } from "./failure.ts";
import { type ConfigInput, gatewayConfig, readGatewayConfig } from "./index.ts";
import { LatencyMean } from "./latency.ts";
import { type Candidate, ordered, prefixOf } from "./routing.ts";
import { laterUsage, usageOf } from "./usage.ts";

const upstream = { name: "a", preset: "openai", models: ["m"] } as const;
const KEY = `\${KEY}`;
const config = (input: object, environment = {}) => gatewayConfig(input as ConfigInput, { environment });

describe("configuration", () => {
  test.each<[string, object, RegExp]>([
    ["an unknown field", { upstreams: [upstream], routng: {} }, /"routng".*did you mean "routing"/],
    [
      "a field like none",
      { upstreams: [{ ...upstream, colour: 1 }] },
      /and \d others; .*docs\/gateway\.md lists the fields/,
    ],
    ["one inside", { upstreams: [{ ...upstream, wieght: 1 }] }, /upstreams\[0\].*"wieght".*did you mean "weight"/],
    [
      "one in a part with defaults",
      { upstreams: [upstream], retries: { attempt: 1 } },
      /retries.*did you mean "attempts"/,
    ],
    [
      "a value",
      { upstreams: [{ ...upstream, weight: "x" }] },
      /upstreams\[0\]\.weight: expected number; received a text/,
    ],
    ["no upstream", { upstreams: [] }, /upstreams/],
    ["a preset", { upstreams: [{ ...upstream, preset: "opnai" }] }, /preset: expected one of openai, .*"openai"\?/],
    ["a policy", { upstreams: [upstream], routing: { policy: "hidden" } }, /one of weighted, price, latency, prefix;/],
    ["a name twice", { upstreams: [upstream, upstream] }, /a twice/],
    ["a secret that stands there", { upstreams: [{ ...upstream, apiKey: "sk-hidden" }] }, /a reference to a secret/],
    [
      "a secret that is missing",
      { upstreams: [{ ...upstream, apiKey: KEY }] },
      /the environment variable KEY; received none/,
    ],
    ["a secret file", { upstreams: [{ ...upstream, apiKey: "file:none" }] }, /a secret in .*none; received ENOENT/],
    ["an address with a password", { upstreams: [{ ...upstream, baseUrl: "http://u:hidden@h/v1" }] }, /without|a user/],
    ["another scheme", { upstreams: [{ ...upstream, baseUrl: "file:///etc/passwd" }] }, /baseUrl/],
    [
      "azure without a version",
      { upstreams: [{ ...upstream, preset: "azure", baseUrl: "https://x.example" }] },
      /an apiVersion/,
    ],
    [
      "a fallback",
      { upstreams: [upstream], routing: { models: { m: { fallbacks: ["n"] } } } },
      /one of m; received "n"/,
    ],
    ["a budget without prices", { upstreams: [upstream], keys: { file: "k", budgets: { x: { day: 1 } } } }, /prices/],
    ["two stores", { upstreams: [upstream], store: { sqlite: "a", postgres: "b" } }, /store/],
    [
      "a password in the store",
      { upstreams: [upstream], store: { postgres: "postgres://u:hidden@h/d" } },
      /a reference to a secret/,
    ],
  ])("%s is refused", (_, input, message) => {
    expect(() => config(input)).toThrow(message);
    expect(() => config(input)).not.toThrow(/hidden/);
  });

  test("of a file, with secrets that nothing prints", async () => {
    const folder = await mkdtemp(join(tmpdir(), "kindling-"));
    try {
      await writeFile(join(folder, "key"), "sk-of-a-file\n");
      await writeFile(join(folder, "prices.yaml"), "models:\n  m: { input: 1, output: 2 }\n");
      const file = join(folder, "gateway.yaml");
      await writeFile(
        file,
        `prices: prices.yaml\nupstreams:\n  - { name: a, preset: qwen, apiKey: "file:key", headers: { x-a: "\${KEY}" }, models: { m: n } }\n`,
      );
      const read = await readGatewayConfig(file, { KEY: "sk-of-a-variable" });
      const [{ apiKey, headers, baseUrl }] = read.upstreams;
      expect([apiKey?.reveal(), String(headers.get("x-a")), baseUrl.hostname]).toEqual([
        "sk-of-a-file",
        "[secret]",
        "dashscope.aliyuncs.com",
      ]);
      expect(JSON.stringify(read) + inspect(read, { depth: 9 }) + String(apiKey)).not.toContain("sk-of");
      expect(read.prices?.find(["m"])).toMatchObject({ input: 1000 });
      await writeFile(file, "apiKey: [sk-hidden");
      await expect(readGatewayConfig(file)).rejects.toThrow(/expected YAML; received an error at line 1/);
      await expect(readGatewayConfig(file)).rejects.not.toThrow(/hidden/);
      await expect(readGatewayConfig(join(folder, "none.yaml"))).rejects.toThrow(/nothing there/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe("routing", () => {
  const candidate = (name: string, more: Partial<Candidate> = {}): Candidate => ({
    name,
    priority: 0,
    weight: 1,
    cost: undefined,
    latencyMs: undefined,
    ...more,
  });
  const names = (candidates: Candidate[], policy: Parameters<typeof ordered>[1]["policy"], more = {}) =>
    ordered(candidates, { policy, prefix: "", random: Math.random, ...more }).map(({ name }) => name);

  test("priorities come before any policy", () => {
    expect(names([candidate("b", { priority: 1, cost: 0 }), candidate("a", { cost: 9 })], "price")).toEqual(["a", "b"]);
  });

  test("the least price, and no price last; the least latency, and what was not measured first", () => {
    expect(names([candidate("a"), candidate("b", { cost: 2 }), candidate("c", { cost: 1 })], "price")).toEqual([
      "c",
      "b",
      "a",
    ]);
    const latencies = [candidate("a", { latencyMs: 9 }), candidate("b", { latencyMs: 5 }), candidate("c")];
    expect(names(latencies, "latency")).toEqual(["c", "b", "a"]);
  });

  test("weights are shares, and nothing is a last resort", () => {
    let state = 1;
    const random = () => {
      state = (state * 48271) % 2147483647;
      return state / 2147483647;
    };
    const candidates = [candidate("a", { weight: 3 }), candidate("b"), candidate("c", { weight: 0 })];
    const firsts = Array.from({ length: 4000 }, () => names(candidates, "weighted", { random }));
    const share = firsts.filter(([first]) => first === "a").length / 4000;
    expect(share).toBeGreaterThan(0.72);
    expect(share).toBeLessThan(0.78);
    expect(firsts.every(([, , last]) => last === "c")).toBe(true);
  });

  test("who has a prefix keeps it when another upstream goes", () => {
    const candidates = ["a", "b", "c", "d"].map((name) => candidate(name));
    const firsts = (list: Candidate[]) =>
      Array.from({ length: 400 }, (_, i) => names(list, "prefix", { prefix: `prefix ${i}` })[0]);
    const before = firsts(candidates);
    const after = firsts(candidates.slice(0, 3));
    for (const [i, name] of before.entries()) if (name !== "d") expect(after[i]).toBe(name);
    for (const name of ["a", "b", "c", "d"])
      expect(before.filter((first) => first === name).length).toBeGreaterThan(60);
    expect(prefixOf({ messages: [{ role: "user", content: "Hello" }] }, 8)).toBe('[{"role"');
  });

  test("a mean of latencies follows later ones, and is forgotten", () => {
    let now = 0;
    const mean = new LatencyMean(() => now);
    expect(mean.value).toBeUndefined();
    mean.add(100);
    mean.add(200);
    expect(mean.value).toBe(130);
    now = 60_001;
    expect(mean.value).toBeUndefined();
  });
});

test("a breaker opens after failures in a row, and lets one request try", () => {
  let now = 0;
  const breaker = new CircuitBreaker({ failures: 2, openMs: 100, now: () => now });
  breaker.fail();
  breaker.succeed();
  breaker.fail();
  expect(breaker.state).toBe("closed");
  breaker.fail();
  expect([breaker.state, breaker.enter()]).toEqual(["open", false]);
  now = 100;
  expect([breaker.state, breaker.enter(), breaker.enter()]).toEqual(["half-open", true, false]);
  breaker.leave();
  expect(breaker.enter()).toBe(true);
  breaker.fail();
  expect(breaker.state).toBe("open");
  now = 200;
  breaker.enter();
  breaker.succeed();
  expect(breaker.state).toBe("closed");
});

test("a breaker opens after answers in a row that were cut off, whatever else fails or begins", () => {
  let now = 0;
  const breaker = new CircuitBreaker({ failures: 2, openMs: 100, now: () => now });
  for (const end of ["cut", "succeed", "cut"] as const) {
    breaker.begin();
    breaker[end]();
  }
  breaker.fail();
  expect(breaker.state).toBe("closed");
  breaker.begin();
  breaker.cut();
  expect([breaker.state, breaker.opensAt]).toEqual(["open", 100]);
  now = 100;
  breaker.enter();
  breaker.begin();
  expect(breaker.state).toBe("closed"); // others need not wait for the end of the one that tries
  breaker.cut();
  expect(breaker.state).toBe("open");
});

test.each(["\n", "\r\n", "\r"])("a stream with line ends %j, cut anywhere, keeps each of its bytes", (end) => {
  const text = [": comment", "", "data: one", "", "event: x", "data: ä", "", "", "data: [DONE]", "", ""].join(end);
  const bytes = Buffer.from(text);
  for (let size = 1; size <= bytes.length; size++) {
    const blocks = new EventBlocks();
    const all = [];
    for (let at = 0; at < bytes.length; at += size) all.push(...blocks.push(bytes.subarray(at, at + size)));
    all.push(...blocks.end());
    expect(all.flatMap(({ data }) => data ?? [])).toEqual(["one", "ä", "[DONE]"]);
    expect(
      Buffer.concat(all.map((block) => block.bytes))
        .toString()
        .startsWith(text.slice(0, -2)),
    ).toBe(true);
  }
});

test("usage in all its forms", () => {
  const cached = { prompt_tokens: 5, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 3 } };
  expect(usageOf({ usage: cached })).toEqual({ input: 5, cached: 3, output: 2 });
  expect(usageOf({ usage: { prompt_tokens: 5, completion_tokens: 2, prompt_cache_hit_tokens: 4 } })?.cached).toBe(4);
  expect(usageOf({ response: { usage: { input_tokens: 5, output_tokens: 2 } } })).toEqual({
    input: 5,
    cached: 0,
    output: 2,
  });
  expect(usageOf({ choices: [{ usage: { prompt_tokens: 1, completion_tokens: 1, cached_tokens: 9 } }] })?.cached).toBe(
    1,
  );
  const start = usageOf({ message: { usage: { input_tokens: 5, cache_read_input_tokens: 20, output_tokens: 1 } } });
  expect(start).toEqual({ input: 25, cached: 20, output: 1 });
  expect(laterUsage(start, usageOf({ usage: { output_tokens: 9 } }))).toEqual({ input: 25, cached: 20, output: 9 });
  expect(laterUsage(undefined, undefined)).toBeUndefined();
  for (const none of [null, {}, { usage: null }, { usage: { prompt_tokens: "5" } }, [], "x"])
    expect(usageOf(none)).toBeUndefined();
});

test("Retry-After in seconds, as a date, in OpenAI's milliseconds", () => {
  const now = Date.UTC(2026, 10, 27);
  const of = (headers: Record<string, string>) => retryAfterMs(headers, now);
  expect(of({ "retry-after": "1.5" })).toBe(1500);
  expect(of({ "retry-after": new Date(now + 3000).toUTCString() })).toBe(3000);
  expect(of({ "retry-after": new Date(now - 3000).toUTCString() })).toBe(0);
  expect(of({ "retry-after": "60", "retry-after-ms": "7" })).toBe(7);
  for (const none of [{}, { "retry-after": "soon" }] as Record<string, string>[]) expect(of(none)).toBeUndefined();
});
