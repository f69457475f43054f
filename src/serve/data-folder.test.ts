/** Who may read what clients have sent, and what was answered: nobody but the server. */
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI, { toFile } from "openai";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { tinyServedModel } from "../testing/served-model.ts";
import { type RunningServer, serve } from "./index.ts";

let place: string;
let server: RunningServer;
beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), "kindling-data-"));
  server = await serve(tinyServedModel(), { port: 0, dataFolder: join(place, "data") });
});
afterEach(async () => {
  await server.close();
  await rm(place, { recursive: true });
});

/** Rights of all that is below the folder of the data, itself included, by its place there. */
async function rights(): Promise<Record<string, string>> {
  const names = [
    "data",
    ...(await readdir(join(place, "data"), { recursive: true })).map((name) => join("data", name)),
  ];
  const modes = names.map(async (name) => {
    const info = await stat(join(place, name));
    return [name, `${info.isDirectory() ? "folder" : "file"} ${(info.mode & 0o777).toString(8)}`];
  });
  return Object.fromEntries(await Promise.all(modes));
}

test("files, batches and results are the owner's alone", async () => {
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
  const body = { prompt: "x", max_tokens: 1 };
  const lines = ["a", "b"].map((name) =>
    JSON.stringify({ custom_id: name, method: "POST", url: "/v1/completions", body: name === "a" ? body : {} }),
  );
  const file = await client.files.create({ file: await toFile(Buffer.from(lines.join("\n")), "in"), purpose: "batch" });
  const { id } = await client.batches.create({
    input_file_id: file.id,
    endpoint: "/v1/completions",
    completion_window: "24h",
  });
  const seen: Record<string, string> = {};
  const done = await vi.waitUntil(async () => {
    Object.assign(seen, await rights().catch(() => ({}))); // results are there until the batch is done
    const batch = await client.batches.retrieve(id);
    return batch.status === "completed" && batch;
  });
  Object.assign(seen, await rights());
  expect(Object.keys(seen)).toEqual(
    expect.arrayContaining([
      ...["data", "data/files", "data/batches", `data/batches/${id}`, `data/batches/${id}/batch.json`],
      ...[file.id, done.output_file_id, done.error_file_id].map((name) => `data/files/${name}.bin`),
    ]),
  );
  expect([...new Set(Object.values(seen))].sort()).toEqual(["file 600", "folder 700"]);
});
