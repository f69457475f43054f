/** A server that runs: files that are read again, TLS, its end. */
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request as tlsRequest } from "node:https";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as tlsConnect } from "node:tls";
import { generate } from "selfsigned";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { addKey, revokeKey } from "../../keys/index.ts";
import { jsonPost } from "../../testing/json-post.ts";
import { heldModel, tinyServedModel } from "../../testing/served-model.ts";
import { type RunningServer, type ServeOptions, serve } from "../index.ts";

let folder: string;
let server: RunningServer | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-serve-"));
});
afterEach(async () => {
  await server?.close({ now: true });
  server = undefined;
  await rm(folder, { recursive: true });
});

const complete = (url: string, body: object = {}, headers: Record<string, string> = {}) =>
  fetch(`${url}/v1/completions`, jsonPost({ prompt: "Hello", max_tokens: 3, ...body }, headers));

describe("keys", () => {
  test("of a file are read again when it changes; one that is broken changes nothing, and all is in the audit", async () => {
    const keysFile = join(folder, "keys.json");
    const auditFile = join(folder, "audit.jsonl");
    const first = await addKey(keysFile, "first");
    let message = (_: string) => {};
    const said = () => new Promise<string>((resolve) => (message = resolve));
    server = await serve(tinyServedModel(), { port: 0, keysFile, auditFile, onReload: (text) => message(text) });
    const { url } = server;
    const status = async (key: string) => (await complete(url, {}, { authorization: `Bearer ${key}` })).status;
    expect(await status(first)).toBe(200);

    let reload = said();
    const second = await addKey(keysFile, "second");
    expect(await reload).toMatch(/^read again: .*keys\.json$/); // nobody asked for it
    expect([await status(first), await status(second)]).toEqual([200, 200]);

    reload = said();
    await writeFile(keysFile, "{ broken");
    await server.reload();
    expect(await reload).toMatch(/not read again, what was there before stays: .*keys\.json/);
    expect(await status(second)).toBe(200);

    await rm(keysFile);
    await addKey(keysFile, "third");
    await server.reload();
    expect([await status(first), await status(second)]).toEqual([401, 401]);
    await expect(revokeKey(keysFile, "first")).rejects.toThrow(/name one of third/);
    await server.close();
    const events = (await readFile(auditFile, "utf8"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const names = new Set(events.map(({ event }) => event));
    for (const name of [
      ...["model_loaded", "server_started", "key_first_used", "configuration_reloaded"],
      ...["configuration_refused", "authentication_refused", "server_stopped"],
    ])
      expect(names).toContain(name);
    expect(JSON.stringify(events)).not.toMatch(/sk-kindling/);
  });

  test("limits that change count what was used, and requests under way go on", async () => {
    const keysFile = join(folder, "keys.json");
    const key = await addKey(keysFile, "app", { concurrency: 2 });
    const held = heldModel(64, 4);
    server = await serve(held, { port: 0, keysFile, onReload: () => {} });
    held.generator.hold();
    const { url } = server;
    const ask = () => complete(url, {}, { "x-api-key": key });
    const underWay = [ask(), ask()];
    while (held.generator.prompts.length < 3) await new Promise((resolve) => setTimeout(resolve, 5));
    expect((await ask()).status).toBe(429);
    const json = JSON.parse(await readFile(keysFile, "utf8"));
    json.keys[0].limits = { concurrency: 3 };
    await writeFile(keysFile, JSON.stringify(json));
    await server.reload();
    underWay.push(ask());
    while (held.generator.prompts.length < 4) await new Promise((resolve) => setTimeout(resolve, 5));
    expect((await ask()).status).toBe(429);
    held.generator.release();
    for (const response of await Promise.all(underWay)) expect(response.status).toBe(200);
  });
});

/** The files of a new certificate for this machine. */
async function certificate(commonName: string): Promise<{ tlsCert: string; tlsKey: string }> {
  const { cert, private: key } = await generate([{ name: "commonName", value: commonName }], { keySize: 2048 });
  const [tlsCert, tlsKey] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  await Promise.all([writeFile(tlsCert, cert), writeFile(tlsKey, key)]);
  return { tlsCert, tlsKey };
}

/** The status of GET /health, and whose certificate the server has. */
function health(port: number): Promise<{ status: number; name: string }> {
  return new Promise((resolve, reject) => {
    const request = tlsRequest({ host: "127.0.0.1", port, path: "/health", rejectUnauthorized: false, agent: false });
    request.on("error", reject).end();
    request.on("response", (response) => {
      const socket = response.socket as ReturnType<typeof tlsConnect>;
      resolve({ status: response.statusCode as number, name: String(socket.getPeerCertificate().subject.CN) });
      response.resume();
    });
  });
}

describe("TLS", () => {
  test("serves by a certificate, and by another when it is told, while connections go on", async () => {
    const files = await certificate("first");
    const messages: string[] = [];
    server = await serve(tinyServedModel(), { port: 0, ...files, onReload: (text) => messages.push(text) });
    expect(server.url).toMatch(/^https:\/\/127\.0\.0\.1:/);
    expect(await health(server.port)).toEqual({ status: 200, name: "first" });
    await certificate("second");
    await server.reload();
    expect(await health(server.port)).toEqual({ status: 200, name: "second" });
    await writeFile(files.tlsKey, "broken");
    await server.reload();
    expect(messages.at(-1)).toMatch(/not read again, .*a certificate in PEM and its private key/);
    expect(await health(server.port)).toEqual({ status: 200, name: "second" });
  });

  test("of versions that are broken is refused, and what is no TLS ends the connection alone", async () => {
    server = await serve(tinyServedModel(), { port: 0, ...(await certificate("x")) });
    const { port } = server;
    const old = tlsConnect({
      port,
      host: "127.0.0.1",
      maxVersion: "TLSv1.1",
      minVersion: "TLSv1",
      rejectUnauthorized: false,
      ciphers: "ALL@SECLEVEL=0",
    });
    await expect(once(old, "secureConnect")).rejects.toThrow();
    for (const text of [
      "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n",
      "\u0000\u0001\u0002",
      "\u0016\u0003\u0001\u0002",
    ]) {
      const plain = connect(port, "127.0.0.1");
      plain.on("error", () => {});
      plain.end(text);
      plain.resume();
      await once(plain, "close");
    }
    expect((await health(port)).status).toBe(200);
  });

  test("with files that are missing, or one of the two alone, does not start", async () => {
    const files = await certificate("x");
    const model = tinyServedModel();
    const start = (options: ServeOptions) => serve(model, { port: 0, ...options });
    await expect(start({ tlsCert: files.tlsCert })).rejects.toThrow(/tlsCert and tlsKey; received tlsCert alone/);
    await expect(start({ ...files, tlsKey: join(folder, "none.pem") })).rejects.toThrow(
      /none\.pem: expected a PEM file/,
    );
    await expect(start({ ...files, tlsKey: files.tlsCert })).rejects.toThrow(
      /a certificate in PEM and its private key/,
    );
  });
});

describe("the end", () => {
  /** A server whose only answer waits. */
  async function busy(options: ServeOptions = {}) {
    const held = heldModel(64, 4);
    server = await serve(held, { port: 0, ...options });
    held.generator.hold(1);
    const stream = await complete(server.url, { stream: true });
    return { held, stream, server };
  }

  test("lets requests under way finish, refuses others, and tells who asks after its health", async () => {
    const { held, stream, server: running } = await busy();
    const closing = running.close();
    const state = await fetch(`${running.url}/health`);
    expect([state.status, await state.json()]).toEqual([503, { status: "draining" }]);
    expect(state.headers.get("connection")).toBe("close");
    const refused = await complete(running.url);
    expect(refused.headers.get("retry-after")).toBe("5");
    expect([refused.status, await refused.json()]).toMatchObject([503, { error: { code: "server_stopping" } }]);
    held.generator.release();
    expect(await stream.text()).toMatch(/"finish_reason":"length"[\s\S]*\[DONE\]/);
    await closing;
    await expect(fetch(`${running.url}/health`)).rejects.toThrow();
  });

  test("after the time for that comes with a farewell", async () => {
    const { stream, server: running } = await busy({ drainTimeoutMs: 30 });
    const closing = running.close();
    expect(await stream.text()).toMatch(/"code":"server_stopping"[^\n]*\n\ndata: \[DONE\]/);
    await closing;
  });

  test("comes at once when it is asked for again", async () => {
    const { stream, server: running } = await busy({ drainTimeoutMs: 600_000 });
    const closing = running.close();
    await fetch(`${running.url}/health`);
    const hurried = running.close({ now: true });
    expect(await stream.text()).toMatch(/"code":"server_stopping"/);
    await Promise.all([closing, hurried]);
  });

  test("does not wait for connections that ask nothing, nor for half a request", async () => {
    const { url, port, close } = await serve(tinyServedModel(), { port: 0, drainTimeoutMs: 600_000 });
    const silent = connect(port, "127.0.0.1");
    const half = connect(port, "127.0.0.1");
    const ended = [silent, half].map((socket) => once(socket.on("error", () => {}).resume(), "close"));
    half.write("POST /v1/completions HTTP/1.1\r\nhost: localhost\r\n");
    await (await fetch(`${url}/health`)).text(); // its connection is kept
    await Promise.all([close(), ...ended]);
  });
});

test("a signal ends a server whose first model is being loaded, and what it has opened", async () => {
  const auditFile = join(folder, "audit.jsonl");
  const ending = new AbortController();
  let isAsked = () => {};
  const asked = new Promise<void>((resolve) => (isAsked = resolve));
  const load = () => {
    isAsked();
    return new Promise<never>(() => {});
  };
  const entry = { id: "m", kind: "text-generation", bytes: 0, load } as const;
  const options = { port: 0, auditFile, dataFolder: join(folder, "data"), signal: ending.signal };
  const starting = serve(entry, options);
  await asked;
  ending.abort(new Error("stop"));
  await expect(starting).rejects.toThrow("stop");
  expect(JSON.parse(await readFile(auditFile, "utf8"))).toMatchObject({ event: "server_stopped" });
  server = await serve(tinyServedModel(), { ...options, signal: undefined }); // the folder is free
});
