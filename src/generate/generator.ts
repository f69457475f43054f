import { checkOptions, DataError, OptionError } from "../base/index.ts";
import type { CausalLM } from "../models/index.ts";
import { CachedText, type CausalContext, CausalTexts, causalDecoder, type EmbeddedPrompt } from "./causal-texts.ts";
import { ContextLengthError } from "./context-length.ts";
import { DecoderRunners } from "./decoder-runner.ts";
import type { DeviceCacheOptions } from "./device-cache.ts";
import { generationSettingNames } from "./generation-config.ts";
import { requireTokenIds } from "./token-ids.ts";
import { type AnswerLimit, type PickOptions, TokenPicker } from "./token-picker.ts";
import { Turns } from "./turns.ts";
import { type FinishReason, onlyText, type RowToken, writeTexts } from "./write-texts.ts";

/** How a text is continued: how tokens are picked, where it ends, and what happens when the context is full. */
export interface GenerateOptions extends Omit<PickOptions, "times"> {
  /**
   * When the context is full, forget the older half of it and go on, rather than refuse what will not fit. @default
   * false
   */
  contextShift?: boolean;
  /** Ends the text, and the run under way before its next operator (by onnxruntime-node and in pages, at its end). */
  signal?: AbortSignal;
}

export const pickOptionNames = [...generationSettingNames, "seed", "stopTokens", "onLogits", "signal"] as const;
/** Those of one of several texts: they are written, and ended, together. */
export const rowOptionNames = pickOptionNames.filter((name) => name !== "signal");

/** One of several texts: its prompt, with what is its own of the settings. */
export interface BatchPrompt extends Omit<GenerateOptions, "signal"> {
  ids: readonly number[];
  embedded?: EmbeddedPrompt;
}

const DEFAULT_NEW_TOKENS = 128;

/** Sizes of a generator: they decide its memory and how long a piece of a prompt keeps the device. */
export interface GeneratorOptions extends Pick<DeviceCacheOptions, "cacheDtype" | "initialRoom"> {
  /**
   * Most tokens of a prompt and its answer together. Memory follows the text, not this. @default the longest context of
   * the model
   */
  contextLength?: number;
  /** Tokens of a prompt that are run at once: between two pieces other work gets its turn. @default 512 */
  prefillTokens?: number;
}

/**
 * Generates with a model, one text at a time or several together. Keys and values of the positions seen are kept in a
 * cache on the device that is updated in place, so a token costs the same early and late but for the attention itself.
 * A text is written by the layers that the model has when it begins: those that `mapModules` put in are taken by the
 * next.
 */
export class Generator {
  readonly model: CausalLM;
  readonly contextLength: number;
  private readonly runners: DecoderRunners<CausalContext>;
  /** Where every text begins, and where one alone is written. */
  private readonly first: CachedText;
  private readonly turns = new Turns();

  /** @throws OptionError for a context longer than the model's, and for unknown options */
  constructor(model: CausalLM, options: GeneratorOptions = {}) {
    checkOptions("Generator", options, ["contextLength", "prefillTokens", "cacheDtype", "initialRoom"]);
    const { maxPositionEmbeddings } = model.config;
    const { contextLength = maxPositionEmbeddings, prefillTokens = 512, ...cacheOptions } = options;
    const requireCount = (name: string, value: number, largest: number, expected: string, fix: string) => {
      if (Number.isInteger(value) && value >= 1 && value <= largest) return;
      throw new OptionError({ where: "Generator", expected: `${name} ${expected}`, received: String(value), fix });
    };
    const fix = "choose one the model knows positions for";
    requireCount("a contextLength", contextLength, maxPositionEmbeddings, `from 1 to ${maxPositionEmbeddings}`, fix);
    requireCount("prefillTokens", prefillTokens, Number.POSITIVE_INFINITY, "of at least 1", "leave it out");
    this.model = model;
    this.contextLength = contextLength;
    this.runners = new DecoderRunners(causalDecoder(model), { maxLength: contextLength, ...cacheOptions });
    this.first = new CachedText(model, this.runners.single, prefillTokens);
  }

  /**
   * Continues a prompt, giving tokens as they are made. A text with an `embedded` prompt ends where the context is
   * full. Calls wait for one another; an abort ends the waiting too. A caller that stops reading keeps the others
   * waiting until it returns.
   * @throws ContextLengthError when the prompt and `maxNewTokens` exceed the context; DataError for an empty prompt or
   *   an id outside the vocabulary; OptionError for wrong options
   */
  async *generate(
    prompt: readonly number[],
    options: GenerateOptions = {},
    embedded?: EmbeddedPrompt,
  ): AsyncGenerator<number, FinishReason, void> {
    checkOptions("generate", options, [...pickOptionNames, "contextShift"]);
    const { signal, ...settings } = options;
    return yield* onlyText(this.generateBatch([{ ids: prompt, embedded, ...settings }], { signal }));
  }

  /**
   * Continues several prompts of any lengths together, giving tokens as they are made with the number of their prompt,
   * and at the end why each text ended. Each text is the one that `generate` gives for its prompt alone: the greedy
   * one to the token, unless two tokens are as likely up to rounding, which may differ among more rows.
   * @throws as `generate`, before anything is run
   */
  async *generateBatch(
    prompts: readonly BatchPrompt[],
    { signal }: Pick<GenerateOptions, "signal"> = {},
  ): AsyncGenerator<RowToken, FinishReason[], void> {
    const pickers = prompts.map((prompt) => this.pickerOf(prompt));
    if (pickers.every((picker) => picker.isFull)) return pickers.map(() => "length" as const); // nothing is asked for
    const release = await this.turns.take(signal);
    try {
      if (this.runners.noticeExchanges()) this.first.takeExchanged();
      const runner = this.runners.of(prompts.length);
      return yield* writeTexts(new CausalTexts(prompts, this.first, runner, signal), pickers, signal);
    } finally {
      if (prompts.some(({ embedded }) => embedded)) this.first.forget();
      release();
    }
  }

  /** @throws as `generate` */
  private pickerOf({ ids, embedded, contextShift = false, ...settings }: BatchPrompt): TokenPicker {
    checkOptions("generate", settings, rowOptionNames);
    this.checkPrompt(ids);
    if (embedded && ids.length > this.first.roomOfEmbedded)
      throw new ContextLengthError({ promptTokens: ids.length, contextLength: this.first.roomOfEmbedded });
    const picker = new TokenPicker(this.model, ids, ids, settings);
    const contextLength = contextShift || embedded ? Number.POSITIVE_INFINITY : this.contextLength;
    picker.maxLength = ids.length + newTokens(ids.length, picker.limitOf(settings), contextLength);
    return picker;
  }

  private checkPrompt(prompt: readonly number[]): void {
    if (prompt.length === 0)
      throw new DataError({
        where: "generate",
        expected: "a prompt of at least one token",
        received: "none",
        fix: "start with some text or the end-of-text token",
      });
    requireTokenIds(prompt, this.model.config.vocabSize);
  }

  /** Frees the caches and compiled graphs. The model is left: whoever loaded it disposes of it. */
  dispose(): void {
    this.runners.dispose();
  }
}

/**
 * How many tokens may follow a prompt. @throws ContextLengthError when the caller asks for more than there is room for,
 * or there is none
 */
function newTokens(promptTokens: number, { tokens, isAsked }: AnswerLimit, contextLength: number): number {
  const room = contextLength - promptTokens;
  const isFine = isAsked ? (tokens as number) <= room : room > 0;
  if (!isFine)
    throw new ContextLengthError({ promptTokens, maxNewTokens: isAsked ? tokens : undefined, contextLength });
  return Math.min(tokens ?? DEFAULT_NEW_TOKENS, room);
}
