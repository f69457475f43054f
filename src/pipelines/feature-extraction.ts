import { checkOptions } from "../base/index.ts";
import type { EncoderModel } from "../models/index.ts";
import type { EncodeOptions, Tokenizer } from "../tokenizers/index.ts";
import { finite } from "./common.ts";
import { TextPipeline } from "./text-pipeline.ts";
import { type TextBatchOptions, textBatchNames, textBatchOf } from "./text-runner.ts";

/** How texts are encoded, and how many are run together. */
export interface FeatureExtractionOptions extends EncodeOptions, TextBatchOptions {}

const encodeNames = ["pair", "addSpecialTokens", "maxLength", "truncation", "truncationSide", "stride"];
const optionNames = [...encodeNames, ...textBatchNames];

/** States of each token of texts: [1][T][D]. */
export class FeatureExtractionPipeline extends TextPipeline<EncoderModel> {
  constructor(model: EncoderModel, tokenizer: Tokenizer) {
    super(model, tokenizer, { outputs: ["lastHiddenState"], per: "token" });
  }

  /**
   * The states of the last layer for each token, special ones included: [1][T][D] for a text, one such list for each
   * of several. Longer texts than the model takes are cut, unless `maxLength` says otherwise.
   * @throws OptionError for unknown options
   */
  run(input: string, options?: FeatureExtractionOptions): Promise<number[][][]>;
  run(inputs: readonly string[], options?: FeatureExtractionOptions): Promise<number[][][][]>;
  async run(inputs: string | readonly string[], options: FeatureExtractionOptions = {}) {
    checkOptions("feature-extraction", options, optionNames);
    const { batchSize, group, signal, ...encodeOptions } = options;
    return this.runner.answers(inputs, {
      task: "feature-extraction",
      batch: textBatchOf(options),
      prepare: async (text) => {
        const maxLength = finite(this.runner.longest(this.tokenizer));
        return [await this.tokenizer.encodeText(text, { maxLength, ...encodeOptions })];
      },
      answer: (_, [{ ids }], [{ lastHiddenState: states }]) => {
        const width = states.length / ids.length;
        return [ids.map((_, i) => [...states.subarray(i * width, (i + 1) * width)])];
      },
    });
  }
}
