/** The API of files, by OpenAI's official client. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI, { toFile } from "openai";
import { afterEach, beforeEach, expect, test } from "vitest";
import { tinyServedModel } from "../../testing/served-model.ts";
import { createApp, DataFolder, type RunningServer, serve } from "../index.ts";
import { FileStore } from "./store.ts";

const model = tinyServedModel();
let folder: string;
let server: RunningServer | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterEach(async () => {
  await server?.close();
  server = undefined;
  await rm(folder, { recursive: true, force: true });
  await rm(`${folder}.lock`, { recursive: true, force: true });
});

async function clientOf(): Promise<OpenAI> {
  server = await serve(model, { port: 0, dataFolder: folder });
  return new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
}
const upload = (client: OpenAI, content: string, name = "a.jsonl") =>
  toFile(Buffer.from(content), name).then((file) => client.files.create({ file, purpose: "batch" }));

test("files are uploaded, listed, read and deleted, also after a restart", async () => {
  let client = await clientOf();
  const first = await upload(client, "one");
  expect(first).toMatchObject({ object: "file", bytes: 3, filename: "a.jsonl", purpose: "batch", status: "processed" });
  const second = await upload(client, "two");
  await server?.close();
  client = await clientOf();
  expect((await client.files.list()).data.map(({ id }) => id)).toEqual([second.id, first.id]);
  const page = await client.files.list({ order: "asc", limit: 1 });
  expect([page.data.length, page.data[0].id, page.hasNextPage()]).toEqual([1, first.id, true]);
  expect((await page.getNextPage()).data[0].id).toBe(second.id);
  expect((await client.files.list({ purpose: "batch_output" })).data).toEqual([]);
  expect(await client.files.retrieve(first.id)).toEqual(first);
  const content = await client.files.content(first.id);
  expect([await content.text(), content.headers.get("content-disposition")]).toEqual(["one", "attachment"]);
  expect(await client.files.delete(first.id)).toEqual({ id: first.id, object: "file", deleted: true });
  await expect(client.files.retrieve(first.id)).rejects.toThrow(OpenAI.NotFoundError);
  expect(await readdir(join(folder, "files"))).toHaveLength(2);
});

test("names are shown, and are never paths", async () => {
  const client = await clientOf();
  const name = "../../../evil\n.jsonl";
  const form = new FormData();
  form.set("purpose", "batch");
  form.set("file", new File(["x"], name));
  const answer = await fetch(`${server?.url}/v1/files`, { method: "POST", body: form });
  const { id, filename } = (await answer.json()) as OpenAI.FileObject;
  expect(filename).toContain("evil");
  expect((await readdir(join(folder, "files"))).toSorted()).toEqual([`${id}.bin`, `${id}.json`]);
  await writeFile(join(folder, "secret.json"), "{}");
  for (const other of [
    "..%2Fsecret",
    "%2e%2e%2fsecret",
    "../secret",
    `${id}/../../secret`,
    "__proto__",
    "constructor",
  ]) {
    const refused = await fetch(`${server?.url}/v1/files/${other}`);
    expect([other, refused.status]).toEqual([other, 404]);
    expect((await fetch(`${server?.url}/v1/files/${other}/content`)).status).toBe(404);
  }
  await expect(client.files.content("../secret")).rejects.toThrow();
});

test("what cannot be kept is refused, and the field that is wrong is named", async () => {
  const client = await clientOf();
  const file = await toFile(Buffer.from("x"), "x");
  await expect(client.files.create({ file, purpose: "fine-tune" })).rejects.toThrow(/400 purpose: expected "batch"/);
  const stay = { anchor: "created_at" as const, seconds: 3600 };
  const leaving = await client.files.create({ file, purpose: "batch", expires_after: stay });
  expect(leaving.expires_at).toBe(leaving.created_at + 3600);
  await expect(client.files.create({ file, purpose: "batch", expires_after: { ...stay, seconds: 5 } })).rejects.toThrow(
    /expires_after\[seconds\]: expected a whole number from 3600/,
  );
  const text = await fetch(`${server?.url}/v1/files`, { method: "POST", body: "x" });
  expect(text.status).toBe(415);
  const large = await fetch(`${server?.url}/v1/files`, {
    method: "POST",
    headers: { "content-type": "multipart/form-data; boundary=x", "content-length": String(70 << 20) },
    body: new Uint8Array(70 << 20),
  });
  expect(large.status).toBe(413);
});

test("a server without a folder says what is missing", async () => {
  const app = createApp(model);
  for (const path of ["/v1/files", "/v1/files/x", "/v1/batches", "/v1/batches/x"]) {
    const answer = await app.request(path);
    expect(answer.status).toBe(501);
    expect(answer.headers.get("x-should-retry")).toBe("false");
    expect(await answer.json()).toMatchObject({ error: { code: "no_data_folder", message: /--data <folder>/ } });
  }
});

test("a second server on a folder is refused", async () => {
  await clientOf();
  await expect(serve(model, { port: 0, dataFolder: folder })).rejects.toThrow(
    /expected a folder that no other server uses; received this process, which keeps files and batches in it.*--data/,
  );
  await server?.close();
  server = undefined;
  await (await DataFolder.open(folder)).close();
});

test("there is room for so many files and bytes", async () => {
  const store = await FileStore.open(folder, { maxFiles: 2, maxBytes: 10 });
  const file = { owner: "", filename: "x", purpose: "batch" as const, expiresAt: null };
  const bytes = (count: number) => new Uint8Array(count);
  await expect(store.upload(file, bytes(11))).rejects.toMatchObject({ body: { error: { code: "storage_full" } } });
  const both = await Promise.allSettled([store.upload(file, bytes(6)), store.upload(file, bytes(6))]);
  expect(both.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
  await store.upload(file, bytes(1));
  await expect(store.upload(file, bytes(1))).rejects.toThrow(/at most 2 files and 10 bytes/);
});

test("files are apart by owner, go when their time is over, and a damaged record is named", async () => {
  const store = await FileStore.open(folder);
  const ann = { owner: "ann", filename: "x", purpose: "batch" as const, expiresAt: null };
  const { id } = await store.upload(ann, new Uint8Array(1));
  await expect(store.get("bob", id)).rejects.toThrow("No such File");
  expect(await store.list("bob")).toEqual([]);
  const old = await store.upload({ ...ann, expiresAt: Date.now() - 1 }, new Uint8Array(1));
  await expect(store.get("ann", old.id)).rejects.toThrow("No such File");
  await writeFile(join(folder, "file-0.bin"), "of a killed upload");
  await FileStore.open(folder);
  expect(await readdir(folder)).toHaveLength(2);
  const path = join(folder, `${id}.json`);
  await writeFile(path, (await readFile(path, "utf8")).replace('"batch"', '"other"'));
  await expect(FileStore.open(folder)).rejects.toThrow(/json: expected a record of this server; received purpose/);
});
