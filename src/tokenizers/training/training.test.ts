/** The vocabularies, merges and scores of Hugging Face's trainers. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readJson } from "../../files/index.ts";
import { Tokenizer, TokenizerTrainer, type TokenizerTrainerOptions } from "../index.ts";
import { learnMerges, type MergeOptions } from "./merges.ts";
import { learnPieces, type UnigramOptions } from "./unigram.ts";
import { byCodePoints, wordCounter } from "./words.ts";

const golden = (path: string) => fileURLToPath(new URL(`../../../golden/tokenizers/${path}`, import.meta.url));
const textFiles: Record<string, string> = { moby: "moby-60k.txt", mixed: "mixed.txt" };

interface Case {
  texts: string[];
  lines: boolean;
  normalizer: Record<string, unknown> | null;
  preTokenizer: Record<string, unknown> | null;
  options: Record<string, unknown>;
  vocab?: string[];
  merges?: [string, string][];
  pieces?: string[];
  scores?: number[];
  unkId?: number | null;
}
const casesOf = async (name: string) =>
  Object.entries((await readJson(golden(`trained/${name}.json`))).cases as Record<string, Case>);

async function wordsOf({ texts, lines, normalizer, preTokenizer }: Case): Promise<Map<string, number>> {
  const counter = await wordCounter({ normalizer, preTokenizer });
  for (const name of texts) {
    const text = await readFile(golden(textFiles[name]), "utf8");
    for (const piece of lines ? (text.match(/[^\n]*\n|[^\n]+$/g) ?? []) : [text]) counter.add(piece);
  }
  return counter.counts();
}

describe("byte pairs", async () => {
  test.each(await casesOf("bpe"))("%s", async (_, each) => {
    const options = { minFrequency: 0, specialTokens: [], ...each.options } as unknown as MergeOptions;
    const { tokens, merges } = learnMerges(await wordsOf(each), options);
    expect(tokens).toEqual(each.vocab);
    expect(merges).toEqual(each.merges);
  });
});

test.each(await casesOf("wordpiece"))("WordPiece: %s", async (_, each) => {
  const options = {
    minFrequency: 0,
    specialTokens: [],
    continuingSubwordPrefix: "##",
    ...each.options,
  } as unknown as MergeOptions;
  expect(learnMerges(await wordsOf(each), options).tokens).toEqual(each.vocab);
});

test.each(await casesOf("unigram"))("Unigram: %s", async (_, each) => {
  const { texts, scores, unkId } = learnPieces(await wordsOf(each), {
    specialTokens: [],
    ...each.options,
  } as unknown as UnigramOptions);
  const expected = new Map((each.pieces as string[]).map((piece, i) => [piece, (each.scores as number[])[i]]));
  expect([...texts].sort(byCodePoints)).toEqual([...expected.keys()].sort(byCodePoints));
  for (const [i, text] of texts.entries())
    expect([text, Math.abs(scores[i] - (expected.get(text) as number)) < 1e-8, scores[i]]).toEqual([
      text,
      true,
      scores[i],
    ]);
  expect(scores.every((score, i) => i === 0 || score <= scores[i - 1] || scores[i - 1] === 0)).toBe(true);
  expect(unkId).toBe(each.unkId);
});

describe("TokenizerTrainer", async () => {
  const all = (
    await Promise.all(
      (["bpe", "wordpiece", "unigram"] as const).map(async (model) =>
        (await casesOf(model)).map((each) => [model, ...each] as const),
      ),
    )
  ).flat();
  test.each(all)(
    "%s %s: a tokenizer that keeps the text",
    async (model, _, { texts, normalizer, preTokenizer, options, lines }) => {
      const trainer = await TokenizerTrainer.create({
        model,
        normalizer,
        preTokenizer,
        ...options,
      } as TokenizerTrainerOptions);
      for (const name of texts) {
        if (lines) await trainer.addFile(golden(textFiles[name]));
        else trainer.add(await readFile(golden(textFiles[name]), "utf8"));
      }
      const tokenizer = await trainer.train();
      const { ids } = await tokenizer.encodeText("the old whale", { addSpecialTokens: false });
      expect(ids.length).toBeGreaterThan(1);
      expect(Math.max(...ids)).toBeLessThan(tokenizer.vocabSize);
    },
  );

  test("the usual tokenizer of each kind is saved and opened again", async () => {
    const folder = await mkdtemp(join(tmpdir(), "kindling-"));
    for (const model of ["bpe", "wordpiece", "unigram"] as const) {
      const trainer = await TokenizerTrainer.create({
        model,
        vocabSize: 500,
        ...(model === "bpe" && { specialTokens: ["<|endoftext|>"] }),
      });
      await trainer.addFile(golden("moby-60k.txt"));
      const tokenizer = await trainer.train();
      await tokenizer.save(folder);
      const again = await Tokenizer.open(folder);
      const text = "call me ishmael";
      const ids = await tokenizer.encode(text);
      expect([model, await again.encode(text), await again.decode(ids)]).toEqual([model, ids, text]);
    }
    await rm(folder, { recursive: true });
  });

  test("mistakes are named", async () => {
    const create = (options: object) => TokenizerTrainer.create(options as TokenizerTrainerOptions);
    await expect(create({ model: "bpf" })).rejects.toThrow(/a model of bpe, wordpiece, unigram/);
    await expect(create({ model: "bpe", vocabsize: 3 })).rejects.toThrow(/vocabSize/);
    await expect(create({ model: "unigram", shrinkingFactor: 1 })).rejects.toThrow(
      /shrinkingFactor above 0 and below 1/,
    );
    await expect(create({ model: "bpe", preTokenizer: { type: "Nothing" } })).rejects.toThrow(
      /a normalizer and preTokenizer/,
    );
    const small = await create({ model: "unigram", vocabSize: 5 });
    expect(() => small.toJson()).toThrow(/texts with words; received none/);
    small.add("abcdefgh");
    expect(() => small.toJson()).toThrow(/at least the 9 characters/);
    await expect(small.addFile("no/such/file")).rejects.toThrow(/a text file/);
    const unknown = await create({ model: "bpe", unkToken: "<unk>" });
    unknown.add("a b");
    expect(() => unknown.toJson()).toThrow(/"<unk>" among the specialTokens/);
  });
});
