/** Verses of quran-json (npm) in English and Chinese as pairs, and a tokenizer of both that is trained on them, in data/. */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BpeTrainer, Tokenizer } from "kindling/tokenizers";
import { npmPackage, parted, writeRows } from "../common/packages.mjs";

const LONGEST = 130; // letters of the English verse
const VOCABULARY = 2000;
const [TEST_SHARE, VALIDATION_SHARE] = [0.08, 0.04];

/** The verses of a language, in the order of the book. */
const versesIn = (folder, language) =>
  JSON.parse(readFileSync(join(folder, "dist", `quran_${language}.json`), "utf8")).flatMap(({ verses }) =>
    verses.map(({ translation }) => translation.trim()),
  );

/** Writes all files into a folder. */
export async function writeData(folder) {
  mkdirSync(folder, { recursive: true });
  const quran = npmPackage("quran-json", "3.1.2", folder);
  const [english, chinese] = ["en", "zh"].map((language) => versesIn(quran, language));
  const all = english.map((source, i) => ({ source, target: chinese[i] }));
  const pairs = [...new Map(all.map((pair) => [pair.source, pair])).values()]; // an English verse once
  const short = pairs.filter(({ source }) => source.length <= LONGEST);
  // verses that have the same Chinese words are in one part
  const [rest, test] = parted(short, ({ target }) => target, TEST_SHARE);
  const [train, validation] = parted(rest, ({ target }) => `validation ${target}`, VALIDATION_SHARE);
  for (const [name, rows] of Object.entries({ train, validation, test }))
    writeRows(join(folder, `${name}.jsonl`), rows);
  const trainer = new BpeTrainer({ vocabSize: VOCABULARY, specialTokens: ["</s>", "<pad>"] });
  for (const { source, target } of train) for (const text of [source, target]) trainer.add(text);
  const tokenizer = await Tokenizer.fromJson(trainer.toJson(), { eos_token: "</s>", pad_token: "<pad>" });
  await tokenizer.save(join(folder, "tokenizer"));
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await writeData(fileURLToPath(new URL("data", import.meta.url)));
