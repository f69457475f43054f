/** Lines of the log, ids of requests, and the audit's file. */
import { mkdtemp, readFile, rename, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { jsonPost } from "../../testing/json-post.ts";
import { scriptedModel, tinyServedModel } from "../../testing/served-model.ts";
import { createApp } from "../index.ts";
import { AuditLog } from "./audit.ts";
import { requestId } from "./request-id.ts";
import { printable } from "./request-log.ts";

const model = tinyServedModel();

type App = ReturnType<typeof createApp>;
const post = (app: App, path: string, body: object, headers: Record<string, string> = {}) =>
  app.request(path, jsonPost(body, headers));

describe("lines of JSON", () => {
  const lines: string[] = [];
  const last = () => JSON.parse(lines.at(-1) as string) as Record<string, unknown>;
  const app = createApp(model, { log: (line) => lines.push(line), logFormat: "json", apiKey: "secret" });
  const key = { authorization: "Bearer secret" };

  test("say who asked what of which model, and how it ended, and none of the text", async () => {
    const answer = await post(app, "/v1/completions", { prompt: "Hidden", max_tokens: 3, temperature: 0 }, key);
    const { choices } = (await answer.json()) as { choices: { text: string }[] };
    expect(last()).toEqual({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      level: "info",
      message: "POST /v1/completions 200",
      request_id: answer.headers.get("x-request-id"),
      key: "api-key",
      method: "POST",
      path: "/v1/completions",
      model: "tiny",
      status: 200,
      ms: expect.any(Number),
      ttft_ms: expect.any(Number),
      prompt_tokens: 6,
      completion_tokens: 3,
      finish_reason: "length",
    });
    expect(lines.at(-1)).not.toContain("Hidden");
    expect(lines.at(-1)).not.toContain(JSON.stringify(choices[0].text).slice(1, -1));
    expect(lines.at(-1)).not.toContain("secret");
  });

  test("come at the end of a stream", async () => {
    const before = lines.length;
    const stream = await post(
      app,
      "/v1/completions",
      { prompt: "Hidden", max_tokens: 3, temperature: 0, stream: true },
      key,
    );
    await stream.text();
    expect(lines).toHaveLength(before + 1);
    expect(last()).toMatchObject({ status: 200, completion_tokens: 3, finish_reason: "length" });
  });

  test("name the error, and no text of the request that was wrong", async () => {
    await post(app, "/v1/completions", { prompt: "Hidden", max_tokens: "Hidden" }, key);
    expect(last()).toMatchObject({ status: 400, error: "invalid_value" });
    await post(app, "/v1/completions", { prompt: "Hidden" });
    expect(last()).toMatchObject({ status: 401, error: "invalid_api_key" });
    await post(app, "/v1/completions", { prompt: "Hidden", max_tokens: 3, Hidden: 1 }, key);
    expect(lines.at(-1)).not.toContain("Hidden");
  });

  test("have prompts and answers where that is asked for, which text has no place for", async () => {
    const whole: string[] = [];
    const open = createApp(model, { log: (line) => whole.push(line), logFormat: "json", logPrompts: true });
    for (const stream of [false, true]) {
      const answer = await post(open, "/v1/completions", { prompt: "Shown", max_tokens: 3, temperature: 0, stream });
      const text = await answer.text();
      const line = JSON.parse(whole.at(-1) as string) as { request: { prompt: string }; answer: string };
      expect(line.request.prompt).toBe("Shown");
      expect(line.answer).toHaveLength(3);
      if (!stream) expect((JSON.parse(text) as { choices: { text: string }[] }).choices[0].text).toBe(line.answer);
    }
    expect(() => createApp(model, { log: () => {}, logPrompts: true })).toThrow(/logFormat "json" with logPrompts/);
    expect(() => createApp(model, { logFormat: "xml" as "json" })).toThrow(/"text" or "json"/);
  });
});

test("a fault of the server is told to its log, and the client learns where to look", async () => {
  const lines: string[] = [];
  const broken = scriptedModel("{{ messages[0].content }}");
  broken.generator.failure = new Error("the card\nis gone: /etc/secret");
  const app = createApp(broken, { log: (line) => lines.push(line), logFormat: "json" });
  const answer = await post(app, "/v1/chat/completions", { messages: [{ role: "user", content: "x" }] });
  const body = (await answer.json()) as { error: { message: string }; request_id: string };
  expect([answer.status, body.error.message]).toEqual([500, expect.not.stringContaining("card")]);
  const line = JSON.parse(lines[0]) as Record<string, string>;
  expect(line.request_id).toBe(body.request_id);
  expect([line.level, line.cause]).toEqual(["error", expect.stringMatching(/the card\nis gone/)]);
  expect(lines[0]).not.toContain("\n");
});

describe("a request's id", () => {
  test.each(["abc", "0af7651916cd43dd8448eb211c80319c", "a.b:c-d_e", "x".repeat(128)])("%s is kept", async (id) => {
    const response = await createApp(model).request("/health", { headers: { "x-request-id": id } });
    expect(response.headers.get("x-request-id")).toBe(id);
  });
  test.each(["", "a b", "a\tb", "ä", "x".repeat(129), '"}', "<script>", "%0a"])("%j is not", (id) => {
    expect(requestId(id)).toMatch(/^req_[0-9a-f]{32}$/);
  });
  test("is in errors, and has Anthropic's name there", async () => {
    const response = await post(createApp(model), "/v1/messages", {}, { "x-request-id": "mine" });
    expect(response.headers.get("request-id")).toBe("mine");
    expect(await response.json()).toMatchObject({ type: "error", request_id: "mine" });
  });
});

describe("what others write", () => {
  test("makes no line of its own, whatever it is", async () => {
    for (const logFormat of ["text", "json"] as const) {
      const lines: string[] = [];
      const app = createApp(model, { log: (line) => lines.push(line), logFormat });
      await app.request("/x%0a2026-01-01T00:00:00Z GET /forged 200%1b[2J%e2%80%ae%c2%9b");
      await app.request(`/${"y".repeat(5000)}`);
      await post(app, "/v1/completions", { model: "a\u001b[31m\u009b\u2028\u202eb", prompt: "x" });
      expect(lines).toHaveLength(3);
      for (const line of lines) {
        expect(line).toMatch(/^[\x20-\x7e…]*$/);
        expect(line.length).toBeLessThan(800);
      }
    }
  });

  test("is printable, and of JSON still the same", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(printable(text)).not.toMatch(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u);
        expect(JSON.parse(printable(JSON.stringify(text)))).toBe(text);
      }),
    );
  });
});

describe("the audit's file", () => {
  test("grows by a line for each event, for its owner alone, also after it was moved away", async () => {
    const folder = await mkdtemp(join(tmpdir(), "kindling-audit-"));
    const path = join(folder, "audit.jsonl");
    const audit = new AuditLog(path, () => Date.UTC(2026, 0, 1));
    audit.write({ event: "server_started", url: "http://127.0.0.1:1" });
    audit.write({ event: "model_loaded", model: "a\nb" });
    expect(await readFile(path, "utf8")).toBe(
      '{"time":"2026-01-01T00:00:00.000Z","event":"server_started","url":"http://127.0.0.1:1"}\n' +
        '{"time":"2026-01-01T00:00:00.000Z","event":"model_loaded","model":"a\\nb"}\n',
    );
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await rename(path, `${path}.1`);
    audit.write({ event: "server_stopped" });
    expect((await readFile(path, "utf8")).split("\n")).toHaveLength(2);
    await rm(folder, { recursive: true });
  });

  test("is not filled by wrong keys: of most there is a count", async () => {
    const folder = await mkdtemp(join(tmpdir(), "kindling-audit-"));
    const path = join(folder, "audit.jsonl");
    let now = 0;
    const audit = new AuditLog(path, () => now);
    const refuse = () =>
      audit.write({ event: "authentication_refused", reason: "unknown key", path: "/", address: "127.0.0.1" });
    for (let i = 0; i < 1000; i++) refuse();
    now = 60_000;
    refuse();
    const lines = (await readFile(path, "utf8")).trimEnd().split("\n");
    expect(lines).toHaveLength(62);
    expect(JSON.parse(lines[60])).toMatchObject({ event: "authentications_refused", count: 940 });
    await rm(folder, { recursive: true });
  });

  test("that cannot be written stops nothing", () => {
    const audit = new AuditLog("/nowhere/audit.jsonl");
    audit.write({ event: "server_stopped" });
    audit.write({ event: "server_stopped" });
  });
});
