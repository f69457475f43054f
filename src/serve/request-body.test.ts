/** Bytes that are no text: a model would be asked something else than was meant. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tinyServedModel } from "../testing/served-model.ts";
import { createApp, DataFolder } from "./index.ts";
import { groups } from "./openapi/operations.ts";

let folder: string;
let data: DataFolder;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-body-"));
  data = await DataFolder.open(folder);
});
afterAll(async () => {
  await data.close();
  await rm(folder, { recursive: true });
});

/** "é" as ISO 8859-1 has it, which is no UTF-8. */
const latin1 = (json: string) => Buffer.from(json, "latin1");
const paths = groups
  .flatMap(({ operations }) => operations)
  .filter(({ method, body, bodyType }) => method === "post" && body && !bodyType)
  .map(({ path }) => path);

test("what takes JSON is all here", () => {
  expect(paths.length).toBeGreaterThan(15);
  expect(paths).toEqual(expect.arrayContaining(["/v1/chat/completions", "/v1/messages", "/api/chat", "/v1/batches"]));
});

test.each(paths)("%s refuses what is not UTF-8", async (path) => {
  const app = createApp(tinyServedModel(), { data, moderate: async () => ({ model: "judge", results: [] }) });
  const post = (body: Uint8Array<ArrayBuffer>) =>
    app.request(path, { method: "POST", headers: { "content-type": "application/json" }, body });
  const refused = await post(new Uint8Array(latin1('{"model": "é"}')));
  expect([refused.status, await refused.text()]).toEqual([
    400,
    expect.stringContaining("body: expected JSON in UTF-8; received bytes in another encoding"),
  ]);
  expect(await (await post(new TextEncoder().encode('{"é": 1}'))).text()).not.toContain("UTF-8");
});

test("the error has a code, and a byte order mark is none", async () => {
  const app = createApp(tinyServedModel());
  const complete = async (body: string | Uint8Array<ArrayBuffer>) => {
    const response = await app.request("/v1/completions", {
      method: "POST",
      headers: { "content-type": "application/json; charset=utf-8" },
      body,
    });
    return { status: response.status, json: (await response.json()) as { error?: object } };
  };
  const { json } = await complete(new Uint8Array([...latin1('{"prompt": "caf'), 0xe9, 0x22, 0x7d]));
  expect(json.error).toMatchObject({ param: null, code: "invalid_encoding", type: "invalid_request_error" });
  expect((await complete('\ufeff{"prompt": "caf", "max_tokens": 1}')).status).toBe(200);
});
