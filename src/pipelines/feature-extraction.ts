import { checkOptions } from "../base/index.ts";
import type { EncoderModel } from "../models/index.ts";
import type { EncodeOptions, Tokenizer } from "../tokenizers/index.ts";
import { each, finite, TextRunner } from "./common.ts";

/** States of each token of texts: [1][T][D]. */
export class FeatureExtractionPipeline {
  private readonly model: EncoderModel;
  private readonly tokenizer: Tokenizer;
  private readonly runner: TextRunner;

  constructor(model: EncoderModel, tokenizer: Tokenizer) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.runner = new TextRunner(model, ["lastHiddenState"]);
  }

  /**
   * The states of the last layer for each token, special ones included: [1][T][D] for a text, one such list for each
   * of several. Longer texts than the model takes are cut, unless `maxLength` says otherwise.
   * @throws OptionError for unknown options
   */
  run(input: string, options?: EncodeOptions): Promise<number[][][]>;
  run(inputs: readonly string[], options?: EncodeOptions): Promise<number[][][][]>;
  async run(inputs: string | readonly string[], options: EncodeOptions = {}) {
    checkOptions("feature-extraction", options, [
      "pair",
      "addSpecialTokens",
      "maxLength",
      "truncation",
      "truncationSide",
      "stride",
    ]);
    return each(inputs, async (text: string) => {
      const encoding = await this.tokenizer.encodeText(text, {
        maxLength: finite(this.runner.longest(this.tokenizer)),
        ...options,
      });
      const { lastHiddenState: states } = await this.runner.of(encoding);
      const width = states.length / encoding.ids.length;
      return [encoding.ids.map((_, i) => [...states.subarray(i * width, (i + 1) * width)])];
    });
  }

  /** Frees the model and the compiled graphs; the pipeline is of no use afterwards. */
  dispose(): void {
    this.runner.dispose();
    this.model.dispose();
  }
}
