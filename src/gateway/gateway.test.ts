/** The gateway between the official client and servers of this machine. */

import { createAdaptorServer } from "@hono/node-server";
import type OpenAI from "openai";
import { describe, expect, test } from "vitest";
import { createApp } from "../serve/index.ts";
import { closedAfterEach } from "../testing/closing.ts";
import { chatAnswer, chatUpstream, type FakeUpstream, fakeUpstream, sendJson } from "../testing/fake-upstream.ts";
import { type TestGateway, type TestGatewayOptions, testGateway } from "../testing/gateways.ts";
import { tinyServedModel } from "../testing/served-model.ts";
import type { ConfigInput } from "./index.ts";

const closing = closedAfterEach();
const upstreamOf = async (start: Promise<FakeUpstream>) => {
  const upstream = await start;
  closing.push(upstream);
  return upstream;
};
const gatewayOf = async (input: ConfigInput, options?: TestGatewayOptions): Promise<TestGateway> => {
  const gateway = await testGateway(input, options);
  closing.push(gateway);
  return gateway;
};
const messages = [{ role: "user" as const, content: "Hello" }];
const WORDS = ["One", " two", " three"];

describe("passing on", () => {
  test("a chat: the upstream's name of the model, its key, its answer", async () => {
    const upstream = await upstreamOf(chatUpstream(WORDS));
    const { client, rows } = await gatewayOf(
      { upstreams: [{ name: "a", baseUrl: upstream.url, apiKey: `\${A_KEY}`, models: { public: "inner" } }] },
      { environment: { A_KEY: "sk-upstream" } },
    );
    const answer = await client.chat.completions.create({ model: "public", messages }).withResponse();
    expect(answer.data.choices[0].message.content).toBe("One two three");
    expect(answer.response.headers.get("x-kindling-upstream")).toBe("a");
    const [{ url, headers, body }] = upstream.received;
    expect([url, headers.authorization, body.model]).toEqual(["/v1/chat/completions", "Bearer sk-upstream", "inner"]);
    expect(await rows()).toMatchObject([
      {
        key: "anonymous",
        model: "public",
        upstream: "a",
        upstreamModel: "inner",
        status: 200,
        inputTokens: 10,
        cachedTokens: 6,
        outputTokens: 4,
        isEstimated: false,
        cost: null,
      },
    ]);
  });

  test("a stream: usage is counted, and shown to a client that asks for it alone", async () => {
    const upstream = await upstreamOf(chatUpstream(WORDS));
    const { client, rows } = await gatewayOf({ upstreams: [{ name: "a", baseUrl: upstream.url, models: ["m"] }] });
    const read = async (options: object) => {
      const stream = await client.chat.completions.create({ model: "m", messages, stream: true, ...options });
      const pieces: OpenAI.ChatCompletionChunk[] = [];
      for await (const piece of stream) pieces.push(piece);
      return pieces;
    };
    const plain = await read({});
    expect(plain.map(({ choices }) => choices[0]?.delta.content).join("")).toBe("One two three");
    expect(plain.some((piece) => "usage" in piece)).toBe(false);
    const counted = await read({ stream_options: { include_usage: true } });
    expect(counted.at(-1)?.usage?.total_tokens).toBe(14);
    for (const { body } of upstream.received) expect(body.stream_options).toEqual({ include_usage: true });
    expect((await rows()).map(({ outputTokens, isEstimated }) => [outputTokens, isEstimated])).toEqual([
      [4, false],
      [4, false],
    ]);
  });

  test("each event when it comes, and the upstream hears at once that the client has gone", async () => {
    const upstream = await upstreamOf(
      fakeUpstream((_, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write('data: {"choices":[{"index":0,"delta":{"content":"first"}}]}\n\n'); // and never another
      }),
    );
    const { client, rows } = await gatewayOf({ upstreams: [{ name: "a", baseUrl: upstream.url, models: ["m"] }] });
    const stream = await client.chat.completions.create({ model: "m", messages, stream: true });
    for await (const piece of stream) {
      expect(piece.choices[0].delta.content).toBe("first");
      break;
    }
    await upstream.received[0].cut;
    await expect.poll(rows).toMatchObject([{ status: 499, isEstimated: true, outputTokens: 1 }]);
  });

  test("a client that goes before its answer is charged for its prompt", async () => {
    const upstream = await upstreamOf(fakeUpstream(() => {}));
    const { client, rows } = await gatewayOf(
      { upstreams: [{ name: "a", baseUrl: upstream.url, models: ["m"] }] },
      { prices: { models: { m: { input: 1 } } } },
    );
    const leaving = new AbortController();
    const asked = client.chat.completions.create({ model: "m", messages }, { signal: leaving.signal });
    await expect.poll(() => upstream.received.length).toBe(1);
    leaving.abort();
    await expect(asked).rejects.toThrow();
    await upstream.received[0].cut;
    await expect.poll(rows).toMatchObject([{ status: 499, upstream: "a", isEstimated: true, cost: 4000 }]);
  });

  test("azure: the deployment is in the address, the key in its header", async () => {
    const upstream = await upstreamOf(chatUpstream(WORDS));
    const { client } = await gatewayOf(
      {
        upstreams: [
          {
            name: "az",
            kind: "azure",
            baseUrl: upstream.url.replace("/v1", ""),
            apiKey: `\${K}`,
            apiVersion: "2024-10-21",
            models: { m: "my deployment" },
          },
        ],
      },
      { environment: { K: "azure-key" } },
    );
    await client.chat.completions.create({ model: "m", messages });
    const [{ url, headers }] = upstream.received;
    expect(url).toBe("/openai/deployments/my%20deployment/chat/completions?api-version=2024-10-21");
    expect([headers["api-key"], headers.authorization]).toEqual(["azure-key", undefined]);
  });

  test("embeddings, responses with their named events, sounds", async () => {
    const events =
      'event: response.created\ndata: {"type":"response.created"}\n\nevent: response.completed\ndata: {"type":"response.completed","response":{"usage":{"input_tokens":5,"output_tokens":2}}}\n\n';
    const upstream = await upstreamOf(
      fakeUpstream(({ url }, response) => {
        if (url.endsWith("/embeddings"))
          return sendJson(response, { data: [{ embedding: [1, 2] }], usage: { prompt_tokens: 3 } });
        if (url.endsWith("/audio/speech"))
          return response.writeHead(200, { "content-type": "audio/mpeg" }).end(Buffer.from([1, 2, 3]));
        response.writeHead(200, { "content-type": "text/event-stream" });
        return response.end(events);
      }),
    );
    const { client, url, rows } = await gatewayOf({ upstreams: [{ name: "a", baseUrl: upstream.url, models: ["m"] }] });
    const { data } = await client.embeddings.create({ model: "m", input: "x", encoding_format: "float" });
    expect(data[0].embedding).toEqual([1, 2]);
    const post = (path: string, body: object) =>
      fetch(url + path, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: "m", ...body }),
      });
    expect(await (await post("/responses", { input: "x", stream: true })).text()).toBe(events);
    expect(new Uint8Array(await (await post("/audio/speech", { input: "x" })).arrayBuffer())).toEqual(
      new Uint8Array([1, 2, 3]),
    );
    await expect
      .poll(rows)
      .toMatchObject([{ inputTokens: 3 }, { inputTokens: 5, outputTokens: 2 }, { isEstimated: true }]);
  });

  test("Kindling's own server", async () => {
    const served = createAdaptorServer({ fetch: createApp(tinyServedModel()).fetch });
    await new Promise<void>((resolve) => served.listen(0, "127.0.0.1", resolve));
    closing.push({ close: () => served.close() });
    const { port } = served.address() as { port: number };
    const { client, rows } = await gatewayOf({
      upstreams: [{ name: "local", preset: "kindling", baseUrl: `http://127.0.0.1:${port}/v1`, models: { m: "tiny" } }],
    });
    const stream = await client.completions.create({ model: "m", prompt: "Once", max_tokens: 3, stream: true });
    let pieces = 0;
    for await (const piece of stream) pieces += piece.choices.length;
    expect(pieces).toBeGreaterThan(0);
    expect(await rows()).toMatchObject([{ inputTokens: 4, outputTokens: 3, isEstimated: false }]);
  });
});

test("models, health, metrics, and what is not there", async () => {
  const upstream = await upstreamOf(fakeUpstream((_, response) => sendJson(response, chatAnswer("x"))));
  const { client, url } = await gatewayOf({
    upstreams: [
      { name: "a", baseUrl: upstream.url, models: ["m", "n"] },
      { name: "b", baseUrl: upstream.url, models: { m: "other", "x/y": "z" } },
    ],
  });
  expect((await client.models.list()).data.map(({ id }) => id)).toEqual(["m", "n", "x/y"]);
  expect((await client.models.retrieve("x/y")).id).toBe("x/y");
  for (const [model, fix] of [
    ["x/z", "did you mean 'x/y'?"],
    ["gpt-none", "GET /v1/models lists those that are."],
  ])
    await expect(client.chat.completions.create({ model, messages })).rejects.toMatchObject({
      status: 404,
      code: "model_not_found",
      message: expect.stringContaining(`The model '${model}' is not served here; ${fix}`),
    });
  await client.chat.completions.create({ model: "n", messages });
  const root = url.replace("/v1", "");
  expect(await (await fetch(`${root}/health`)).json()).toEqual({ status: "ok" });
  const metrics = await (await fetch(`${root}/metrics`)).text();
  expect(metrics).toContain('kindling_gateway_attempts_total{upstream="a",upstream_model="n",outcome="success"} 1');
  expect(metrics).toContain('kindling_gateway_upstream_breaker{upstream="b"} 0');
  expect(metrics).toContain('kindling_gateway_model_breaker{upstream="b",upstream_model="other"} 0');
  for (const path of ["/v1/files", "/v1/chat/completions/../files", "/v1/fine_tuning/jobs"])
    expect((await fetch(root + path, { method: "POST" })).status).toBe(404);
});
