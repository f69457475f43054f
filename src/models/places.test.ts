/** The same model by its folder, its address, and from files in memory. */
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Folder, memoryFile, memoryFolder, type StoredFile } from "../files/index.ts";
import { pipeline } from "../pipelines/index.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import { fromPretrained, saveGguf } from "./index.ts";

const golden = fileURLToPath(new URL("../../golden/", import.meta.url));
const contentOf = (folder: string) =>
  Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]));

let server: Server;
let root: string;
/** What the server has besides golden/. */
let extra: Buffer | undefined;
beforeAll(async () => {
  server = createServer(({ url = "/", headers, method }, response) => {
    const path = join(golden, decodeURIComponent(url));
    const isPage = url.endsWith("/spa/config.json");
    if (isPage) return response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html>");
    let bytes: Buffer;
    try {
      bytes = url.startsWith("/extra/") ? (extra as Buffer) : readFileSync(path);
    } catch {
      return response.writeHead(404).end();
    }
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? "") ?? [];
    const [begin, end] = [Number(from ?? 0), Math.min(bytes.length, to ? Number(to) + 1 : bytes.length)];
    const range = from === undefined ? {} : { "content-range": `bytes ${begin}-${end - 1}/${bytes.length}` };
    response.writeHead(from === undefined ? 200 : 206, { ...range, "content-length": end - begin });
    return response.end(method === "HEAD" ? undefined : bytes.subarray(begin, end));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  root = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
afterAll(() => server.close());

const places: [string, (name: string) => string | Folder][] = [
  ["an address", (name) => root + name],
  ["memory", (name) => memoryFolder(contentOf(golden + name))],
];

async function weightsOf(place: string | Folder | StoredFile): Promise<Record<string, unknown>> {
  const model = await fromPretrained(place);
  const state = [...model.namedState()].map(async ([name, weight]) => [name, await weight.read()] as const);
  return Object.fromEntries(await Promise.all(state));
}

describe.each(places)("from %s", (_, at) => {
  test.each(["decoders/qwen2", "models/convnext-image-classification", "pipelines/models/whisper"])(
    "%s has the weights of its folder",
    async (name) => expect(await weightsOf(at(name))).toEqual(await weightsOf(golden + name)),
  );

  test("a tokenizer and a pipeline do what they do from their folder", async () => {
    const name = "pipelines/models/bert-sequence-classification";
    const run = async (place: string | Folder) => {
      const tokenizer = await Tokenizer.open(place);
      const feelings = await pipeline("text-classification", place);
      return [await tokenizer.encode("a dark night"), await feelings.run("It was a dark and stormy night.")];
    };
    expect(await run(at(name))).toEqual(await run(golden + name));
  });
});

test("a GGUF file by its address, or in memory, has the weights of the file", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kindling-"));
  try {
    const path = join(folder, "model.gguf");
    await saveGguf(await fromPretrained(`${golden}decoders/qwen2`), path, { type: "f16", tokenizer: null });
    extra = readFileSync(path);
    const expected = await weightsOf(path);
    expect(await weightsOf(`${root}extra/model.gguf`)).toEqual(expected);
    expect(await weightsOf(memoryFile("model.gguf", extra))).toEqual(expected);
    const inBlocks = await fromPretrained(memoryFile("model.gguf", new Blob([extra])), { weights: "blocks" });
    expect(inBlocks.source).toHaveProperty("base", "model.gguf");
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("what is no model is said with its address", async () => {
  await expect(fromPretrained(`${root}images`)).rejects.toThrow(/images\/: expected one of model\.safetensors/);
  await expect(fromPretrained(`${root}spa`)).rejects.toThrow(/\/spa\//);
  await expect(fromPretrained(`${root}images/photo.jpg`)).rejects.toThrow(/photo\.jpg\/: expected one of model/);
  await expect(fromPretrained(memoryFolder({}))).rejects.toThrow(/files in memory: expected one of/);
});
