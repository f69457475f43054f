/**
 * Files that state more than they hold: each is refused by the limit that it is beyond, before what it asks for is
 * made.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DataError, limits, parseJson, parseJsonBytes, withinLimit } from "../base/index.ts";
import { parseGgufHeader, parseHeader, readJson, readJsonList, readTorch } from "./index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));
const stored = async (name: string, content: string | Uint8Array): Promise<string> => {
  await writeFile(join(folder, name), content);
  return join(folder, name);
};
const bytesOf = (text: string) => new TextEncoder().encode(text);

describe("JSON", () => {
  const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
  test("as deep as the limit, and no deeper", () => {
    expect(JSON.stringify(parseJson(nested(limits.jsonDepth), "x"))).toBe(nested(limits.jsonDepth));
    for (const text of [nested(limits.jsonDepth + 1), "[".repeat(1e6), '{"a":'.repeat(1e5)])
      expect(() => parseJson(text, "x")).toThrow(/limit jsonDepth/);
  });
  test("brackets and commas inside strings do not count", () => {
    const text = JSON.stringify({ a: "[".repeat(1000), 'b"\\': '\\"[[['.repeat(500), c: "\\".repeat(999) });
    expect(parseJson(text, "x")).toEqual(JSON.parse(text));
  });
  test("no more lists or values than a limit", () => {
    expect(() => parseJson(`[${"[],".repeat(limits.jsonContainers)}[]]`, "x")).toThrow(/limit jsonContainers/);
    expect(() => parseJson(`[${"0,".repeat(limits.jsonValues + 1)}0]`, "x")).toThrow(/limit jsonValues/);
  });
  test("what is no JSON is an error with its place, the text and its cause", () => {
    expect(() => parseJson('{"a": ', "a.json", { expected: "a config" })).toThrow(
      /^a\.json: expected a config; received .*Fix: /,
    );
    expect(() => parseJson('"open', "a.json")).toThrow(DataError);
    expect(() => parseJsonBytes(Uint8Array.of(0x22, 0xff, 0x22), "a.json")).toThrow(
      /JSON in UTF-8; received other bytes/,
    );
  });
  test("in files", async () => {
    await expect(readJson(await stored("deep.json", nested(100_000)))).rejects.toThrow(
      /deep\.json: expected at most 200 .*limit jsonDepth/,
    );
    await expect(readJsonList(await stored("list.json", "{}"))).rejects.toThrow(/a JSON list/);
    await expect(readJson(await stored("null.json", "null"))).rejects.toThrow(/a JSON object/);
  });
});

test("a number at its limit is fine", () => {
  expect(withinLimit("modelLayers", limits.modelLayers, "x", "layers")).toBe(limits.modelLayers);
  expect(() => withinLimit("modelLayers", limits.modelLayers + 1, "x", "layers")).toThrow(
    "x: expected at most 2048 layers (limit modelLayers); received 2049.",
  );
});

describe("safetensors", () => {
  const header = (text: string) => () => parseHeader("x", bytesOf(text), 8 + text.length);
  test("a header of brackets", () => expect(header("[".repeat(1e6))).toThrow(/limit jsonDepth/));
  test.each(["1", "null", '"text"', "[]", '{"a": 1}', '{"a": {"b": "c"}}', '{"a": null}'])(
    "__metadata__ of %s",
    (metadata) => expect(header(`{"__metadata__": ${metadata}}`)).toThrow(/__metadata__ to have texts alone/),
  );
  test("__metadata__ of texts", () =>
    expect(header('{"__metadata__": {"format": "pt"}}')().metadata).toEqual({ format: "pt" }));
});

test("lists of bools in a GGUF file are bounded", () => {
  const bools = new Uint8Array(24 + 8 + 1 + 4 + 4 + 8 + limits.ggufValues + 1);
  const view = new DataView(bools.buffer);
  bools.set(bytesOf("GGUF"));
  view.setUint32(4, 3, true);
  view.setBigUint64(16, 1n, true); // one entry
  view.setBigUint64(24, 1n, true);
  bools[32] = 0x61; // a key "a"
  view.setUint32(33, 9, true);
  view.setUint32(37, 7, true);
  view.setBigUint64(41, BigInt(limits.ggufValues + 1), true);
  expect(() => parseGgufHeader("x", bools, bools.length)).toThrow(/limit ggufValues/);
});

test("whole numbers of a pickle are bounded", async () => {
  const pickle = new Uint8Array(2 + 5 + 200_000 + 1).fill(0x7f);
  pickle.set([0x80, 2, 0x8b]);
  new DataView(pickle.buffer).setInt32(3, 200_000, true);
  await expect(readTorch(await stored("long.bin", pickle))).rejects.toThrow(/limit pickleIntegerBytes/);
});

test("an archive does not unpack to more than a hundred times its size", async () => {
  const packed = deflateRawSync(new Uint8Array(2 ** 27));
  const name = bytesOf("a/data.pkl");
  const local = new Uint8Array(30 + name.length);
  new DataView(local.buffer).setUint32(0, 0x04034b50, true);
  new DataView(local.buffer).setUint16(26, name.length, true);
  local.set(name, 30);
  const entry = new Uint8Array(46 + name.length);
  const view = new DataView(entry.buffer);
  view.setUint32(0, 0x02014b50, true);
  view.setUint16(10, 8, true);
  view.setUint32(20, packed.length, true);
  view.setUint32(24, 2 ** 27, true);
  view.setUint16(28, name.length, true);
  entry.set(name, 46);
  const end = new Uint8Array(22);
  const last = new DataView(end.buffer);
  last.setUint32(0, 0x06054b50, true);
  last.setUint16(10, 1, true);
  last.setUint32(12, entry.length, true);
  last.setUint32(16, local.length + packed.length, true);
  await expect(readTorch(await stored("bomb.pt", Buffer.concat([local, packed, entry, end])))).rejects.toThrow(
    /limit unpackedRatio/,
  );
});
