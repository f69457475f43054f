/** The API of batches, by OpenAI's official client. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI, { toFile } from "openai";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type ScriptedGenerator, scriptedModel } from "../../testing/served-model.ts";
import { type RunningServer, serve } from "../index.ts";

const model = scriptedModel("{% for m in messages %}{{ m.content }}{% endfor %}");
const generator: ScriptedGenerator = model.generator;
let folder: string;
let server: RunningServer;
let client: OpenAI;
async function start(): Promise<void> {
  server = await serve(model, { port: 0, dataFolder: folder, maxQueue: 0 });
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
}
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  await start();
});
afterAll(async () => {
  generator.release();
  await server.close();
  await rm(folder, { recursive: true });
});

const chat = "/v1/chat/completions" as const;
const messages = [{ role: "user", content: "Hi" }];
const line = (customId: string, body: object, more: object = {}) => ({
  custom_id: customId,
  method: "POST",
  url: chat,
  body,
  ...more,
});

async function begun(
  lines: readonly unknown[] | Buffer,
  endpoint: OpenAI.BatchCreateParams["endpoint"] = chat,
  more: object = {},
) {
  const lineOf = (each: unknown) => (typeof each === "string" ? each : JSON.stringify(each));
  const bytes = Buffer.isBuffer(lines) ? lines : Buffer.from(lines.map(lineOf).join("\n"));
  const file = await client.files.create({ file: await toFile(bytes, "in.jsonl"), purpose: "batch" });
  return client.batches.create({ input_file_id: file.id, endpoint, completion_window: "24h", ...more });
}
const patience = { timeout: 30_000, interval: 5 };
const doneStatuses = ["completed", "failed", "cancelled", "expired"];
const ended = ({ id }: OpenAI.Batch) =>
  vi.waitUntil(async () => {
    const batch = await client.batches.retrieve(id);
    return doneStatuses.includes(batch.status) && batch;
  }, patience);
interface Result {
  custom_id: string;
  response: {
    status_code: number;
    request_id: string;
    body: OpenAI.ChatCompletion & { request_id?: string; error?: { message: string; param: string } };
  };
  error: unknown;
}
async function results(id: string | undefined): Promise<Result[]> {
  const lines = (await (await client.files.content(id as string)).text()).trimEnd().split("\n");
  return lines.map((each) => JSON.parse(each) as Result).toSorted((a, b) => a.custom_id.localeCompare(b.custom_id));
}

test("requests are answered, and those that are wrong are errors of their own", async () => {
  generator.text = "Hello.";
  const batch = await begun(
    [
      line("a", { model: "scripted", messages }),
      line("b", { model: "scripted", messages, temperature: 9 }),
      "",
      line("c", { model: "other", messages }),
      line("d", { model: "scripted", messages, stream: true }),
      line("e", { model: "scripted", messages, max_tokens: 2, priority: 3 }),
    ],
    chat,
    { metadata: { for: "tests" } },
  );
  expect(batch).toMatchObject({
    object: "batch",
    endpoint: chat,
    completion_window: "24h",
    status: "validating",
    metadata: { for: "tests" },
    request_counts: { total: 0, completed: 0, failed: 0 },
  });
  const done = await ended(batch);
  expect(done).toMatchObject({ status: "completed", request_counts: { total: 5, completed: 2, failed: 3 } });
  expect(done.expires_at).toBe(done.created_at + 86_400);
  const [a, e] = await results(done.output_file_id);
  expect(a).toMatchObject({
    custom_id: "a",
    error: null,
    response: {
      status_code: 200,
      request_id: expect.stringMatching(/^req_/),
      body: { choices: [{ message: { content: "Hello." } }] },
    },
  });
  expect(e.response.body.choices[0]).toMatchObject({ message: { content: "He" }, finish_reason: "length" });
  expect(generator.options.at(-1)?.priority).toBe(-1_000_003);
  const errors = await results(done.error_file_id);
  expect(errors.map(({ custom_id: id, response }) => [id, response.status_code, response.body.error?.param])).toEqual([
    ["b", 400, "temperature"],
    ["c", 404, "model"],
    ["d", 400, "stream"],
  ]);
  const { request_id: id, body } = errors[0].response;
  expect(body.request_id).toBe(id); // by which it is in the log
  expect((await client.files.retrieve(done.output_file_id as string)).purpose).toBe("batch_output");
  expect(await readdir(join(folder, "batches", batch.id))).toEqual(["batch.json"]);
});

test("completions and responses are answered too; what this server has not is refused", async () => {
  generator.text = "Yes.";
  const completion = await begun(
    [line("a", { prompt: "Hi", max_tokens: 9 }, { url: "/v1/completions" })],
    "/v1/completions",
  );
  const response = await begun([line("a", { input: "Hi" }, { url: "/v1/responses" })], "/v1/responses");
  const [first] = await results((await ended(completion)).output_file_id);
  expect(first.response.body).toMatchObject({ choices: [{ text: "Yes." }] });
  const [second] = await results((await ended(response)).output_file_id);
  expect(second.response.body).toMatchObject({ status: "completed", output: [{ content: [{ text: "Yes." }] }] });
  await expect(begun([line("a", {})], "/v1/images/edits")).rejects.toThrow(/400 endpoint: expected one of/);
  const input = { endpoint: chat, completion_window: "24h" as const };
  await expect(client.batches.create({ ...input, input_file_id: "file-x" })).rejects.toThrow(/404 No such File/);
  const listed = await client.batches.list({ limit: 2 });
  expect(listed.data.map(({ id }) => id)).toEqual([response.id, completion.id]);
  await expect(client.batches.retrieve("batch_x")).rejects.toThrow(OpenAI.NotFoundError);
});

describe("a file that cannot be read as requests fails", () => {
  test.each<[string, readonly unknown[] | Buffer, object[]]>([
    ["no JSON", ["{"], [{ code: "invalid_json_line", line: 1, param: null }]],
    ["a list", ["[]"], [{ code: "invalid_json_line", line: 1 }]],
    ["too deep", [`{"a":${"[".repeat(500)}${"]".repeat(500)}}`], [{ code: "invalid_json_line", line: 1 }]],
    ["another encoding", Buffer.from('{"é": 1}', "latin1"), [{ code: "invalid_encoding", param: "input_file_id" }]],
    ["nothing", ["", ""], [{ code: "empty_file", line: null }]],
    ["one name twice", [line("a", {}), line("b", {}), line("a", {})], [{ code: "duplicate_custom_id", line: 3 }]],
    ["another url", [line("a", {}, { url: "/v1/completions" })], [{ code: "invalid_url", param: "url" }]],
    ["another method", [line("a", {}, { method: "GET" })], [{ code: "invalid_method", param: "method" }]],
    [
      "no name",
      [line("", {}), {}],
      [
        { param: "custom_id", line: 1 },
        { param: "custom_id", line: 2 },
      ],
    ],
    ["no body", [{ ...line("a", {}), body: [] }], [{ code: "missing_required_parameter", param: "body" }]],
  ])("%s", async (_, lines, errors) => {
    const before = generator.prompts.length;
    const failed = await ended(await begun(lines));
    expect(failed).toMatchObject({ status: "failed", errors: { object: "list", data: errors } });
    expect(failed.errors?.data).toHaveLength(errors.length);
    expect([failed.output_file_id, failed.error_file_id]).toEqual([undefined, undefined]);
    expect(generator.prompts).toHaveLength(before);
  });
});

describe("a batch that is under way", () => {
  const many = (count: number) =>
    Array.from({ length: count }, (_, i) => line(`n${i}`, { messages, max_tokens: 3000 }));

  test("leaves the server to others, and is cancelled with what it has", async () => {
    generator.text = "x".repeat(1500);
    const batch = await begun(many(40));
    await vi.waitUntil(
      async () => ((await client.batches.retrieve(batch.id)).request_counts?.completed ?? 0) > 0,
      patience,
    );
    const others = Array.from({ length: 4 }, () =>
      client.chat.completions.create({ model: "scripted", messages: [{ role: "user", content: "Hi" }] }),
    );
    await Promise.all(others); // all places of the queue, and none waits
    await expect(client.files.delete(batch.input_file_id)).rejects.toMatchObject({
      status: 409,
      code: "file_in_use",
      message: expect.stringContaining("is read by batch_"),
    });
    expect((await client.batches.cancel(batch.id)).status).toMatch(/^cancel/);
    const done = await ended(batch);
    const { completed = 0 } = done.request_counts ?? {};
    expect(done).toMatchObject({
      status: "cancelled",
      cancelling_at: expect.any(Number),
      request_counts: { failed: 0 },
    });
    expect(await results(done.output_file_id)).toHaveLength(completed);
    expect((await client.batches.cancel(batch.id)).status).toBe("cancelled");
  });

  test("goes on when the server is started again; one behind it need not wait to be cancelled", async () => {
    generator.text = "x".repeat(1500);
    const batch = await begun(many(30));
    const behind = await begun(many(3));
    await client.batches.cancel(behind.id);
    expect((await ended(behind)).output_file_id).toBeUndefined();
    await vi.waitUntil(
      async () => ((await client.batches.retrieve(batch.id)).request_counts?.completed ?? 0) > 3,
      patience,
    );
    await server.close();
    const before = generator.prompts.length;
    await start();
    const done = await ended(batch);
    expect(done).toMatchObject({ status: "completed", request_counts: { total: 30, completed: 30, failed: 0 } });
    expect(generator.prompts.length - before).toBeLessThan(30);
    const names = (await results(done.output_file_id)).map(({ custom_id: id }) => id);
    expect(new Set(names).size).toBe(30);
    expect(names).toHaveLength(30);
  });
});
