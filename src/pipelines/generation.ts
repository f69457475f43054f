import { type GenerateOptions, Generator, Seq2SeqGenerator } from "../generate/index.ts";
import type { CausalLM, Seq2SeqLM } from "../models/index.ts";
import { type ChatFormat, type ChatMessage, chatFormat, encodePrompt, type Tokenizer } from "../tokenizers/index.ts";
import { collect, each, textAfter } from "./common.ts";

/** How prompts are continued: as `Generator.generate`, and what of the result is given back. */
export interface TextGenerationOptions extends Omit<GenerateOptions, "stopTokens"> {
  /** The prompt is a part of what is given back. @default true */
  returnFullText?: boolean;
  /** For a chat: go on with its last message. @default when that is the assistant's */
  continueFinalMessage?: boolean;
}

/** A text that is continued, or a chat that is answered. */
export type Prompt = string | readonly ChatMessage[];
/** What was written for a prompt, under the name of transformers. */
export interface GeneratedText<P extends Prompt = Prompt> {
  /**
   * Of a text the text with what follows, of a chat its messages with the answer; without `returnFullText` what is new.
   */
  generated_text: P extends string ? string : string | ChatMessage[];
}

const isPrompt = (inputs: Prompt | readonly Prompt[]): inputs is Prompt =>
  typeof inputs === "string" || "role" in Object(inputs[0]);

/** Continues texts, and answers chats by the model's template. */
export class TextGenerationPipeline {
  private readonly model: CausalLM;
  private readonly tokenizer: Tokenizer;
  private readonly generator: Generator;
  private readonly format: ChatFormat;

  /** @param chatTemplate Jinja. @default the tokenizer's, or one line per message */
  constructor(model: CausalLM, tokenizer: Tokenizer, chatTemplate: string | undefined = tokenizer.chatTemplate) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.generator = new Generator(model);
    this.format = chatFormat(chatTemplate, tokenizer);
  }

  /**
   * One text for a prompt, in a list as in transformers; such a list for each of several prompts.
   * @throws as `Generator.generate`
   */
  run<P extends Prompt>(input: P, options?: TextGenerationOptions): Promise<GeneratedText<P>[]>;
  run<P extends Prompt>(inputs: readonly P[], options?: TextGenerationOptions): Promise<GeneratedText<P>[][]>;
  async run(inputs: Prompt | readonly Prompt[], options: TextGenerationOptions = {}) {
    if (isPrompt(inputs)) return this.one(inputs, options);
    return each(inputs, (prompt: Prompt) => this.one(prompt, options));
  }

  private async one(
    prompt: Prompt,
    { returnFullText = true, continueFinalMessage, ...options }: TextGenerationOptions,
  ): Promise<GeneratedText[]> {
    if (typeof prompt === "string") {
      const fresh = await this.continuation(await this.promptOf(prompt), options);
      return [{ generated_text: returnFullText ? prompt + fresh : fresh }];
    }
    const last = prompt[prompt.length - 1];
    const goesOn = continueFinalMessage ?? last.role === "assistant";
    const { addSpecialTokens } = this.format;
    const text = this.format.render(prompt, { continueFinalMessage: goesOn });
    const fresh = await this.continuation(await encodePrompt(this.tokenizer, text, { addSpecialTokens }), options);
    if (!returnFullText) return [{ generated_text: fresh }];
    const messages = goesOn
      ? [...prompt.slice(0, -1), { ...last, content: last.content + fresh }]
      : [...prompt, { role: "assistant", content: fresh }];
    return [{ generated_text: messages }];
  }

  private async continuation(ids: readonly number[], options: GenerateOptions): Promise<string> {
    return textAfter(this.tokenizer, ids, await collect(this.generator.generate(ids, options)));
  }

  /** Ids of a prompt; an empty one becomes the token that begins texts. */
  private async promptOf(prompt: string): Promise<number[]> {
    const ids = await this.tokenizer.encode(prompt);
    const { bos } = this.tokenizer.special;
    const begin = bos === undefined ? null : this.tokenizer.tokenToId(bos);
    return ids.length > 0 || begin === null ? ids : [begin];
  }

  /** Frees the model and the compiled graphs; the pipeline is of no use afterwards. */
  dispose(): void {
    this.generator.dispose();
    this.model.dispose();
  }
}

/** What a text that was written is called in the result. */
const fields = {
  "text2text-generation": "generated_text",
  summarization: "summary_text",
  translation: "translation_text",
} as const;
/** Tasks of models that write a text for a text. */
export type Text2TextTask = keyof typeof fields;

/** Writes a text for a text: a summary, a translation, an answer. */
export class Text2TextPipeline<T extends Text2TextTask = Text2TextTask> {
  private readonly model: Seq2SeqLM;
  private readonly tokenizer: Tokenizer;
  private readonly generator: Seq2SeqGenerator;
  private readonly task: T;

  constructor(model: Seq2SeqLM, tokenizer: Tokenizer, task: T) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.generator = new Seq2SeqGenerator(model);
    this.task = task;
  }

  /**
   * A text for each text, in a list also for a single one, under the name of its task: `generated_text`,
   * `summary_text` or `translation_text`. Inputs are cut to what the tokenizer or the model takes.
   * @throws as `Seq2SeqGenerator.generate`
   */
  async run(
    inputs: string | readonly string[],
    options: GenerateOptions = {},
  ): Promise<Record<(typeof fields)[T], string>[]> {
    const { maxLength } = this.model.cacheShape;
    const results = await each(inputs, async (text: string) => {
      const { ids } = await this.tokenizer.encodeText(text, { maxLength: this.tokenizer.modelMaxLength ?? maxLength });
      const outputIds = await collect(this.generator.generate({ inputIds: ids }, options));
      return { [fields[this.task]]: await this.tokenizer.decode(outputIds) } as Record<(typeof fields)[T], string>;
    });
    return Array.isArray(results) ? results : [results];
  }

  /** Frees the model and the compiled graphs; the pipeline is of no use afterwards. */
  dispose(): void {
    this.generator.dispose();
    this.model.dispose();
  }
}
