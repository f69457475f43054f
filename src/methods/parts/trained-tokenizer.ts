/** A tokenizer that is trained on the texts of a run, and kept in its folder. */
import { join } from "node:path";
import { OptionError } from "../../base/index.ts";
import { exists, readJson, writeFolderAtomic, writeJson } from "../../files/index.ts";
import { BpeTrainer, CharacterTrainer, Tokenizer } from "../../tokenizers/index.ts";
import type { MethodContext } from "../method.ts";
import type { Texts } from "./texts.ts";

/** Which tokenizer is trained. */
export interface TrainedTokenizer {
  train: "bpe" | "char";
  /** Most tokens of bpe. */
  vocabSize?: number;
}

/** What texts are trained for: each objective has special tokens of its own. */
export type TextObjective = "causal" | "masked" | "span-corruption";

/** BPE learns from at most this much text, taken evenly. */
const SAMPLE_BYTES = 32 << 20;
/** Tokens of bpe unless one says otherwise. */
export const DEFAULT_VOCABULARY = 8192;
const SENTINELS = 100;
const NOTE = "trained-on.json";

/** Special tokens by their role, and others, in the order of their ids behind the vocabulary. */
const specials: Readonly<Record<TextObjective, readonly (readonly [role: string, token: string])[]>> = {
  causal: [],
  masked: [
    ["pad", "[PAD]"],
    ["cls", "[CLS]"],
    ["sep", "[SEP]"],
    ["mask", "[MASK]"],
  ],
  // the first sentinel has the last id
  "span-corruption": [
    ["pad", "<pad>"],
    ...Array.from({ length: SENTINELS }, (_, i) => ["", `<extra_id_${SENTINELS - 1 - i}>`] as const),
  ],
};

/**
 * The tokenizer of the run's folder, trained on the texts where it is not there yet or was trained on others.
 * @throws OptionError for a vocabulary that is too small, or a size of one of characters
 */
export async function trainTokenizer(
  { train: kind, vocabSize }: TrainedTokenizer,
  texts: readonly Texts[],
  { objective, context }: { objective: TextObjective; context: MethodContext },
): Promise<Tokenizer> {
  if (kind === "char" && vocabSize !== undefined)
    throw new OptionError({
      where: "config, tokenizer",
      expected: "no vocabSize with char: it has a token for each character of the texts",
      received: String(vocabSize),
      fix: "leave it out, or use train: bpe",
    });
  const folder = join(context.folder, "tokenizer");
  const sums = await Promise.all(texts.map(async ({ rows, name }) => [(await rows.fingerprint()) ?? "none", name]));
  const recipe = { kind, vocabSize: vocabSize ?? null, objective, texts: sums };
  const note = join(folder, NOTE);
  if ((await exists(note)) && JSON.stringify((await readJson(note)).recipe) === JSON.stringify(recipe))
    return Tokenizer.open(folder);
  const size = (vocabSize ?? DEFAULT_VOCABULARY) - specials[objective].length;
  const trainer = kind === "bpe" ? new BpeTrainer({ vocabSize: size }) : new CharacterTrainer();
  await addTexts(trainer, texts, { isSampled: kind === "bpe", context });
  const tokenizer = await withSpecials(await trainer.train(), objective);
  if (kind === "bpe" && vocabSize !== undefined && tokenizer.vocabSize < vocabSize)
    context.onWarning({
      where: "tokenizer",
      notes: [`the texts repeat too little for ${vocabSize} tokens: the vocabulary has ${tokenizer.vocabSize}`],
    });
  await writeFolderAtomic(folder, async (temporary) => {
    await tokenizer.save(temporary);
    await writeJson(join(temporary, NOTE), { recipe });
  });
  return Tokenizer.open(folder);
}

async function addTexts(
  trainer: { add(text: string): void },
  texts: readonly Texts[],
  { isSampled, context }: { isSampled: boolean; context: MethodContext },
): Promise<void> {
  const { signal, onProgress } = context;
  let bytes = 0;
  if (isSampled) for await (const text of allTexts(texts)) bytes += Buffer.byteLength(text, "utf8");
  const keepEvery = Math.max(1, Math.ceil(bytes / SAMPLE_BYTES));
  const rows = texts.reduce((total, set) => total + set.rows.count, 0);
  let index = 0;
  for await (const text of allTexts(texts)) {
    signal?.throwIfAborted();
    if (index++ % keepEvery === 0) trainer.add(text);
    onProgress?.("learning the vocabulary", index / rows);
  }
}

async function* allTexts(texts: readonly Texts[]): AsyncGenerator<string, void, void> {
  for (const { rows, textOf } of texts) for await (const row of rows) yield textOf(row as never);
}

/** A tokenizer with the special tokens of an objective behind its own. */
async function withSpecials(tokenizer: Tokenizer, objective: TextObjective): Promise<Tokenizer> {
  const added = specials[objective];
  if (added.length === 0) return tokenizer;
  const json = tokenizer.toJson();
  const idOf = (token: string) => tokenizer.vocabSize + added.findIndex(([, each]) => each === token);
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const tokens = added.map(([, content]) => ({ id: idOf(content), content, ...flags }));
  const roles = Object.fromEntries(added.flatMap(([role, token]) => (role ? [[`${role}_token`, token]] : [])));
  return Tokenizer.fromJson(
    {
      ...json,
      added_tokens: [...(json.added_tokens as object[]), ...tokens],
      ...(objective === "masked" && { post_processor: around("[CLS]", "[SEP]", idOf) }),
    },
    { ...tokenizer.configToJson(), ...roles },
  );
}

/** What BERT has around a text, and between two. */
function around(first: string, last: string, idOf: (token: string) => number): object {
  const special = (id: string, typeId = 0) => ({ SpecialToken: { id, type_id: typeId } });
  const sequence = (id: string, typeId = 0) => ({ Sequence: { id, type_id: typeId } });
  return {
    type: "TemplateProcessing",
    single: [special(first), sequence("A"), special(last)],
    pair: [special(first), sequence("A"), special(last), sequence("B", 1), special(last, 1)],
    special_tokens: Object.fromEntries(
      [first, last].map((token) => [token, { id: token, ids: [idOf(token)], tokens: [token] }]),
    ),
  };
}
