/** Texts that are no UTF-8: where, and what they are. The bytes are Python's, by str.encode. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { guessEncoding, invalidUtf8At } from "./encodings.ts";
import { TextCorpus } from "./index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

const hex = (text: string) => Uint8Array.from(Buffer.from(text, "hex"));
const utf16 = (text: string) => Uint8Array.from(Buffer.from(text, "utf16le"));
const swapped = (bytes: Uint8Array) => Uint8Array.from(bytes, (_, i) => bytes[i ^ 1]);
const gb18030 = hex(
  "baecc2a5c3cecac7d2bbb2bfd4dad6d0b9fad3d0c3fbb5c4d0a1cbb5a3accbfbb5c4d7f7d5dfcac7b2dcd1a9c7dba1a3ced2c3c7cbb5d5e2b8f6c8cbcac7b4f3bcd2a1a3",
);

test.each<[string | undefined, Uint8Array]>([
  ["gb18030", gb18030],
  [
    "big5",
    hex(
      "acf5bcd3b9daac4fa440b3a1a662a4a4b0eaa6b3a657aabaa470bba1a141a54caabaa740aaccac4fb1e4b3b7aae0a143a7daadccbba1b36fadd3a448ac4fa46aae61a143",
    ),
  ],
  [
    "shift_jis",
    hex(
      "8ce1947982cd944c82c582a082e9814296bc914f82cd82dc82be96b382a2814282c782b182c590b682ea82bd82a982c682f182c68ca9939682aa82c282a982ca8142",
    ),
  ],
  [
    "euc-jp",
    hex(
      "b8e3c7daa4cfc7ada4c7a4a2a4eba1a3ccbec1b0a4cfa4dea4c0ccb5a4a4a1a3a4c9a4b3a4c7c0b8a4eca4bfa4aba4c8a4f3a4c8b8abc5f6a4aca4c4a4aba4cca1a3",
    ),
  ],
  [
    "euc-kr",
    hex(
      "b3aab4c220b0edbee7c0ccc0ccb4d92e20c0ccb8a7c0ba20bec6c1f720bef8b4d92e20beeeb5f0bcad20c5c2beeeb3b5b4c2c1f620b5b5b9abc1f620becb20bcf620bef8b4d92e",
    ),
  ],
  [
    "cp1251",
    hex(
      "c2f1e520f1f7e0f1f2ebe8e2fbe520f1e5ecfce820efeef5eee6e820e4f0f3e320ede020e4f0f3e3e02c20eae0e6e4e0ff20ede5f1f7e0f1f2ebe8e2e0ff20f1e5ecfcff2e",
    ),
  ],
  [
    "latin1",
    Uint8Array.from(Buffer.from("Il était une fois, dans une forêt près de la rivière, un garçon.", "latin1")),
  ],
  ["utf-16", utf16("\ufeff红楼梦")],
  ["utf-16", swapped(utf16("\ufeffIt was the best of times"))],
  ["utf-16le", utf16("It was the best of times")],
  ["utf-16be", swapped(utf16("It was the best of times"))],
  [undefined, Uint8Array.from({ length: 4000 }, (_, i) => (i * i * 31) % 256)],
  [undefined, new Uint8Array(100)],
])("%s", (encoding, bytes) => {
  expect(guessEncoding(bytes)).toBe(encoding);
});

test("the first byte that is no UTF-8, by the rules of Unicode", () => {
  const at = (...bytes: number[]) => invalidUtf8At(Uint8Array.from(bytes));
  expect(invalidUtf8At(new TextEncoder().encode("aé明😀"))).toBe(10);
  expect(at(0x61, 0xc0, 0x80)).toBe(1); // overlong
  expect(at(0xe0, 0x9f, 0xbf)).toBe(0);
  expect(at(0xed, 0xa0, 0x80)).toBe(0); // a surrogate
  expect(at(0xf4, 0x90, 0x80, 0x80)).toBe(0); // beyond U+10FFFF
  expect(at(0x61, 0x62, 0xe6, 0x98)).toBe(2); // cut off
  const bytes = Array.from({ length: 3000 }, (_, i) => (i * 7919) % 256);
  for (let i = 0; i + 3 <= bytes.length; i++) {
    const part = Uint8Array.from(bytes.slice(i, i + 3));
    const isValid = Buffer.from(new TextDecoder().decode(part)).equals(Buffer.from(part));
    expect(invalidUtf8At(part) === 3).toBe(isValid);
  }
});

const refusal = async (name: string, content: Uint8Array) => {
  const path = join(folder, name);
  await writeFile(path, content);
  const corpus = await TextCorpus.open(path);
  return (async () => {
    for await (const _ of corpus.chunks());
  })();
};

test("the message has the true offset, also behind a first piece, and the command that converts the file", async () => {
  await expect(refusal("红楼梦.txt", gb18030)).rejects.toThrow(
    /invalid bytes at offset 0: ba ec c2 a5\. Fix: .*iconv -f gb18030 -t utf-8 ".*红楼梦\.txt" > utf8\.txt/,
  );
  await expect(refusal("windows.txt", utf16("\ufeffIt was"))).rejects.toThrow(
    /a zero byte at offset 3\. Fix: it looks like utf-16; convert it: iconv -f utf-16 -t/,
  );
  const piece = 1 << 20;
  for (const offset of [piece - 1, piece, piece + 5]) {
    const long = new Uint8Array(piece + 100).fill(0x61);
    long.set([0xe6, 0x41], offset); // a character that is begun and not ended, across the pieces too
    await expect(refusal("long.txt", long)).rejects.toThrow(`invalid bytes at offset ${offset}: e6 41`);
  }
});
