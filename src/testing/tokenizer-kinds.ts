/** tokenizer.json of every kind: the ids, offsets and texts of Hugging Face's tokenizers, whatever runs it. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { utf16Positions } from "../tokenizers/encoding.ts";
import { type Encoding, Tokenizer } from "../tokenizers/index.ts";

const kindsFolder = fileURLToPath(new URL("../../golden/tokenizers/kinds/", import.meta.url));
const gz = async (path: string) => JSON.parse(gunzipSync(await readFile(path)).toString());

interface Kind {
  ids: number[][];
  plainIds: number[][];
  offsets: number[][];
  decoded: string[];
  decodedAll: string[];
  pairs: { ids: number[]; offsets: number[]; typeIds: number[]; specialTokensMask: number[] }[];
  streamed: (string | null)[][];
  literalIds: number[][];
}
interface GoldenEncoding {
  ids: number[];
  attentionMask: number[];
  typeIds: number[];
  offsets: number[];
  overflowing?: GoldenEncoding[];
}
export const golden = (await gz(join(kindsFolder, "expected.json.gz"))) as {
  texts: string[];
  pairTexts: [string, string][];
  streamedTexts: number[];
  specialFrom: number;
  kinds: Record<string, Kind>;
  parts: Record<string, { ids: number[][]; offsets: number[][] }>;
  batches: {
    tokenizer: string;
    truncation: object | null;
    padding: object | null;
    texts?: number[];
    pairs?: number[];
    encodings?: GoldenEncoding[];
    error?: string;
  }[];
};
const { texts, pairTexts } = golden;
export const pathOf = (name: string) => join(kindsFolder, `${name}.tokenizer.json`);

/** Offsets in code points as JavaScript counts. */
export const inUnits = (flat: number[], text: string): number[] => {
  const table = utf16Positions(text);
  return table ? flat.map((position) => table[position]) : flat;
};

/** Characters that the scripts of Unicode 9 do not know, by which the reference cuts. */
export const isNewer = /[\u{1cb2}\u{1f932}\u{1f9d1}]/u;

/** @param isOther of a kind and a text: where the answers may be others */
export function describeKinds(isOther: (kind: string, text: string) => boolean = () => false): void {
  describe.each(Object.entries(golden.kinds))("%s", (name, kind) => {
    test("ids, offsets and decoded texts", async () => {
      const tokenizer = await Tokenizer.open(pathOf(name));
      for (const [i, text] of texts.entries()) {
        if (isOther(name, text)) continue;
        const { ids, offsets } = await tokenizer.encodeText(text);
        expect([text, ids]).toEqual([text, kind.ids[i]]);
        expect([text, offsets.flat()]).toEqual([text, inUnits(kind.offsets[i], text)]);
        expect([text, await tokenizer.encode(text, { addSpecialTokens: false })]).toEqual([text, kind.plainIds[i]]);
        expect(await tokenizer.decode(ids)).toBe(kind.decoded[i]);
        expect(await tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(kind.decodedAll[i]);
      }
    });

    test("pairs", async () => {
      const tokenizer = await Tokenizer.open(pathOf(name));
      for (const [i, [text, pair]] of pairTexts.entries()) {
        const { ids, typeIds, specialTokensMask } = await tokenizer.encodeText(text, { pair });
        const { offsets: _, ...expected } = kind.pairs[i];
        expect({ ids, typeIds, specialTokensMask }).toEqual(expected);
      }
    });

    test("special tokens in a text as plain text", async () => {
      const tokenizer = await Tokenizer.open(pathOf(name));
      for (const [i, expected] of kind.literalIds.entries()) {
        const text = texts[golden.specialFrom + i];
        expect([text, await tokenizer.encode(text, { isLiteral: true, addSpecialTokens: false })]).toEqual([
          text,
          expected,
        ]);
      }
    });

    test("decoding one by one gives whole characters, and all of them", async () => {
      const tokenizer = await Tokenizer.open(pathOf(name));
      for (const [i, chunks] of kind.streamed.entries()) {
        const stream = tokenizer.stream();
        const pieces: string[] = [];
        for (const id of kind.ids[golden.streamedTexts[i]]) pieces.push(await stream.push(id));
        expect(pieces).toEqual(chunks.map((chunk) => chunk ?? ""));
      }
    });
  });

  test("cut and padded batches", async () => {
    // of parts that did not fit, the reference gives the second text type 1 even where the model's template says 0
    const part = ({ ids, attentionMask }: Encoding | GoldenEncoding) => ({ ids, attentionMask });
    const flat = (encoding: Encoding | GoldenEncoding): object => ({
      ...part(encoding),
      typeIds: encoding.typeIds,
      overflowing: ((encoding.overflowing ?? []) as Encoding[]).map(part),
    });
    for (const { tokenizer: name, truncation, padding, texts: chosen, pairs, encodings } of golden.batches) {
      if (!encodings) continue;
      const path = join(tmpdir(), `kindling-batch-${process.pid}.json`);
      await writeFile(
        path,
        JSON.stringify({ ...JSON.parse(await readFile(pathOf(name), "utf8")), truncation, padding }),
      );
      const tokenizer = await Tokenizer.open(path);
      const batch = chosen ? chosen.map((i) => texts[i]) : (pairs ?? []).map((i) => pairTexts[i]);
      const batchEncodings = await tokenizer.encodeBatch(batch, tokenizer.settings).catch((error) => error);
      if (batchEncodings instanceof Error) {
        expect([name, truncation, batchEncodings.message]).toEqual([
          name,
          truncation,
          expect.stringMatching(/room for|stride/),
        ]);
        continue;
      }
      expect([name, truncation, padding, batchEncodings.map(flat)]).toEqual([
        name,
        truncation,
        padding,
        encodings.map(flat),
      ]);
    }
  });

  test("single parts of the format", async () => {
    const { base, cases } = JSON.parse(await readFile(join(kindsFolder, "parts.json"), "utf8")) as {
      base: object;
      cases: Record<string, object>;
    };
    const path = join(tmpdir(), `kindling-part-${process.pid}.json`);
    for (const [name, part] of Object.entries(cases)) {
      await writeFile(path, JSON.stringify({ ...base, ...part }));
      const tokenizer = await Tokenizer.open(path);
      for (const [i, text] of texts.entries()) {
        if (isOther(name, text)) continue;
        const { ids, offsets } = await tokenizer.encodeText(text);
        expect([name, text, ids, offsets.flat()]).toEqual([
          name,
          text,
          golden.parts[name].ids[i],
          inUnits(golden.parts[name].offsets[i], text),
        ]);
      }
    }
  }, 120_000);
}

interface Folder {
  files: Record<string, unknown>;
  cases: { text: string; ids: number[]; decoded: string }[];
}

/** Folders that a reader of plain byte-level BPE would read wrongly. */
export const { folders } = (await gz(join(kindsFolder, "../folders.json.gz"))) as { folders: Record<string, Folder> };

export function describeFolders(): void {
  test.each(Object.entries(folders))("the folder %s", async (_, { files, cases }) => {
    const folder = await mkdtemp(join(tmpdir(), "kindling-"));
    for (const [name, content] of Object.entries(files))
      await writeFile(join(folder, name), typeof content === "string" ? content : JSON.stringify(content));
    const tokenizer = await Tokenizer.open(folder);
    for (const { text, ids, decoded } of cases) {
      expect([text, await tokenizer.encode(text)]).toEqual([text, ids]);
      expect([text, await tokenizer.decode(ids)]).toEqual([text, decoded]);
    }
    await rm(folder, { recursive: true });
  });
}
