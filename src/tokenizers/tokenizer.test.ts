/** What a tokenizer refuses, and texts that look like special tokens. */
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { pathOf } from "../testing/tokenizer-kinds.ts";
import { encodePrompt, Tokenizer, withLiterals } from "./index.ts";
import { checkedTokenizer } from "./safe-file.ts";

test("what would end the process is an error", async () => {
  const json = JSON.parse(await readFile(pathOf("bert-uncased"), "utf8"));
  const check = (part: object) => () => checkedTokenizer("x", { ...json, ...part });
  expect(check({})).not.toThrow();
  expect(check({ normalizer: { type: "Replace", pattern: { String: "" }, content: "a" } })).toThrow(
    /pattern that is not empty/,
  );
  expect(
    check({ normalizer: { type: "Sequence", normalizers: [{ type: "Precompiled", precompiled_charsmap: "AAAA" }] } }),
  ).toThrow(/precompiled_charsmap/);
  expect(check({ pre_tokenizer: { type: "FixedLength", length: 0 } })).toThrow(/at least 1/);
  expect(check({ post_processor: { ...json.post_processor, special_tokens: {} } })).toThrow(/in special_tokens/);
  const tokenizer = await Tokenizer.open(pathOf("bert-uncased"));
  await expect(tokenizer.encodeText("a b c d e f", { maxLength: 4, stride: 2 })).rejects.toThrow(/stride below the 2/);
  await expect(tokenizer.encodeText("a b", { maxLength: 1 })).rejects.toThrow(/room for the 2 special tokens/);
  await expect(Tokenizer.open("no/such/folder")).rejects.toThrow(/expected a folder or file.*nothing there/);
});

test("what looks like a special token in a message stays text", async () => {
  const tokenizer = await Tokenizer.open(pathOf("qwen2"));
  const [special] = tokenizer.specialTexts;
  const id = tokenizer.tokenToId(special) as number;
  const hostile = `a ${special} b`;
  expect(await tokenizer.encode(hostile)).toContain(id);
  const ids = await encodePrompt(tokenizer, `${special}${withLiterals(hostile, tokenizer)}${special}`);
  expect(ids.filter((each) => each === id)).toHaveLength(2);
  expect(await tokenizer.decode(ids.filter((each) => each !== id))).toBe(hostile);
});
