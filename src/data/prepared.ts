import { join } from "node:path";
import { completeFolder, hasChecksums, readJson, verifyChecksums, writeJson } from "../files/index.ts";
import { Tokenizer } from "../tokenizers/index.ts";

/** What decides the content of prepared data. */
export interface Recipe {
  /** `TextCorpus.sha256` */
  corpus: string;
  kind: string;
  vocabSize: number;
  contextLength: number;
  validationFraction: number;
}

/** What a run is trained on, by sha256: the texts, the tokenizer and the files of tokens. */
export type Fingerprint = Readonly<Record<"corpus" | "tokenizer" | "train" | "validation", string>>;

/** A corpus cut into tokens on disk, with the tokenizer that cut it. */
export interface PreparedData {
  tokenizer: Tokenizer;
  trainPath: string;
  validationPath: string;
  trainTokens: number;
  validationTokens: number;
  fingerprint: Fingerprint;
  recipe: Recipe;
}

const MARKER = "data.json";
/** All files that a folder of prepared data may have. */
export const DATA_FILES: readonly string[] = [
  "tokenizer.json",
  "tokenizer_config.json",
  "train.bin",
  "validation.bin",
  MARKER,
  "SHA256SUMS",
];

/** Notes in the folder what its files were made from. */
export function writeRecipe(
  folder: string,
  recipe: Recipe,
  counts: Pick<PreparedData, "trainTokens" | "validationTokens">,
): Promise<void> {
  return writeJson(join(folder, MARKER), { recipe, ...counts });
}

/**
 * The data that `prepareData` left in a folder, or undefined where it never finished.
 * @throws DataError when a file was changed since, or is missing
 */
export async function openPrepared(path: string): Promise<PreparedData | undefined> {
  const folder = await completeFolder(path);
  if (!folder || !(await hasChecksums(folder))) return undefined; // never finished, or by a version that noted no sums
  const sums = await verifyChecksums(
    folder,
    `delete the folder ${folder}; the same command makes it again from the text`,
  );
  const { recipe, trainTokens, validationTokens } = await readJson(join(folder, MARKER));
  const sum = (name: string) => sums.get(name) ?? "none";
  return {
    tokenizer: await Tokenizer.open(folder),
    trainPath: join(folder, "train.bin"),
    validationPath: join(folder, "validation.bin"),
    trainTokens: Number(trainTokens),
    validationTokens: Number(validationTokens),
    fingerprint: {
      corpus: (recipe as Recipe).corpus,
      tokenizer: sum("tokenizer.json"),
      train: sum("train.bin"),
      validation: sum("validation.bin"),
    },
    recipe: recipe as Recipe,
  };
}
