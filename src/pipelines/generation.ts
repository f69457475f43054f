import { type GenerateOptions, Generator, Seq2SeqGenerator } from "../generate/index.ts";
import type { CausalLM, Seq2SeqLM } from "../models/index.ts";
import type { TextTokenizer } from "../tokenizers/index.ts";
import { each } from "./common.ts";

export interface TextGenerationOptions extends Omit<GenerateOptions, "stopTokens"> {
  /** The prompt is a part of the text that is given back. @default true */
  returnFullText?: boolean;
}

/** Continues texts. */
export class TextGenerationPipeline {
  private readonly model: CausalLM;
  private readonly tokenizer: TextTokenizer;
  private readonly generator: Generator;

  constructor(model: CausalLM, tokenizer: TextTokenizer) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.generator = new Generator(model);
  }

  run(input: string, options?: TextGenerationOptions): Promise<{ generated_text: string }[]>;
  run(inputs: readonly string[], options?: TextGenerationOptions): Promise<{ generated_text: string }[][]>;
  async run(inputs: string | readonly string[], { returnFullText = true, ...options }: TextGenerationOptions = {}) {
    return each(inputs, async (prompt: string) => {
      const ids = await this.promptOf(prompt);
      const made: number[] = [];
      for await (const id of this.generator.generate(ids, options)) made.push(id);
      // what the prompt alone decodes to is cut off, so that spaces at the seam come out right
      const before = (await this.tokenizer.decode(ids)).length;
      const fresh = (await this.tokenizer.decode([...ids, ...made])).slice(before);
      return [{ generated_text: returnFullText ? prompt + fresh : fresh }];
    });
  }

  /** Ids of a prompt; an empty one becomes the token that begins texts. */
  private async promptOf(prompt: string): Promise<number[]> {
    const ids = await this.tokenizer.encode(prompt);
    const { bos } = this.tokenizer.special;
    const begin = bos === undefined ? null : this.tokenizer.tokenToId(bos);
    return ids.length > 0 || begin === null ? ids : [begin];
  }

  dispose(): void {
    this.generator.dispose();
    this.model.dispose();
  }
}

/** What a text that was written is called in the result. */
const fields = { "text2text-generation": "generated_text", summarization: "summary_text", translation: "translation_text" } as const;
export type Text2TextTask = keyof typeof fields;

/** Writes a text for a text: a summary, a translation, an answer. */
export class Text2TextPipeline<T extends Text2TextTask = Text2TextTask> {
  private readonly model: Seq2SeqLM;
  private readonly tokenizer: TextTokenizer;
  private readonly generator: Seq2SeqGenerator;
  private readonly task: T;

  constructor(model: Seq2SeqLM, tokenizer: TextTokenizer, task: T) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.generator = new Seq2SeqGenerator(model);
    this.task = task;
  }

  async run(inputs: string | readonly string[], options: GenerateOptions = {}): Promise<Record<(typeof fields)[T], string>[]> {
    const { maxLength } = this.model.cacheShape;
    const results = await each(inputs, async (text: string) => {
      const { ids } = await this.tokenizer.encodeText(text, { maxLength: this.tokenizer.modelMaxLength ?? maxLength });
      const made: number[] = [];
      for await (const id of this.generator.generate({ inputIds: ids }, options)) made.push(id);
      return { [fields[this.task]]: await this.tokenizer.decode(made) } as Record<(typeof fields)[T], string>;
    });
    return Array.isArray(results) ? results : [results];
  }

  dispose(): void {
    this.generator.dispose();
    this.model.dispose();
  }
}
