/** Load tests over the network: of servers that do strange things, and of Kindling's own. */
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { serve } from "../serve/index.ts";
import { endEvents, textEvent } from "../testing/load-server.ts";
import { heldModel, tinyServedModel } from "../testing/served-model.ts";
import { type LoadTestOptions, loadTest } from "./index.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

interface Strange {
  url: string;
  server: Server;
  /** Connections that there were. */
  connections: () => number;
}

async function strange(answer: RequestListener): Promise<Strange> {
  const server = createServer((request, response) => {
    if (request.method === "GET") response.end(JSON.stringify({ data: [{ id: "strange" }] }));
    else {
      request.resume(); // a body that is not read would hold the connection
      answer(request, response);
    }
  });
  let connections = 0;
  server.on("connection", () => connections++);
  await once(server.listen(0, "127.0.0.1"), "listening");
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server, connections: () => connections };
}

const few: LoadTestOptions = { requests: 6, concurrency: 1, inputTokens: 4, outputTokens: 3, vocabSize: 40, warmup: 0 };
const stream = { "content-type": "text/event-stream; charset=utf-8" };
const answer = textEvent("é", 1) + textEvent("b", 2) + endEvents(2, 4);

describe("the network", () => {
  test("connections are used again", async () => {
    const { url, connections } = await strange((_, response) => response.writeHead(200, stream).end(answer));
    const report = await loadTest({ ...few, url });
    expect(report.requests.successful).toBe(6);
    expect(connections()).toBeLessThan(4); // the next request may start before the end of a body is seen
  });

  test("a stream in pieces of one byte", async () => {
    const { url } = await strange(async (_, response) => {
      response.writeHead(200, stream);
      for (const byte of Buffer.from(answer)) {
        response.write(Buffer.from([byte]));
        await new Promise((resolve) => setImmediate(resolve));
      }
      response.end();
    });
    const report = await loadTest({ ...few, requests: 2, url });
    expect(report).toMatchObject({ outputTokens: 4, inputTokens: 8, requests: { successful: 2 }, errors: [] });
  });

  test("a connection that stays open after [DONE] holds nothing up", async () => {
    const { url } = await strange((_, response) => {
      response.writeHead(200, stream).write(answer);
    });
    expect((await loadTest({ ...few, requests: 2, url })).requests.successful).toBe(2);
  });

  test("connections that break, before the answer and within it", async () => {
    let count = 0;
    const { url } = await strange((_, response) => {
      count++;
      if (count === 3) response.destroy();
      else if (count === 5) response.writeHead(200, stream).write(textEvent("a"), () => response.destroy());
      else response.writeHead(200, { ...stream, connection: "close" }).end(answer);
    });
    const { requests, errors } = await loadTest({ ...few, url });
    expect(requests).toMatchObject({ successful: 4, failed: 2 });
    expect(errors).toEqual([{ status: undefined, code: "ECONNRESET", count: 2, message: expect.any(String) }]);
  });

  test("no server, or none any more", async () => {
    const { url, server } = await strange((_, response) => response.writeHead(200, stream).end(answer));
    server.close();
    server.closeAllConnections();
    await expect(loadTest({ ...few, url })).rejects.toThrow(/expected a server; received ECONNREFUSED/);
  });
});

describe("Kindling's server", () => {
  test.each<[string, LoadTestOptions]>([
    [
      "completions",
      { endpoint: "completions", inputTokens: [4, 12], outputTokens: 8, ignoreEos: true, temperature: 0 },
    ],
    ["chat", { endpoint: "chat", inputTokens: 30, outputTokens: 8, ignoreEos: true }],
  ])("%s", async (_, options) => {
    const model = tinyServedModel();
    const server = await serve(model, { port: 0 });
    closing.push(() => server.close());
    const report = await loadTest({ requests: 12, rate: 500, url: server.url, ...options });
    expect(report).toMatchObject({ model: "tiny", outputTokens: 96, errors: [] });
    expect(report.requests).toEqual({ successful: 12, failed: 0, cancelled: 0, unfinished: 0, unsent: 0 });
    expect(report.itlMs.count).toBeGreaterThan(0);
    expect(report.itlMs.count).toBeLessThanOrEqual(12 * 7);
    if (options.endpoint === "completions") expect(report.load.vocabSize).toBe(model.tokenizer.vocabSize);
    else expect(report.inputTokens / 12).toBeCloseTo(30, -1);
  });

  test("a full queue is an error of its own", async () => {
    const model = heldModel();
    const server = await serve(model, { port: 0, maxQueue: 1 });
    closing.push(() => server.close());
    let isHeld = false;
    const report = await loadTest({
      ...few,
      vocabSize: 90,
      warmup: 0,
      concurrency: undefined,
      url: server.url,
      onProgress: ({ failed }) => {
        if (!isHeld) model.generator.hold();
        isHeld = true;
        if (failed === 4) model.generator.release();
      },
    });
    expect(report.requests).toMatchObject({ successful: 2, failed: 4 });
    expect(report.errors).toMatchObject([{ status: 429, code: "rate_limit_exceeded", count: 4 }]);
  });

  test("answers that are given up end there too", async () => {
    const model = heldModel();
    const log: string[] = [];
    const server = await serve(model, { port: 0, log: (line) => log.push(line) });
    closing.push(() => server.close());
    let isHeld = false;
    const report = await loadTest({
      ...few,
      requests: 3,
      vocabSize: 90,
      outputTokens: 40,
      cancel: 1,
      url: server.url,
      onProgress: () => {
        if (!isHeld) model.generator.hold(39); // the last token waits for ever
        isHeld = true;
      },
    });
    expect(report.requests).toMatchObject({ cancelled: 3, successful: 0 });
    expect(report.ttftMs).toEqual({ count: 0 });
    await server.close();
    expect(log.slice(-3).every((line) => /client/.test(line))).toBe(true);
  });
});
