/** Texts and pairs of texts as encoders read them. */
import { OptionError } from "../../base/index.ts";
import type { PretrainedModel } from "../../models/index.ts";
import type { Tensor } from "../../tensor/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import type { SharedConfig } from "../config/schema.ts";
import type { MethodContext } from "../method.ts";
import { padIdOf } from "./causal.ts";
import { paddedIds, paddedMask, paddedWidth } from "./padding.ts";

/** A text's tokens. */
export interface EncodedText {
  ids: Int32Array;
  /** Which of two texts each token belongs to; undefined where it is always the first. */
  typeIds: Int32Array | undefined;
}

/** What an encoder reads of a batch of texts. */
export interface TextInputs {
  /** i32 [B, T] */
  inputIds: Tensor<"i32">;
  /** bool [B, T], false for padding. */
  attentionMask: Tensor<"bool">;
  /** i32 [B, T]; absent where all texts are single. */
  tokenTypeIds?: Tensor<"i32">;
}

/** What a model can read of texts, and how they are padded. */
export interface TextForm {
  /** Most tokens of a text, special ones included. */
  maxLength: number;
  padId: number;
  /** Whether the model tells two texts apart by `tokenTypeIds`. */
  hasTypeIds: boolean;
  /** Whether texts are brought to lower case first. @default false */
  lowercases?: boolean;
}

interface TextConfig {
  maxPositionEmbeddings?: number;
  padTokenId?: number | null;
  typeVocabSize?: number;
}

/** RoBERTa counts positions from behind the number of its padding on. */
const COUNTS_FROM_PADDING = /roberta/;

/**
 * The form of texts: at most as long as the config, the tokenizer and the model allow.
 * @param further another limit, such as that of sentence_bert_config.json. @default none
 */
export function textForm(
  { data }: Pick<SharedConfig, "data">,
  {
    tokenizer,
    model,
    further,
  }: { tokenizer: Tokenizer; model: Pick<PretrainedModel, "config" | "modelType">; further?: number },
): TextForm {
  const { maxPositionEmbeddings, padTokenId, typeVocabSize = 0 } = model.config as TextConfig;
  const padId = padTokenId ?? padIdOf(tokenizer);
  const before = COUNTS_FROM_PADDING.test(model.modelType) ? padId + 1 : 0;
  const places = maxPositionEmbeddings === undefined ? undefined : maxPositionEmbeddings - before;
  const limits = [data.maxLength, further, tokenizer.modelMaxLength, places];
  return {
    maxLength: Math.min(...limits.filter((limit) => limit !== undefined)),
    padId,
    hasTypeIds: typeVocabSize > 1,
  };
}

/**
 * Tokens of texts, or of pairs, in their order; what is longer is cut, and a warning says how many were.
 * @param prefix stands in front of each text. @default nothing
 */
export async function encodeTexts(
  texts: readonly (string | readonly [string, string])[],
  { tokenizer, form, prefix = "" }: { tokenizer: Tokenizer; form: TextForm; prefix?: string },
  { signal, onProgress, onWarning }: MethodContext,
): Promise<EncodedText[]> {
  const encoded: EncodedText[] = [];
  let cut = 0;
  for (const text of texts) {
    signal?.throwIfAborted();
    const [first, pair] = typeof text === "string" ? [text, undefined] : text;
    const whole = form.lowercases ? (prefix + first).toLowerCase() : prefix + first;
    const { ids, typeIds, overflowing } = await tokenizer.encodeText(whole, {
      pair,
      maxLength: form.maxLength,
    });
    if (overflowing.length > 0) cut++;
    encoded.push({ ids: Int32Array.from(ids), typeIds: pair === undefined ? undefined : Int32Array.from(typeIds) });
    onProgress?.("encoding texts", encoded.length / texts.length);
  }
  if (cut > 0)
    onWarning({ where: "data", notes: [`${cut} of ${texts.length} texts are longer than ${form.maxLength} and cut`] });
  return encoded;
}

/** Fewer lengths than of other batches: most texts are short beside the longest. */
const LENGTHS = 4;

/** Rows of one length, a few of which there are; padding is at the right. */
export function textInputs(texts: readonly EncodedText[], { maxLength, padId }: TextForm): TextInputs {
  const ids = texts.map((text) => text.ids);
  const width = paddedWidth(ids, maxLength, LENGTHS);
  const types = texts.map(({ typeIds }) => typeIds ?? []);
  return {
    inputIds: paddedIds(ids, width, padId),
    attentionMask: paddedMask(ids, width),
    ...(texts.some(({ typeIds }) => typeIds) && { tokenTypeIds: paddedIds(types, width, 0) }),
  };
}

/** @throws OptionError for settings of data that encoders of texts have no use for */
export function refusePacking({ data }: Pick<SharedConfig, "data">, method: string): void {
  if (!data.packing) return;
  throw new OptionError({
    where: "config, data.packing",
    expected: `false: ${method} reads whole texts`,
    received: "true",
    fix: "leave it out",
  });
}
