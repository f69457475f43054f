/** Keys of a server: who gets in, and how much each may use. */
import { describe, expect, test } from "vitest";
import { type ApiKey, hashOfKey, type KeyLimits } from "../../keys/index.ts";
import { jsonPost } from "../../testing/json-post.ts";
import { heldModel, tinyServedModel } from "../../testing/served-model.ts";
import { createApp } from "../index.ts";
import type { AuditEvent } from "./audit.ts";

const apiKey = (name: string, limits: KeyLimits = {}): ApiKey => ({
  name,
  hash: hashOfKey(`sk-${name}`),
  created: "2026-01-01T00:00:00.000Z",
  limits,
});
const model = tinyServedModel();

type App = ReturnType<typeof createApp>;
const complete = (app: App, headers: Record<string, string>, body: object = {}, path = "/v1/completions") =>
  app.request(path, jsonPost({ prompt: "Hello", max_tokens: 3, ...body }, headers));
const bearer = (name: string) => ({ authorization: `Bearer sk-${name}` });
const errorOf = async (response: Response) => ({
  status: response.status,
  ...((await response.json()) as { error: { code: string; message: string; type: string } }).error,
});

describe("with keys", () => {
  const app = createApp(model, { keys: [apiKey("app"), apiKey("other")], apiKey: "plain" });

  test.each<[string, Record<string, string>]>([
    ["a bearer's token", bearer("app")],
    ["a token in any case of Bearer", { authorization: "bearer sk-app" }],
    ["Anthropic's header", { "x-api-key": "sk-other" }],
    ["one of two that is right", { authorization: "Bearer none", "x-api-key": "sk-app" }],
    ["the server's only key", { authorization: "Bearer plain" }],
  ])("%s lets in", async (_, headers) => {
    expect((await complete(app, headers)).status).toBe(200);
    expect((await app.request("/v1/models", { headers })).status).toBe(200);
    expect((await app.request("/metrics", { headers })).status).toBe(200);
  });

  test.each<[string, Record<string, string>]>([
    ["nothing", {}],
    ["another key", bearer("nobody")],
    ["a key's hash", { authorization: `Bearer ${hashOfKey("sk-app")}` }],
    ["another scheme", { authorization: "Basic sk-app" }],
    ["two keys in one header", { authorization: "Bearer sk-app sk-app" }],
    ["an empty key", { "x-api-key": "" }],
  ])("%s lets nobody in", async (_, headers) => {
    for (const [path, method] of [
      ["/v1/completions", "POST"],
      ["/v1/models", "GET"],
      ["/metrics", "GET"],
      ["/api/tags", "GET"],
      ["/nothing", "GET"],
      ["/", "POST"],
      ["/tokenize", "POST"],
    ]) {
      const response = await app.request(path, { method, headers });
      expect([path, response.status]).toEqual([path, 401]);
      expect(response.headers.get("www-authenticate")).toBe("Bearer");
      expect(response.headers.get("x-request-id")).toMatch(/^req_[0-9a-f]{32}$/);
    }
  });

  test("a refusal has the form of each API, and names no key", async () => {
    expect(await (await complete(app, bearer("nobody"))).json()).toMatchObject({
      error: { message: "Incorrect API key provided.", type: "invalid_request_error", code: "invalid_api_key" },
    });
    expect(await (await complete(app, {}, {}, "/v1/messages")).json()).toMatchObject({
      type: "error",
      error: { type: "authentication_error", message: /asks for an API key/ },
    });
    expect(await (await complete(app, {}, {}, "/api/chat")).json()).toMatchObject({ error: /asks for an API key/ });
  });

  test("the page and the state are open, the numbers only where that is said", async () => {
    for (const path of ["/", "/health", "/favicon.svg"]) expect((await app.request(path)).status).toBe(200);
    const open = createApp(model, { apiKey: "plain", isMetricsOpen: true });
    expect((await open.request("/metrics")).status).toBe(200);
    expect((await open.request("/v1/models")).status).toBe(401);
  });
});

test("a file of no keys lets nobody in, and without keys everybody may", async () => {
  expect((await complete(createApp(model, { keys: [] }), {})).status).toBe(401);
  expect((await complete(createApp(model), {})).status).toBe(200);
});

test("a key that no header can hold is refused", () => {
  for (const key of ["", "a b", "ä", "a\n"]) expect(() => createApp(model, { apiKey: key })).toThrow(/printable ASCII/);
});

describe("limits", () => {
  test("of requests: 429 with the time to wait, and what is left in headers", async () => {
    const app = createApp(model, { keys: [apiKey("app", { requestsPerMinute: 2 }), apiKey("free")] });
    const first = await complete(app, bearer("app"));
    expect(first.headers.get("x-ratelimit-limit-requests")).toBe("2");
    expect(first.headers.get("x-ratelimit-remaining-requests")).toBe("1");
    await complete(app, bearer("app"), { stream: true });
    const refused = await complete(app, bearer("app"));
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(refused.headers.get("x-ratelimit-remaining-requests")).toBe("0");
    expect(await errorOf(refused)).toMatchObject({
      status: 429,
      code: "rate_limit_exceeded",
      type: "requests",
      message: expect.stringMatching(/"app" has reached its limit of 2 requests per minute/),
    });
    expect((await app.request("/v1/models", { headers: bearer("app") })).status).toBe(200);
    const free = await complete(app, bearer("free"));
    expect([free.status, free.headers.get("x-ratelimit-limit-requests")]).toEqual([200, null]);
  });

  test("of tokens, which streams are charged too", async () => {
    const app = createApp(model, { keys: [apiKey("app", { tokensPerDay: 16 })] });
    await (await complete(app, bearer("app"), { stream: true })).text();
    const second = await complete(app, bearer("app"));
    expect(second.headers.get("x-ratelimit-remaining-tokens")).toBe("8"); // it is charged when it has ended
    const refused = await complete(app, bearer("app"));
    expect(refused.headers.get("x-should-retry")).toBe("false");
    expect(await errorOf(refused)).toMatchObject({ status: 429, type: "tokens", message: /16 tokens per day/ });
  });

  test("of tokens, also where the client goes before the answer is whole", async () => {
    const held = heldModel();
    const app = createApp(held, { keys: [apiKey("app", { tokensPerDay: 6 })] });
    held.generator.hold(2);
    const leaving = new AbortController();
    const answer = app.request("/v1/completions", {
      method: "POST",
      headers: { "content-type": "application/json", ...bearer("app") },
      body: JSON.stringify({ prompt: "Hello", max_tokens: 30 }),
      signal: leaving.signal,
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    leaving.abort();
    expect((await answer).status).toBe(499);
    expect(await errorOf(await complete(app, bearer("app")))).toMatchObject({ status: 429, type: "tokens" });
  });

  test("of requests at the same time, until the stream has ended", async () => {
    const held = heldModel(64, 4);
    const app = createApp(held, { keys: [apiKey("app", { concurrency: 1 })] });
    held.generator.hold(1);
    const stream = await complete(app, bearer("app"), { stream: true });
    const refused = await complete(app, bearer("app"));
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "1"]);
    held.generator.release();
    await stream.text();
    expect((await complete(app, bearer("app"))).status).toBe(200);
  });

  test("of models", async () => {
    const app = createApp(model, { keys: [apiKey("app", { models: ["big"] }), apiKey("fit", { models: ["tiny"] })] });
    for (const body of [{}, { model: "tiny" }, { model: "tiny", stream: true }])
      expect(await errorOf(await complete(app, bearer("app"), body))).toMatchObject({
        status: 403,
        code: "model_not_allowed",
        message: expect.stringMatching(/"app" may not use the model 'tiny'; it may use big/),
      });
    expect((await complete(app, bearer("fit"), {})).status).toBe(200);
    const tags = await complete(app, bearer("fit"), { model: "tiny:latest", messages: [] }, "/api/chat");
    expect(tags.status).not.toBe(403);
    expect((await complete(app, bearer("app"), {}, "/tokenize")).status).toBe(403);
  });
});

test("a batch's requests are its owner's: without the key, with its limits, until it is revoked", async () => {
  const app = createApp(model, { keys: [apiKey("app", { tokensPerDay: 8, models: ["tiny"] })] });
  const ofBatch = (batchOwner: string) =>
    app.request("/v1/completions", jsonPost({ prompt: "Hello", max_tokens: 3 }), { batchOwner });
  expect((await ofBatch("app")).status).toBe(200);
  expect((await complete(app, bearer("app"))).status).toBe(429); // its tokens are charged
  expect((await ofBatch("revoked")).status).toBe(401);
});

test("a key may put its requests behind those of others, not before", async () => {
  const app = createApp(model, { keys: [apiKey("a")], apiKey: "plain" });
  expect(await errorOf(await complete(app, bearer("a"), { priority: -1 }))).toMatchObject({
    status: 403,
    code: "priority_not_allowed",
  });
  expect((await complete(app, bearer("a"), { priority: 1 })).status).toBe(200);
  expect((await complete(app, { authorization: "Bearer plain" }, { priority: -1 })).status).toBe(200);
});

test("requests of one key share the model as one", async () => {
  const held = heldModel(64, 4);
  const app = createApp(held, { keys: [apiKey("a"), apiKey("b")] });
  await Promise.all([complete(app, bearer("a")), complete(app, bearer("a"), { n: 2 }), complete(app, bearer("b"))]);
  const groups = held.generator.options.map(({ group }) => group);
  expect([groups.length, new Set(groups).size]).toEqual([4, 2]);
});

test("the audit has refusals and the first use of a key, and no key", async () => {
  const events: AuditEvent[] = [];
  const app = createApp(model, { keys: [apiKey("app")], audit: (event) => events.push(event) });
  await complete(app, bearer("app"));
  await complete(app, bearer("app"));
  await complete(app, bearer("secret"));
  await complete(app, {});
  expect(events).toEqual([
    { event: "key_first_used", key: "app" },
    { event: "authentication_refused", reason: "unknown key", path: "/v1/completions", address: undefined },
    { event: "authentication_refused", reason: "no key", path: "/v1/completions", address: undefined },
  ]);
  expect(JSON.stringify(events)).not.toContain("sk-");
});
