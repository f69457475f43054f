import { checkOptions, OptionError } from "../base/index.ts";
import type { MaskedLM } from "../models/index.ts";
import type { Encoding, Tokenizer } from "../tokenizers/index.ts";
import { finite, largest, softmax } from "./common.ts";
import { TextPipeline } from "./text-pipeline.ts";
import { type TextBatchOptions, textBatchNames, textBatchOf } from "./text-runner.ts";

/** Which words for the mask are given, and how many. */
export interface FillMaskOptions extends TextBatchOptions {
  /** How many words for each place. @default 5 */
  topK?: number;
  /** Only these words are considered. @default all */
  targets?: readonly string[] | string;
}

/** A word for a place of the mask, under the names of transformers. */
export interface FilledMask {
  /** Probability among all tokens of the vocabulary, from 0 to 1, also where `targets` leaves only some. */
  score: number;
  /** Id of the word's token. */
  token: number;
  /** The token as text. */
  token_str: string;
  /** The text with the word in its place; other masks and special tokens stay where there are several masks. */
  sequence: string;
}

/** Words for the places of the mask token. */
export class FillMaskPipeline extends TextPipeline<MaskedLM> {
  private readonly mask: number;

  /** @throws OptionError when the tokenizer names no mask token */
  constructor(model: MaskedLM, tokenizer: Tokenizer) {
    super(model, tokenizer, { outputs: ["logits"], per: "token" });
    const mask = tokenizer.special.mask === undefined ? null : tokenizer.tokenToId(tokenizer.special.mask);
    if (mask === null)
      throw new OptionError({
        where: "fill-mask",
        expected: "a mask token",
        received: "none",
        fix: "give its tokenizer_config.json a mask_token",
      });
    this.mask = mask;
  }

  /** The best words, best first; of a text with several masks a list for each. */
  run(input: string, options?: FillMaskOptions): Promise<FilledMask[] | FilledMask[][]>;
  run(inputs: readonly string[], options?: FillMaskOptions): Promise<(FilledMask[] | FilledMask[][])[]>;
  async run(inputs: string | readonly string[], options: FillMaskOptions = {}) {
    checkOptions("fill-mask", options, ["topK", "targets", ...textBatchNames]);
    const { topK = 5, targets } = options;
    const wanted = targets === undefined ? undefined : await this.idsOf([targets].flat());
    return this.runner.answers(inputs, {
      task: "fill-mask",
      batch: textBatchOf(options),
      prepare: async (text) => [await this.encode(text)],
      answer: async (_, [{ ids }], [{ logits }]): Promise<FilledMask[] | FilledMask[][]> => {
        const width = logits.length / ids.length;
        const places = this.placesIn(ids);
        const results: FilledMask[][] = [];
        for (const place of places) {
          const scores = softmax(logits.subarray(place * width, (place + 1) * width));
          const best = wanted
            ? largest(
                wanted.map((id) => scores[id]),
                topK,
              ).map((i) => wanted[i])
            : largest(scores, topK);
          const row: FilledMask[] = [];
          for (const token of best) {
            const filled = ids.map((id, i) => (i === place ? token : id));
            const sequence = await this.tokenizer.decode(filled, { skipSpecialTokens: places.length === 1 });
            const token_str = await this.tokenizer.decode([token], { skipSpecialTokens: false });
            row.push({ score: scores[token], token, token_str, sequence });
          }
          results.push(row);
        }
        return results.length === 1 ? results[0] : results;
      },
    });
  }

  private placesIn(ids: readonly number[]): number[] {
    return ids.flatMap((id, i) => (id === this.mask ? [i] : []));
  }

  /** @throws OptionError for a text without the mask token */
  private async encode(text: string): Promise<Encoding> {
    const encoding = await this.tokenizer.encodeText(text, {
      maxLength: finite(this.runner.longest(this.tokenizer)),
    });
    if (this.placesIn(encoding.ids).length > 0) return encoding;
    throw new OptionError({
      where: "fill-mask",
      expected: `${this.tokenizer.special.mask} in the text`,
      received: text.slice(0, 60),
      fix: "mark the place with it",
    });
  }

  /** Ids of words: of one that the vocabulary lacks its first token. */
  private async idsOf(targets: readonly string[]): Promise<number[]> {
    const ids = new Set<number>();
    for (const target of targets) {
      const id =
        this.tokenizer.tokenToId(target) ?? (await this.tokenizer.encode(target, { addSpecialTokens: false }))[0];
      if (id !== undefined) ids.add(id);
    }
    if (ids.size > 0) return [...ids];
    throw new OptionError({
      where: "fill-mask",
      expected: "targets of the vocabulary",
      received: JSON.stringify(targets),
      fix: "give other words",
    });
  }
}
