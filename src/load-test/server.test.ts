/** What is asked of a server before the test, and what it is sent. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Transport } from "../http/index.ts";
import { type FakeAnswer, FakeClock, FakeServer, json, type SentBody, tokens } from "../testing/load-server.ts";
import type { LoadReport, LoadTestOptions } from "./index.ts";
import { loadTestOver } from "./load-test.ts";
import { settingsOf } from "./options.ts";

const refused = (message: string, code = "invalid_value") => json({ error: { message, code } }, 400);
const always = () => tokens(1, 1, 1);

/** Runs a short test. @param models the answer to /v1/models @default the fake server's */
async function run(
  options: LoadTestOptions,
  answer: (body: SentBody) => FakeAnswer = always,
  models?: { status: number; body: string },
): Promise<{ report: LoadReport; received: FakeServer["received"] }> {
  const clock = new FakeClock();
  const server = new FakeServer(clock, answer);
  const transport: Transport = async (request) => {
    const reply = await server.transport(request);
    if (request.method === "POST" || !models) return reply;
    const body = (async function* () {
      yield new TextEncoder().encode(models.body);
    })();
    return { ...reply, status: models.status, body };
  };
  const settings = settingsOf({ requests: 2, concurrency: 1, vocabSize: 50, ...options });
  return { report: await clock.until(loadTestOver(settings, transport, clock)), received: server.received };
}
const listed = (...ids: string[]) => ({ status: 200, body: JSON.stringify({ data: ids.map((id) => ({ id })) }) });

describe("models", () => {
  test("the only one is taken; one of several has to be named, and one that is not there is an error", async () => {
    expect((await run({})).report.model).toBe("fake");
    expect((await run({ model: "b" }, always, listed("a", "b"))).report.model).toBe("b");
    await expect(run({}, always, listed("a", "b"))).rejects.toThrow(/expected one model, or its name; received a, b/);
    await expect(run({ model: "qwen" }, always, listed("qwen3", "llama"))).rejects.toThrow(
      /expected a model of qwen3, llama; received qwen\. Fix: did you mean qwen3\?/,
    );
  });

  test("a server without a list needs a name; what is no list is an error", async () => {
    const none = { status: 404, body: "" };
    expect((await run({ model: "x" }, always, none)).report.model).toBe("x");
    await expect(run({}, always, none)).rejects.toThrow(/Fix: name the model/);
    await expect(run({}, always, { status: 200, body: "<html>" })).rejects.toThrow(
      /expected a list of models as OpenAI's; received <html>/,
    );
    const locked = { status: 401, body: '{"error": {"message": "no key", "code": "invalid_api_key"}}' };
    await expect(run({}, always, locked)).rejects.toThrow(
      /expected the list of models; received 401 invalid_api_key no key\. Fix: give the key that the server expects: apiKey/,
    );
  });
});

test("what a server refuses at once is an error before the test, in its words", async () => {
  await expect(run({}, () => refused("the model is asleep"))).rejects.toThrow(
    /expected an answer to a first request; received 400 invalid_value the model is asleep/,
  );
  const tooLong = (body: SentBody) => ((body.prompt?.length ?? 0) > 1 ? refused("too long") : always());
  await expect(run({}, tooLong)).rejects.toThrow(/400 invalid_value too long/);
});

test("the key is sent, and in no report", async () => {
  const { report, received } = await run({ apiKey: "secret" });
  for (const { headers } of received) expect(headers.authorization).toBe("Bearer secret");
  expect(JSON.stringify(report)).not.toContain("secret");
});

test("a server that does not know how to count pieces is not asked to", async () => {
  const strict = ({ stream_options: options }: SentBody) =>
    options.continuous_usage_stats ? refused("Unknown parameter: 'stream_options.continuous_usage_stats'") : always();
  const { received } = await run({}, strict);
  expect(received.map(({ body }) => body.stream_options.continuous_usage_stats)).toEqual([
    true,
    ...Array(4).fill(undefined),
  ]);
});

describe("random prompts", () => {
  test.each([1, 2, 64, 65, 300, 50_257])(
    "the size of a vocabulary of %d is seen from the ids that are refused",
    async (size) => {
      const answer = ({ prompt }: SentBody) =>
        (prompt as number[]).every((id) => id < size) ? always() : refused("token id outside the vocabulary");
      const { report } = await run({ vocabSize: undefined }, answer);
      expect(report.load.vocabSize).toBe(size);
      expect(report.requests.successful).toBe(2);
    },
  );

  test("a server that takes any id has to be told", async () => {
    await expect(run({ vocabSize: undefined })).rejects.toThrow(/Fix: give the vocabSize/);
  });

  const options = { requests: 30, warmup: 2, inputTokens: [5, 9], outputTokens: [2, 4], sharedPrefix: 4 } as const;
  test("are the same with the same seed, whatever the server does, and begin as all do", async () => {
    const sent = async (seed: number, concurrency: number) =>
      (await run({ ...options, seed, concurrency })).received.slice(1).map(({ body }) => body);
    const bodies = await sent(1, 1);
    expect(await sent(1, 30)).toEqual(bodies);
    expect(await sent(2, 1)).not.toEqual(bodies);
    const prompts = bodies.map(({ prompt }) => prompt as number[]);
    const counted = prompts.slice(2);
    expect(new Set(counted.map((ids) => ids.length))).toEqual(new Set([9, 10, 11, 12, 13]));
    expect(new Set(bodies.map((body) => body.max_tokens))).toEqual(new Set([2, 3, 4]));
    expect(new Set(prompts.map((ids) => ids.slice(0, 4).join())).size).toBe(1);
    expect(new Set(prompts.map((ids) => ids.slice(4).join())).size).toBe(32);
    expect(Math.max(...prompts.flat())).toBeLessThan(50);
  });

  test("of a chat are words, as many as make the tokens", async () => {
    // a template of 7 tokens, and 2 for each word
    const count = ({ messages }: SentBody) => 7 + 2 * (messages?.[0].content.split(" ").length ?? 0);
    const { report, received } = await run(
      { endpoint: "chat", vocabSize: undefined, inputTokens: 107, sharedPrefix: 20 },
      (body) => tokens(1, 1, 1, count(body)),
    );
    expect(report.inputTokens).toBe(2 * 127);
    const texts = received.slice(3).map(({ body }) => body.messages?.[0].content.split(" ") ?? []);
    expect(texts[0].slice(0, 10)).toEqual(texts[1].slice(0, 10));
    expect(texts[0].slice(10)).not.toEqual(texts[1].slice(10));
    expect(received[0].path).toBe("/v1/chat/completions");
  });

  test("and answers that the context has no room for are refused", async () => {
    await expect(run({ inputTokens: 2000 })).rejects.toThrow(
      /of at most the 2048 of the model's context; received 2064/,
    );
    const small = { status: 200, body: '{"data": [{"id": "a", "max_model_len": 40}]}' };
    expect((await run({}, always, small)).report.load).toMatchObject({ inputTokens: [20, 20], outputTokens: [10, 10] });
  });
});

describe("a dataset", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "kindling-"));
  });
  afterAll(() => rm(folder, { recursive: true }));
  const dataset = { vocabSize: undefined, warmup: 0 } as const;

  async function file(...lines: readonly string[]): Promise<string> {
    const path = join(folder, `${Math.random()}.jsonl`);
    await writeFile(path, lines.join("\n"));
    return path;
  }

  // the clock stands still while a file is read, and so these are read before
  test("gives its prompts in their order, again and again", async () => {
    const { readDataset } = await import("./prompts.ts");
    const path = await file('{"prompt": "one", "output_tokens": 7}', "", '{"prompt": [1, 2]}');
    expect(await readDataset(path, "completions")).toEqual([{ prompt: "one", outputTokens: 7 }, { prompt: [1, 2] }]);
    const { RequestMaker } = await import("./prompts.ts");
    const server = {
      model: "m",
      contextLength: undefined,
      countsPieces: true,
      vocabSize: undefined,
      wordTokens: { fixed: 0, perWord: 1 },
    };
    const maker = new RequestMaker(
      settingsOf({ ...dataset, dataset: path }),
      server,
      await readDataset(path, "completions"),
    );
    const bodies = [0, 1, 2].map((i) => JSON.parse(maker.at(i).body) as SentBody);
    expect(bodies.map(({ prompt, max_tokens: most }) => [prompt, most])).toEqual([
      ["one", 7],
      [[1, 2], 64],
      ["one", 7],
    ]);
  });

  test.each<[string, "chat" | "completions", RegExp]>([
    ["{", "completions", /line 2: expected an object in JSON; received \{/],
    ["[]", "completions", /line 2: expected a "prompt": a text, or token ids for the endpoint completions/],
    ['{"prompt": [-1]}', "completions", /line 2/],
    ['{"prompt": [1]}', "chat", /line 2: expected a text "prompt", or "messages" for the endpoint chat/],
    ['{"messages": []}', "chat", /line 2/],
    ['{"prompt": "a", "output_tokens": 0}', "chat", /"output_tokens" to be a positive integer; received 0/],
  ])("with the line %s for %s is refused", async (line, endpoint, message) => {
    const { readDataset } = await import("./prompts.ts");
    await expect(readDataset(await file('{"prompt": "a"}', line), endpoint)).rejects.toThrow(message);
  });

  test("that is not there, or empty, is an error", async () => {
    const { readDataset } = await import("./prompts.ts");
    await expect(readDataset(join(folder, "none.jsonl"), "chat")).rejects.toThrow(/a JSON Lines file of prompts/);
    await expect(readDataset(await file("", ""), "chat")).rejects.toThrow(/expected at least one line/);
  });
});

test.each<[LoadTestOptions, RegExp]>([
  [{ rat: 1 } as LoadTestOptions, /did you mean "rate"\?/],
  [{ rate: 0 }, /expected rate above 0/],
  [{ requests: 0 }, /expected requests to be a positive integer/],
  [{ cancel: 2 }, /expected cancel from 0 to 1/],
  [{ inputTokens: [3, 2] }, /expected inputTokens: a number of tokens from 1/],
  [{ goodput: { ttft: 1 } as LoadTestOptions["goodput"] }, /did you mean "ttftMs"\?/],
  [{ goodput: { ttftMs: 0 } }, /expected ttftMs above 0/],
  [{ endpoint: "chats" as "chat" }, /expected endpoint chat or completions/],
  [{ burstiness: 2 }, /expected a rate with burstiness/],
  [{ duration: 5 }, /expected a rate or a concurrency with a duration/],
  [{ requests: Number.POSITIVE_INFINITY, rate: 1 }, /expected requests or a duration/],
  [{ dataset: "x.jsonl", sharedPrefix: 3 }, /expected no sharedPrefix with a dataset/],
  [{ endpoint: "chat", vocabSize: 3 }, /expected no vocabSize for a chat/],
  [{ url: "127.0.0.1:8080" }, /expected a url of http or https/],
  [{ url: "http://192.168.1.2:8080" }, /expected a url of this machine; received 192\.168\.1\.2:8080/],
  [{ url: "http://127.0.0.1.example.org" }, /expected a url of this machine/],
])("%j is refused", (options, message) => {
  expect(() => settingsOf(options)).toThrow(message);
});

test.each([
  ["http://localhost:8000/v1/", "http://localhost:8000/"],
  ["http://[::1]:9000", "http://[::1]:9000/"],
  ["http://127.1.2.3/prefix/v1", "http://127.1.2.3/prefix"],
])("the address %s is %s", (url, base) => {
  expect(settingsOf({ url }).base.href).toBe(base);
});

test("another machine is loaded when it is said so", () => {
  expect(settingsOf({ url: "https://example.org", allowRemote: true }).base.host).toBe("example.org");
});
