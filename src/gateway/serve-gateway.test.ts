/** A gateway that listens: its documents, its keys, its end. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parse } from "yaml";
import { addKey, revokeKey } from "../keys/index.ts";
import { chatPiece, chatUpstream, eventText, type FakeUpstream, fakeUpstream } from "../testing/fake-upstream.ts";
import { jsonPost } from "../testing/json-post.ts";
import { type ConfigInput, gatewayConfig, isDay, openStore, type RunningGateway, serveGateway } from "./index.ts";

let folder: string;
let upstream: FakeUpstream;
let gateway: RunningGateway | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  upstream = await chatUpstream(["well"]);
});
afterEach(async () => {
  await gateway?.close({ now: true });
  gateway = undefined;
  upstream.close();
  await rm(folder, { recursive: true });
});

const configOf = (more: Partial<ConfigInput> = {}) =>
  gatewayConfig({ upstreams: [{ name: "a", baseUrl: upstream.url, models: ["m"] }], ...more }, { folder });
const ask = (url: string, key = "none") =>
  fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
    body: JSON.stringify({ model: "m", messages: [{ role: "user", content: "Hello" }] }),
  });

test("keys are asked for, and known no more once they are revoked", async () => {
  const file = join(folder, "keys.json");
  const key = await addKey(file, "app");
  await addKey(file, "boss");
  const reloads: string[] = [];
  const config = configOf({ keys: { file: "keys.json", admins: ["boss"] }, store: { sqlite: "usage.db" } });
  gateway = await serveGateway(config, { port: 0, onReload: (message) => reloads.push(message) });
  const { url } = gateway;
  expect((await ask(url)).status).toBe(401);
  expect((await ask(url, key)).status).toBe(200);
  await revokeKey(file, "app");
  await expect.poll(() => reloads, { timeout: 10_000 }).toEqual([expect.stringMatching(/^read again/)]);
  expect((await ask(url, key)).status).toBe(401);
  await gateway.close();
  const store = await openStore(config.store);
  expect(await store.totals({ by: "key" })).toMatchObject([{ name: "app", requests: 1 }]);
  await store.close();
});

test("what is said of a key that is not there is refused, and a gateway without keys is for this machine alone", async () => {
  await addKey(join(folder, "keys.json"), "app");
  const config = configOf({ keys: { file: "keys.json", admins: ["ap"] } });
  await expect(serveGateway(config, { port: 0 })).rejects.toThrow(/"ap".*did you mean "app"/);
  await expect(serveGateway(configOf(), { port: 0, host: "0.0.0.0" })).rejects.toThrow(/host 0.0.0.0 without keys/);
});

test("the examples of the documents are configurations", async () => {
  const text = await readFile(new URL("../../docs/gateway.md", import.meta.url), "utf8");
  const [example, prices, caches] = [...text.matchAll(/```yaml\n(.*?)```/gs)].map(([, block]) => parse(block));
  const environment = { DASHSCOPE_API_KEY: "x", DEEPSEEK_API_KEY: "y" };
  const config = gatewayConfig({ ...example, ...caches }, { environment, prices });
  expect(config.upstreams.map(({ name, kind }) => [name, kind])).toEqual([
    ["qwen", "openai"],
    ["deepseek", "openai"],
    ["local", "kindling"],
  ]);
  expect(config.prices?.find(["qwen-plus"])?.input).toBeCloseTo(112, 9);
});

test("at its end it waits for answers, and tells those it does not wait for", async () => {
  const events = { "content-type": "text/event-stream" };
  const slow = await fakeUpstream(({ body }, response) => {
    response.writeHead(200, body.stream ? events : { "content-type": "application/json" });
    response.write(body.stream ? eventText(chatPiece("half")) : "{");
  });
  const lines: string[] = [];
  const config = gatewayConfig({ upstreams: [{ name: "a", baseUrl: slow.url, models: ["m"] }] }, { folder });
  gateway = await serveGateway(config, { port: 0, log: (line) => lines.push(line) });
  const { url } = gateway;
  const post = (stream: boolean) =>
    fetch(`${url}/v1/chat/completions`, jsonPost({ model: "m", messages: [{ role: "user", content: "Hi" }], stream }));
  const whole = post(false);
  const stream = await post(true);
  await expect.poll(() => slow.received.length).toBe(2);
  await gateway.close({ now: true });
  expect(await stream.text()).toMatch(/"content":"half".*\n\ndata: \{"error":.*"code":"server_stopping"/s);
  const answer = await whole;
  expect([answer.status, await answer.json()]).toMatchObject([503, { error: { code: "server_stopping" } }]);
  expect(lines.map((line) => line.split(" ").at(-1))).toEqual(["server_stopping", "server_stopping"]);
  slow.close();
});

test.each([
  ["2026-11-01", true],
  ["2024-02-29", true],
  ["2026-02-29", false],
  ["2026-13-01", false],
  ["26-11-01", false],
  ["nonsense", false],
])("%s is a day: %s", (text, is) => {
  expect(isDay(text)).toBe(is);
});
