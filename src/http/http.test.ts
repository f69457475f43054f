/** Requests over HTTP, to servers of this machine. */
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createPlainServer, type Server } from "node:net";
import { afterEach, expect, test } from "vitest";
import { httpTransport } from "./index.ts";

const closing: (() => unknown)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

async function listening(server: Server): Promise<number> {
  await once(server.listen(0, "127.0.0.1"), "listening");
  closing.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

function transportTo(url: string, options?: Parameters<typeof httpTransport>[1]) {
  const { transport, close } = httpTransport(new URL(url), options);
  closing.push(close);
  return (signal: AbortSignal) => transport({ method: "POST", path: "/x", headers: {}, body: "{}", signal });
}

test("headers, and a redirect that is not followed", async () => {
  const server = createServer((_, response) =>
    response.writeHead(302, { location: "/elsewhere", "retry-after": "3" }).end(),
  );
  const send = transportTo(`http://127.0.0.1:${await listening(server)}/v1`);
  const { status, headers, release } = await send(new AbortController().signal);
  release();
  expect([status, headers.location, headers["retry-after"]]).toEqual([302, "/elsewhere", "3"]);
});

test("an answer that is whole, but not read, may be given up: no error comes that nobody waits for", async () => {
  const server = createServer((_, response) => response.end("whole"));
  const send = transportTo(`http://127.0.0.1:${await listening(server)}`);
  for (let i = 0; i < 20; i++) {
    const leaving = new AbortController();
    const { body } = await send(leaving.signal);
    for await (const _ of body) break;
    leaving.abort(new Error("enough"));
  }
  const late = new AbortController();
  late.abort(new Error("too late"));
  await expect(send(late.signal)).rejects.toThrow("too late");
});

test("a server that has no time to connect is given up", async () => {
  const silent = createPlainServer((socket) => void closing.push(() => socket.destroy())); // never a word of TLS
  const send = transportTo(`https://127.0.0.1:${await listening(silent)}`, { connectTimeoutMs: 50 });
  await expect(send(new AbortController().signal)).rejects.toMatchObject({ code: "ETIMEDOUT" });
});
