/** Upstreams that misbehave: what is tried again, what the client is told, and what nobody is told. */
import type { ServerResponse } from "node:http";
import { describe, expect, test } from "vitest";
import { closedAfterEach } from "../testing/closing.ts";
import {
  type Answering,
  chatAnswer,
  chatPiece,
  chatUpstream,
  errorBody,
  eventText,
  fakeUpstream,
  sendJson,
} from "../testing/fake-upstream.ts";
import { type TestGatewayOptions, testGateway } from "../testing/gateways.ts";
import type { ConfigInput } from "./index.ts";

const closing = closedAfterEach();
const messages = [{ role: "user" as const, content: "Hello" }];
const SECRET = "sk-very-secret-key";

/** A gateway whose first upstream misbehaves; with `second`, another is well. */
async function gatewayOver(
  answer: Answering,
  { second = false, ...more }: Partial<ConfigInput> & { second?: boolean } = {},
  options: TestGatewayOptions = {},
) {
  const bad = await fakeUpstream(answer);
  const good = await chatUpstream(["well"]);
  const upstream = { timeoutMs: 300, idleTimeoutMs: 200, models: ["m"], apiKey: `\${KEY}` };
  const gateway = await testGateway(
    {
      upstreams: [
        { ...upstream, name: "bad", baseUrl: bad.url },
        ...(second ? [{ ...upstream, name: "good", baseUrl: good.url, priority: 1 }] : []),
      ],
      ...more,
    },
    { environment: { KEY: SECRET }, ...options },
  );
  closing.push(bad, good, gateway);
  const ask = (stream = false) =>
    fetch(`${gateway.url}/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "m", messages, stream }),
    });
  return { ...gateway, bad, good, ask };
}
const errorOf = async (response: Response) => ({
  status: response.status,
  ...((await response.json()) as { error: { code: string; message: string; type: string } }).error,
});

const stream = { "content-type": "text/event-stream" };
const html = (response: ServerResponse) =>
  response.writeHead(200, { "content-type": "text/html" }).end("<p>sign in</p>");
const badAnswers: Record<string, { answer: Answering; status: number; code: string; isStreamed?: boolean }> = {
  "a 500 with a huge body": {
    answer: (_, r) => r.writeHead(500).end("x".repeat(5_000_000)),
    status: 502,
    code: "upstream_error",
  },
  "a 503": { answer: (_, r) => sendJson(r, errorBody("overloaded"), 503), status: 503, code: "upstream_error" },
  "no answer": { answer: () => {}, status: 504, code: "upstream_timeout" },
  "a cut connection": { answer: (_, r) => r.destroy(), status: 502, code: "upstream_cut" },
  "JSON that is none": {
    answer: (_, r) => r.writeHead(200, { "content-type": "application/json" }).end("{"),
    status: 502,
    code: "upstream_invalid_answer",
  },
  "JSON cut off": {
    answer: (_, r) => {
      r.writeHead(200, { "content-type": "application/json", "content-length": "100" });
      r.write("{", () => r.destroy());
    },
    status: 502,
    code: "upstream_cut",
  },
  "a page": { answer: (_, r) => html(r), status: 502, code: "upstream_invalid_answer" },
  "a redirect": {
    answer: (_, r) => r.writeHead(307, { location: "http://169.254.169.254/" }).end(),
    status: 502,
    code: "upstream_redirect",
  },
  "a refused key": {
    answer: (_, r) => sendJson(r, errorBody(`Incorrect API key provided: ${SECRET}`), 401),
    status: 502,
    code: "upstream_refused_key",
  },
  "no such model": {
    answer: (_, r) => sendJson(r, errorBody("no m here", "model_not_found"), 404),
    status: 404,
    code: "model_not_found",
  },
  "JSON for a stream": {
    answer: (_, r) => sendJson(r, chatAnswer("x")),
    status: 502,
    code: "upstream_invalid_answer",
    isStreamed: true,
  },
  "a stream that stalls before its first event": {
    answer: (_, r) => r.writeHead(200, stream).write(": wait\n\n"),
    status: 504,
    code: "upstream_stalled",
    isStreamed: true,
  },
  "a stream whose first event is an error": {
    answer: (_, r) => r.writeHead(200, stream).end(eventText(errorBody(`full of ${SECRET}`))),
    status: 502,
    code: "upstream_error",
    isStreamed: true,
  },
  "an empty stream": {
    answer: (_, r) => r.writeHead(200, stream).end(),
    status: 502,
    code: "upstream_invalid_answer",
    isStreamed: true,
  },
};

describe.each(Object.entries(badAnswers))("%s", (_, { answer, status, code, isStreamed = false }) => {
  test("is told in OpenAI's form, without the key", async () => {
    const lines: string[] = [];
    const { ask, rows } = await gatewayOver(answer, { retries: { attempts: 1 } }, { log: (line) => lines.push(line) });
    const error = await errorOf(await ask(isStreamed));
    expect(error).toMatchObject({ status, code });
    expect(JSON.stringify([error, lines, await rows()])).not.toContain("secret");
    expect(await rows()).toMatchObject([{ status, cost: 0, outputTokens: 0 }]);
  });

  test("goes to another upstream", async () => {
    const { ask, bad, good } = await gatewayOver(answer, { second: true });
    const response = await ask(isStreamed);
    expect([response.status, response.headers.get("x-kindling-upstream")]).toEqual([200, "good"]);
    expect(await response.text()).toContain("well");
    expect([bad.received.length, good.received.length]).toEqual([1, 1]);
  });
});

test("a request that is wrong is not tried again, and its error is the upstream's, without the key", async () => {
  const { ask, bad, good } = await gatewayOver(
    (_, r) =>
      sendJson(
        r,
        {
          error: {
            message: `temperature is ${SECRET}`,
            type: "invalid_request_error",
            param: "temperature",
            code: "invalid_value",
          },
        },
        400,
      ),
    { second: true },
  );
  expect(await errorOf(await ask())).toMatchObject({
    status: 400,
    code: "invalid_value",
    param: "temperature",
    message: "temperature is [secret]",
  });
  expect([bad.received.length, good.received.length]).toEqual([1, 0]);
});

test("a body that is not UTF-8 goes to nobody", async () => {
  const { url, bad } = await gatewayOver((_, r) => sendJson(r, chatAnswer("x")));
  for (const path of ["/chat/completions", "/embeddings", "/messages"]) {
    const response = await fetch(url + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: new Uint8Array(Buffer.from('{"model": "m", "input": "é"}', "latin1")),
    });
    expect(await errorOf(response)).toMatchObject({ status: 400, code: "invalid_encoding" });
  }
  expect(bad.received).toEqual([]);
});

test("one upstream is asked again, with Retry-After", async () => {
  let count = 0;
  const { ask, bad } = await gatewayOver((_, r) =>
    ++count < 3
      ? sendJson(r, errorBody("slow down"), 429, { "retry-after-ms": "5" })
      : sendJson(r, chatAnswer("at last")),
  );
  expect(await (await ask()).json()).toMatchObject({ choices: [{ message: { content: "at last" } }] });
  expect(bad.received.length).toBe(3);
});

test("a Retry-After that is too long reaches the client, and the upstream is left alone", async () => {
  const { ask, bad } = await gatewayOver((_, r) =>
    sendJson(r, errorBody("slow down", "rate_limit_exceeded"), 429, { "retry-after": "60" }),
  );
  const response = await ask();
  expect([response.status, response.headers.get("retry-after")]).toEqual([429, "60"]);
  expect(await errorOf(await ask())).toMatchObject({ status: 503, code: "upstream_unavailable" });
  expect(bad.received.length).toBe(1);
});

test("while one upstream rests, the other is tried again", async () => {
  let count = 0;
  const resting = await fakeUpstream((_, r) => sendJson(r, errorBody("slow"), 429, { "retry-after": "60" }));
  const shaky = await fakeUpstream((_, r) =>
    ++count < 2 ? r.writeHead(500).end() : sendJson(r, chatAnswer("at last")),
  );
  const gateway = await testGateway({
    upstreams: [
      { name: "resting", baseUrl: resting.url, models: ["m"] },
      { name: "shaky", baseUrl: shaky.url, models: ["m"], priority: 1 },
    ],
  });
  closing.push(resting, shaky, gateway);
  const answer = await gateway.client.chat.completions.create({ model: "m", messages });
  expect(answer.choices[0].message.content).toBe("at last");
  expect([resting.received.length, shaky.received.length]).toEqual([1, 2]);
});

test("a stream that is cut after it has begun ends with an error, and is not tried again", async () => {
  const { ask, client, good, rows } = await gatewayOver(
    (_, r) => r.writeHead(200, stream).write(eventText(chatPiece("half")), () => setImmediate(() => r.destroy())),
    { second: true },
  );
  const text = await (await ask(true)).text();
  expect(text).toContain("half");
  expect(text).toMatch(/"code":"upstream_cut"/);
  expect(text).not.toContain("[DONE]");
  const reading = async () => {
    for await (const _ of await client.chat.completions.create({ model: "m", messages, stream: true }));
  };
  await expect(reading()).rejects.toMatchObject({ code: "upstream_cut" });
  expect(good.received.length).toBe(0);
  expect(await rows()).toMatchObject([{ status: 502, isEstimated: true, outputTokens: 1 }, { status: 502 }]);
});

test("a stream that ends with neither a reason nor [DONE] is cut", async () => {
  const { ask } = await gatewayOver((_, r) => r.writeHead(200, stream).end(eventText(chatPiece("half"))));
  expect(await (await ask(true)).text()).toMatch(/upstream_cut/);
});

test("a stream that stalls in its middle ends with an error", async () => {
  const { ask } = await gatewayOver((_, r) => r.writeHead(200, stream).write(eventText(chatPiece("half"))));
  expect(await (await ask(true)).text()).toMatch(/half.*upstream_stalled/s);
});

test("after failures in a row an upstream is not asked for a while", async () => {
  const { ask, bad } = await gatewayOver((_, r) => r.writeHead(500).end(), {
    retries: { attempts: 1 },
    breaker: { failures: 2, openMs: 100_000 },
  });
  for (let i = 0; i < 2; i++) expect((await ask()).status).toBe(502);
  expect(await errorOf(await ask())).toMatchObject({ status: 503, code: "upstream_unavailable" });
  expect(bad.received.length).toBe(2);
});

test("a fallback model answers where all upstreams of the first fail, and where a context is too short", async () => {
  const { client, bad, good } = await gatewayOver((_, r) =>
    sendJson(r, errorBody("too long", "context_length_exceeded"), 400),
  );
  const other = await testGateway({
    upstreams: [
      { name: "short", baseUrl: bad.url, models: ["small"] },
      { name: "long", baseUrl: good.url, models: ["large"] },
    ],
    routing: { models: { small: { fallbacks: ["large"] } } },
  });
  closing.push(other);
  const answer = await other.client.chat.completions.create({ model: "small", messages });
  expect(answer.choices[0].message.content).toBe("well");
  await expect(client.chat.completions.create({ model: "m", messages })).rejects.toMatchObject({
    code: "context_length_exceeded",
  });
});

test("requests beyond an upstream's concurrency wait, and too many are refused", async () => {
  const waiting: (() => void)[] = [];
  const bad = await fakeUpstream((_, r) => void waiting.push(() => sendJson(r, chatAnswer("x"))));
  closing.push(bad);
  const config = { name: "one", baseUrl: bad.url, models: ["m"], maxConcurrency: 1 };
  const limited = await testGateway({ upstreams: [config], server: { maxQueue: 1 }, retries: { attempts: 1 } });
  closing.push(limited);
  const ask = () => limited.client.chat.completions.create({ model: "m", messages });
  const first = ask();
  await expect.poll(() => bad.received.length).toBe(1);
  const second = ask();
  await expect.poll(async () => (await ask().catch((error) => error)).code).toBe("upstream_busy");
  expect(bad.received.length).toBe(1);
  waiting.shift()?.();
  await first;
  await expect.poll(() => waiting.length).toBe(1);
  waiting.shift()?.();
  await second;
});
