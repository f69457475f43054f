/** Who may use the server: names it answers to, pages of others, kinds of bodies. */
import { describe, expect, test } from "vitest";
import { tinyServedModel } from "../testing/served-model.ts";
import { createApp } from "./index.ts";

const model = tinyServedModel();
const plain = createApp(model);
const open = createApp(model, { allowedHosts: ["box.example.org", ".lan"], corsOrigins: ["https://app.example.org"] });

const health = async (app: typeof plain, headers: Record<string, string>) =>
  (await app.request("/health", { headers })).status;
const complete = (app: typeof plain, headers: Record<string, string>) =>
  app.request("/v1/completions", { method: "POST", headers, body: JSON.stringify({ prompt: "x", max_tokens: 1 }) });

describe("names", () => {
  test.each([
    "localhost",
    "localhost:8080",
    "LOCALHOST",
    "app.localhost:80",
    "127.0.0.1:8080",
    "192.168.0.7",
    "[::1]:8080",
    "localhost.",
  ])("%s", async (host) => {
    expect(await health(plain, { host })).toBe(200);
  });

  test.each([
    "evil.example",
    "localhost.evil.example",
    "evil.example:8080",
    "127.0.0.1.evil.example",
    "127.0.0.1@evil.example",
    "",
    "a b",
  ])("not %j", async (host) => {
    expect(await health(plain, { host })).toBe(403);
  });

  test("those that are allowed", async () => {
    for (const host of ["box.example.org:8080", "lan", "printer.lan"])
      expect([host, await health(open, { host })]).toEqual([host, 200]);
    for (const host of ["example.org", "other.example.org", "printerlan"])
      expect([host, await health(open, { host })]).toEqual([host, 403]);
    expect(await health(createApp(model, { allowedHosts: ["*"] }), { host: "any.example" })).toBe(200);
  });

  test("the page too is for known names only, and the error says what to do", async () => {
    const response = await plain.request("/", { headers: { host: "rebound.example" } });
    expect(response.status).toBe(403);
    const { error } = (await response.json()) as { error: { message: string; code: string } };
    expect(error.message).toMatch(/"rebound\.example"; start the server with --allowed-hosts/);
    expect(error.code).toBe("host_not_allowed");
  });
});

test("options that could never match are refused", () => {
  for (const entry of ["box:8080", "http://box", "box/", ""])
    expect(() => createApp(model, { allowedHosts: [entry] })).toThrow(/a name without a port/);
  for (const entry of ["https://a.example/", "a.example", ""])
    expect(() => createApp(model, { corsOrigins: [entry] })).toThrow(/an origin, as/);
  for (const entry of ["127.0.0.1", "::", "0.0.0.0", "Box.LAN", ".lan"])
    expect(() => createApp(model, { allowedHosts: [entry] })).not.toThrow();
});

describe("pages of others", () => {
  const json = { "content-type": "application/json", host: "localhost:8080" };

  test("may not use the server, whatever they send", async () => {
    for (const origin of ["https://evil.example", "http://localhost:3000", "null", "http://127.0.0.1:8080"]) {
      expect([origin, (await complete(plain, { ...json, origin })).status]).toEqual([origin, 403]);
    }
    expect((await complete(plain, { ...json, origin: "http://localhost:8080" })).status).toBe(200);
    expect((await complete(plain, json)).status).toBe(200);
  });

  test("may where their origin is named, after asking", async () => {
    const origin = "https://app.example.org";
    const ask = {
      origin,
      host: "localhost:8080",
      "access-control-request-method": "POST",
      "access-control-request-headers": "content-type,authorization",
    };
    const preflight = await open.request("/v1/completions", { method: "OPTIONS", headers: ask });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-origin")).toBe(origin);
    expect(preflight.headers.get("access-control-allow-headers")).toMatch(/authorization/);
    const answer = await complete(open, { ...json, origin });
    expect([answer.status, answer.headers.get("access-control-allow-origin")]).toEqual([200, origin]);
    const error = await complete(open, { ...json, "content-type": "text/plain", origin });
    // so that the page can read it
    expect([error.status, error.headers.get("access-control-allow-origin")]).toEqual([415, origin]);
    expect(
      (
        await open.request("/v1/completions", {
          method: "OPTIONS",
          headers: { ...ask, origin: "https://evil.example" },
        })
      ).status,
    ).toBe(403);
  });
});

test("bodies are JSON by their type: a page needs no leave to send others", async () => {
  for (const type of [
    "text/plain",
    "text/plain; application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    undefined,
  ]) {
    expect((await complete(plain, type === undefined ? {} : { "content-type": type })).status).toBe(415);
  }
  for (const type of [
    "application/json",
    "application/json; charset=utf-8",
    "Application/JSON",
    "application/vnd.api+json",
  ]) {
    expect((await complete(plain, { "content-type": type })).status).toBe(200);
  }
});

test("the page may load nothing from elsewhere", async () => {
  const page = await plain.request("/");
  expect(page.headers.get("content-security-policy")).toMatch(/default-src 'none'; script-src 'self'/);
  for (const path of ["/page.css", "/page/main.mjs", "/favicon.svg", "/favicon.ico"])
    expect((await plain.request(path)).status).toBe(200);
  const hostile = createApp({ ...model, id: `</title><script>alert("x")</script>` });
  expect(await (await hostile.request("/")).text()).not.toContain("<script>alert");
});
