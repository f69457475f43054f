/** Answers that are given again. */
import { describe, expect, test } from "vitest";
import { hashOfKey } from "../keys/index.ts";
import { closedAfterEach } from "../testing/closing.ts";
import { chatUpstream } from "../testing/fake-upstream.ts";
import { type TestGatewayOptions, testGateway } from "../testing/gateways.ts";
import { ByteCache } from "./byte-cache.ts";
import type { ConfigInput } from "./index.ts";

const closing = closedAfterEach();
const keys = ["a", "b"].map((name) => ({
  name,
  hash: hashOfKey(`sk-${name}`),
  created: "2026-01-01T00:00:00Z",
  limits: {},
}));

async function gatewayOf(cache: ConfigInput["cache"], options: TestGatewayOptions = {}) {
  const upstream = await chatUpstream(["One", " two"]);
  const gateway = await testGateway(
    { upstreams: [{ name: "up", baseUrl: upstream.url, models: ["m"] }], cache },
    { keys, ...options },
  );
  closing.push(upstream, gateway);
  const ask = async (body: object, headers: Record<string, string> = {}) => {
    const response = await fetch(`${gateway.url}/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: "Bearer sk-a", ...headers },
      body: JSON.stringify({ model: "m", messages: [{ role: "user", content: "Hello" }], temperature: 0, ...body }),
    });
    return { result: response.headers.get("x-kindling-cache"), text: await response.text() };
  };
  return { ...gateway, upstream, ask };
}

describe("the exact cache", () => {
  test("gives the same answer to the same request, streamed too, and writes down that it cost nothing", async () => {
    const { ask, rows, upstream } = await gatewayOf({ exact: {} });
    const first = await ask({});
    expect([first.result, (await ask({ user: "x" })).result]).toEqual(["miss", "hit"]);
    const stream = await ask({ stream: true });
    const again = await ask({ stream: true });
    expect([stream.result, again.result, again.text]).toEqual(["miss", "hit", stream.text]);
    expect((await ask({ stream: true, stream_options: { include_usage: true } })).text).toContain('"total_tokens":14');
    expect(upstream.received.length).toBe(2);
    expect((await rows()).map(({ cache, cost, upstream: name }) => [cache, cost, name])).toEqual([
      [null, null, "up"],
      ["exact", 0, null],
      [null, null, "up"],
      ["exact", 0, null],
      ["exact", 0, null],
    ]);
  });

  test("looks at all that may change an answer, at the key, and at what the client wants", async () => {
    const { ask } = await gatewayOf({ exact: {} });
    await ask({});
    for (const body of [
      { max_tokens: 5 },
      { temperature: 0.5, seed: 1 },
      { messages: [{ role: "user", content: "Hello!" }] },
    ])
      expect((await ask(body)).result).toBe("miss");
    expect((await ask({}, { authorization: "Bearer sk-b" })).result).toBe("miss");
    expect((await ask({ temperature: 1 })).result).toBe(null);
    expect((await ask({ temperature: 1 }, { "x-kindling-cache": "use" })).result).toBe("miss");
    expect((await ask({}, { "cache-control": "no-cache" })).result).toBe("miss");
    expect((await ask({}, { "cache-control": "no-store" })).result).toBe(null);
    expect((await ask({})).result).toBe("hit");
  });
});

describe("the semantic cache", () => {
  const vectors: Record<string, number[]> = { Hello: [1, 0], Hallo: [0.99, 0.05], Bye: [0, 1] };
  const semantic = { upstream: "up", model: "e", threshold: 0.95 };
  const say = (content: string, system = "Be kind.") => ({
    temperature: 1,
    messages: [
      { role: "system", content: system },
      { role: "user", content },
    ],
  });

  test("gives an answer to what means the same, for the same key, model and system prompt", async () => {
    const { ask } = await gatewayOf({ semantic }, { embed: async (text) => vectors[text] ?? [] });
    expect((await ask(say("Hello"))).result).toBe("miss");
    expect((await ask(say("Hallo"))).result).toBe("semantic-hit");
    expect((await ask(say("Bye"))).result).toBe("miss");
    expect((await ask(say("Hallo", "Be rude."))).result).toBe("miss");
    expect((await ask(say("Hallo"), { authorization: "Bearer sk-b" })).result).toBe("miss");
    expect((await ask({ ...say("Hallo"), max_tokens: 3 })).result).toBe("miss");
  });

  test("a text without a vector goes to the upstream", async () => {
    const { ask, upstream } = await gatewayOf({ semantic }, { embed: () => Promise.reject(new Error("down")) });
    for (let i = 0; i < 2; i++) expect((await ask(say("Hello"))).text).toContain("One two");
    expect(upstream.received.length).toBe(2);
  });
});

test("a cache keeps within its bytes and its time", () => {
  let now = 0;
  const dropped: string[] = [];
  const cache = new ByteCache<number>({ maxBytes: 10, ttlMs: 100, now: () => now, onDrop: (key) => dropped.push(key) });
  cache.set("a", 1, 4);
  cache.set("b", 2, 4);
  expect(cache.get("a")).toBe(1);
  cache.set("c", 3, 4);
  expect([cache.get("a"), cache.get("b"), cache.get("c")]).toEqual([1, undefined, 3]);
  cache.set("huge", 4, 11);
  expect([cache.get("huge"), cache.get("a")]).toEqual([undefined, 1]);
  now = 100;
  expect([cache.get("a"), cache.get("c")]).toEqual([undefined, undefined]);
  expect(dropped).toEqual(["b", "a", "c"]);
});
