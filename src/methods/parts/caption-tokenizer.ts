/** The tokenizer of a contrastive model: that of the config or the model, or one that is trained on the captions. */
import { join } from "node:path";
import { OptionError } from "../../base/index.ts";
import { exists, writeFolderAtomic } from "../../files/index.ts";
import { Tokenizer, TokenizerTrainer } from "../../tokenizers/index.ts";
import type { SharedConfig } from "../config/schema.ts";
import type { MethodContext } from "../method.ts";
import { openTokenizer } from "./models.ts";

/** CLIP's tokens around a text; the last one is padding too. */
const [START, END] = ["<|startoftext|>", "<|endoftext|>"] as const;
const DEFAULT_VOCABULARY = 4096;

/**
 * The tokenizer of a config. One that is trained is byte-level BPE on texts in lower case, between CLIP's two tokens;
 * it is kept in the run's folder, so that a run that goes on has the same.
 * @throws OptionError for a tokenizer of characters, or none
 */
export async function captionTokenizer(
  config: SharedConfig,
  captions: Iterable<string>,
  { folder }: MethodContext,
): Promise<Tokenizer> {
  const { tokenizer } = config;
  if (typeof tokenizer !== "object") return openTokenizer(config);
  if (tokenizer.train !== "bpe")
    throw new OptionError({
      where: "config, tokenizer.train",
      expected: "bpe, for captions",
      received: tokenizer.train,
      fix: "write tokenizer: { train: bpe, vocabSize: 4096 }",
    });
  const place = join(folder, "tokenizer");
  if (await exists(join(place, "tokenizer.json"))) return Tokenizer.open(place);
  const trainer = await TokenizerTrainer.create({
    model: "bpe",
    vocabSize: tokenizer.vocabSize ?? DEFAULT_VOCABULARY,
    minFrequency: 2,
    specialTokens: [START, END],
    normalizer: { type: "Sequence", normalizers: [{ type: "NFKC" }, { type: "Lowercase" }] },
    postProcessor: aroundTexts,
  });
  for (const caption of captions) trainer.add(caption);
  const trained = await Tokenizer.fromJson(trainer.toJson(), {
    bos_token: START,
    eos_token: END,
    pad_token: END,
    unk_token: END,
  });
  await writeFolderAtomic(place, (temporary) => trained.save(temporary));
  return Tokenizer.open(place);
}

const special = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
const text = (id: string) => ({ Sequence: { id, type_id: 0 } });

/** The special tokens have the first ids. */
const aroundTexts = {
  type: "TemplateProcessing",
  single: [special(START), text("A"), special(END)],
  pair: [special(START), text("A"), special(END), text("B"), special(END)],
  special_tokens: Object.fromEntries(
    [START, END].map((token, id) => [token, { id: token, ids: [id], tokens: [token] }]),
  ),
};

/** What config.json of a new CLIP says of the tokenizer. @throws OptionError for one without an end */
export function textConfig(tokenizer: Tokenizer): Record<string, unknown> {
  const { endOfTextId, special: roles } = tokenizer;
  if (typeof endOfTextId !== "number")
    throw new OptionError({
      where: "config, tokenizer",
      expected: "a tokenizer with a token that ends texts",
      received: "one without",
      fix: "train one: tokenizer: { train: bpe }",
    });
  const idOf = (token: string | undefined) => (token === undefined ? null : tokenizer.tokenToId(token));
  return {
    vocab_size: tokenizer.vocabSize,
    eos_token_id: endOfTextId,
    bos_token_id: idOf(roles.bos) ?? endOfTextId,
    pad_token_id: idOf(roles.pad) ?? endOfTextId,
  };
}
