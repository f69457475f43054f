/** Clients that send slowly, too much, nothing or nonsense, by sockets of their own. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { jsonPost } from "../../testing/json-post.ts";
import { heldModel, tinyServedModel } from "../../testing/served-model.ts";
import { type RunningServer, type ServedModel, type ServeOptions, serve } from "../index.ts";

let server: RunningServer;
/** One with the usual limits, for all tests that need no others. */
let usual: RunningServer;
let sockets: Socket[] = [];
beforeAll(async () => {
  usual = await serve(tinyServedModel(), { port: 0 });
});
beforeEach(() => {
  server = usual;
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets = [];
  if (server !== usual) await server.close({ now: true });
});
afterAll(() => usual.close({ now: true }));

const model = tinyServedModel();
async function start(options: ServeOptions, served: ServedModel = model): Promise<void> {
  server = await serve(served, { port: 0, ...options });
}

/** A connection, and what comes on it until it ends. */
async function open(): Promise<{ socket: Socket; received: Promise<string> }> {
  const socket = connect(server.port, "127.0.0.1");
  sockets.push(socket);
  await once(socket, "connect");
  let text = "";
  socket.on("data", (data) => (text += data)).on("error", () => {}); // it may be reset
  return { socket, received: new Promise((resolve) => socket.once("close", () => resolve(text))) };
}

async function answerTo(...pieces: (string | Uint8Array)[]): Promise<string> {
  const { socket, received } = await open();
  for (const piece of pieces) socket.write(piece);
  return received;
}

const head = (...lines: string[]) =>
  `${["POST /v1/completions HTTP/1.1", "host: localhost", "content-type: application/json", ...lines].join("\r\n")}\r\n\r\n`;
const isServing = async () => (await fetch(`${server.url}/health`)).status === 200;

describe("slow clients", () => {
  test("that say nothing, or not all of their headers, are closed", async () => {
    await start({ headersTimeoutMs: 100 });
    const silent = await open();
    const slow = await open();
    slow.socket.write("GET /health HTTP/1.1\r\nhost: localh");
    expect(await silent.received).toMatch(/^(HTTP\/1\.1 408 [\s\S]*)?$/);
    expect(await slow.received).toMatch(/^HTTP\/1\.1 408 /);
    expect(await isServing()).toBe(true);
  });

  test("that send a body byte by byte are closed, however long they go on", async () => {
    await start({ bodyTimeoutMs: 200 });
    const { socket, received } = await open();
    socket.write(head("content-length: 100000"));
    const drip = setInterval(() => socket.write(" "), 10);
    expect(await received).toMatch(/^HTTP\/1\.1 408 /);
    clearInterval(drip);
    expect(await isServing()).toBe(true);
  });

  test("that ask nothing more are closed", async () => {
    await start({ keepAliveTimeoutMs: 50 });
    const { socket, received } = await open();
    socket.write("GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n");
    expect(await received).toMatch(/^HTTP\/1\.1 200 /);
  });
});

test.each([
  ["cut off", "5\r\n{"],
  ["wrong", "zz\r\n{}\r\n"],
])("a body whose length is not said and that is %s is the client's fault", async (_, body) => {
  const lines: string[] = [];
  await start({ log: (line) => lines.push(line) });
  const { socket } = await open();
  socket.write(head("transfer-encoding: chunked"));
  await new Promise((resolve) => setTimeout(resolve, 20));
  socket.end(body);
  await expect.poll(() => lines).toEqual([expect.stringMatching(/ (499 \d+ ms client_gone|400 .*)$/)]);
});

describe("connections", () => {
  test("by the thousand that ask nothing keep nobody out", async () => {
    await start({ maxConnections: 64 });
    const idle = await Promise.all(Array.from({ length: 1000 }, open));
    for (const { socket } of idle.slice(0, 500)) socket.write("POST /v1/completions HTTP/1.1\r\nhost: x");
    expect(await isServing()).toBe(true);
    let closed = 0;
    await new Promise<void>((resolve) => {
      for (const { received } of idle) void received.then(() => ++closed === 936 && resolve());
    });
  });

  test("that are owed an answer are not closed for others", async () => {
    const held = heldModel(64, 2);
    await start({ maxConnections: 2 }, held);
    held.generator.hold(1);
    const ask = () => fetch(`${server.url}/v1/completions`, jsonPost({ prompt: "x", max_tokens: 3, stream: true }));
    const streams = [await ask(), await ask()];
    const { received } = await open();
    expect(await received).toBe(""); // there is no place
    held.generator.release();
    for (const stream of streams) expect(await stream.text()).toMatch(/\[DONE\]/);
    expect(await isServing()).toBe(true);
  });

  test("of which one half is closed end the request, and give its place back", async () => {
    const held = heldModel(64, 1);
    await start({}, held);
    held.generator.hold(0);
    const { socket, received } = await open();
    const body = JSON.stringify({ prompt: "x", max_tokens: 3 });
    socket.write(head(`content-length: ${body.length}`) + body);
    while (held.generator.options.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    const { signal } = held.generator.options[1];
    socket.end();
    await received;
    if (!signal?.aborted) await new Promise((resolve) => signal?.addEventListener("abort", resolve));
    held.generator.release();
    expect(await isServing()).toBe(true);
  });

  test("of which limits cannot be are refused", async () => {
    for (const name of ["maxConnections", "headersTimeoutMs", "bodyTimeoutMs", "keepAliveTimeoutMs"])
      await expect(serve(model, { port: 0, [name]: 0 })).rejects.toThrow(`${name} from 1 to 2147483647; received 0`);
    await expect(serve(model, { port: 0, drainTimeoutMs: -1 })).rejects.toThrow(/drainTimeoutMs from 0/);
  });
});

describe("bodies", () => {
  test("of 100 MB are refused by their length, before they are sent", async () => {
    expect(await answerTo(head("content-length: 104857600"))).toMatch(/^HTTP\/1\.1 413 [\s\S]*"request_too_large"/);
    expect(await isServing()).toBe(true);
  });

  test("without a length are refused when they pass the limit", async () => {
    const { socket, received } = await open();
    const chunk = `10000\r\n${" ".repeat(0x10000)}\r\n`;
    socket.write(head("transfer-encoding: chunked"));
    let written = 0;
    const feed = () => {
      while (!socket.destroyed && written < 1600) {
        written++;
        if (!socket.write(chunk)) return void socket.once("drain", feed);
      }
    };
    feed();
    expect(await received).toMatch(/^HTTP\/1\.1 413 /);
    expect(written).toBeLessThan(1600); // of 100 MB
  });

  test("that are packed are refused by name, however small", async () => {
    const packed = gzipSync(Buffer.alloc(1 << 24, " "));
    for (const encoding of ["gzip", "br", "deflate", "zstd", "x"]) {
      const answer = await answerTo(
        head(`content-encoding: ${encoding}`, `content-length: ${packed.length}`, "connection: close"),
        packed,
      );
      expect(answer).toMatch(/^HTTP\/1\.1 415 [\s\S]*unsupported_content_encoding/);
    }
  });
});

test.each<[string, string]>([
  ["no HTTP", "\u0016\u0003\u0001\u0000\r\n\r\n"],
  ["no host", "GET /health HTTP/1.1\r\nconnection: close\r\n\r\n"],
  ["two lengths", `${head("content-length: 1", "content-length: 2")}xx`],
  ["a length and chunks", head("content-length: 4", "transfer-encoding: chunked")],
  ["a length below nothing", head("content-length: -1")],
  ["headers of a megabyte", head(`x: ${"x".repeat(1 << 20)}`)],
  ["many headers", head(...Array.from({ length: 5000 }, (_, i) => `x${i}: y`))],
  ["a path that is none", "GET http://%00/ HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"],
  ["a path with no end of it", "GET /%ff%fe%zz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"],
  ["a path above the root", "GET /../../etc/passwd HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"],
  ["an unknown method", "BREW / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"],
])("%s is a 4xx, and the server goes on", async (_, text) => {
  expect(await answerTo(text)).toMatch(/^HTTP\/1\.1 4\d\d /);
  expect(await isServing()).toBe(true);
});
