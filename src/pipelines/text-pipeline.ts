import type { Tokenizer } from "../tokenizers/index.ts";
import { type TextModel, TextRunner, type TextRunnerOptions } from "./text-runner.ts";

/** An encoder with its tokenizer, and what runs it on texts. */
export abstract class TextPipeline<M extends TextModel & { dispose(): void }> {
  protected readonly model: M;
  protected readonly tokenizer: Tokenizer;
  protected readonly runner: TextRunner;

  constructor(model: M, tokenizer: Tokenizer, options: TextRunnerOptions) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.runner = new TextRunner(model, options);
  }

  /** Frees the model and the compiled graphs; the pipeline is of no use afterwards. */
  dispose(): void {
    this.runner.dispose();
    this.model.dispose();
  }
}
