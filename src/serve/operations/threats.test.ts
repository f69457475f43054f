/** Threats of docs/security.md that no other test holds, and that each row of its table names a test that there is. */
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { jsonPost } from "../../testing/json-post.ts";
import { tinyServedModel } from "../../testing/served-model.ts";
import { createApp } from "../index.ts";

const app = createApp(tinyServedModel({ contextLength: 48 }));

async function post(path: string, body: object) {
  const response = await app.request(path, jsonPost(body));
  const { error } = (await response.json()) as { error?: { code: string; message: string } };
  return { status: response.status, code: error?.code, message: error?.message };
}
const chat = (more: object) =>
  post("/v1/chat/completions", { messages: [{ role: "user", content: "x" }], max_tokens: 1, ...more });
const schema = (value: object) => ({
  response_format: { type: "json_schema", json_schema: { name: "x", schema: value } },
});

describe("forms that explode are refused by the name of a limit", () => {
  const exponential = "(a|b)*a(a|b){20}";
  const inside = (depth: number): object => (depth === 0 ? {} : { type: "array", items: inside(depth - 1) });
  test.each<[string, object, RegExp]>([
    ["a regular expression of many states", { structured_outputs: { regex: exponential } }, /\(limit work\)/],
    ["counted repetitions in one another", { structured_outputs: { regex: "((a{50}){50}){50}" } }, /\(limit \w+\)/],
    ["a pattern in a schema", schema({ type: "string", pattern: exponential }), /\(limit work\)/],
    ["deep schemas", schema(inside(210)), /\(limit jsonDepth\)/],
    ["references in a circle", schema({ $ref: "#" }), /references that lead to a value/],
    [
      "alternatives",
      schema({ anyOf: Array.from({ length: 300 }, (_, i) => ({ type: "object", properties: { [i]: {} } })) }),
      /limit/,
    ],
    ["a grammar's text", { grammar: `root ::= "${"a".repeat(600_000)}"` }, /\(limit sourceCharacters\)/],
  ])("%s", async (_, body, message) => {
    const path =
      "response_format" in body ? chat(body) : post("/v1/completions", { prompt: "x", max_tokens: 1, ...body });
    expect(await path).toMatchObject({ status: 400, message: expect.stringMatching(message) });
  });
});

test("a template is the model's: none comes with a request, and braces in messages are text", async () => {
  expect(await chat({ chat_template: "{{ 1 }}" })).toMatchObject({ status: 400, code: "unknown_parameter" });
  const generate = { model: "tiny", prompt: "x", template: "{{ .Prompt }}" };
  expect((await post("/api/generate", generate)).status).toBe(400);
  const length = async (content: string) => ((await (await tokens(content)).json()) as { count: number }).count;
  const tokens = (content: string) => app.request("/tokenize", jsonPost({ messages: [{ role: "user", content }] }));
  expect(await length("{{ 7*7 }}")).toBe((await length("")) + "{{ 7*7 }}".length);
});

test("the name of a model opens no file", async () => {
  for (const model of ["../../etc/passwd", "/etc/passwd", "https://evil.example/model", "tiny/../tiny", "\u0000"]) {
    expect(await chat({ model })).toMatchObject({ status: 404, code: "model_not_found" });
    expect((await app.request(`/v1/models/${encodeURIComponent(model)}`)).status).toBe(404);
  }
});

test("addresses in messages are fetched by nobody", async () => {
  const parts = [
    { type: "image_url", image_url: { url: "http://169.254.169.254/latest/meta-data" } },
    { type: "input_audio", input_audio: { data: "AAAA", format: "wav" } },
    { type: "file", file: { file_data: "file:///etc/passwd" } },
  ];
  for (const part of parts)
    expect(await chat({ messages: [{ role: "user", content: [part] }] })).toMatchObject({ status: 400 });
});

test("each row of the table in docs/security.md names tests that there are", () => {
  const page = readFileSync(new URL("../../../docs/security.md", import.meta.url), "utf8");
  const rows = page.split("\n").filter((line) => line.startsWith("| ") && !/^\| (threat|-)/.test(line));
  const threats = rows.filter((row) => row.split(" | ").length === 3);
  expect(threats.length).toBeGreaterThan(25);
  for (const row of threats) {
    const [threat, , tests] = row.slice(2).split(" | ");
    const named = [...tests.matchAll(/`([^`]+\.test\.ts)`: ((?:"[^"]+"(?:, )?)+)/g)];
    expect(named.length, threat).toBeGreaterThan(0);
    for (const [, path, names] of named) {
      const file = new URL(`../../../src/${path}`, import.meta.url);
      expect(existsSync(file), path).toBe(true);
      const text = readFileSync(file, "utf8");
      for (const [, name] of names.matchAll(/"([^"]+)"/g))
        expect(text.includes(`"${name}"`), `${path}: "${name}"`).toBe(true);
    }
  }
});
