import { checkOptions, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import { type CausalLM, requireNoPrefix } from "../models/index.ts";
import { type BeamText, searchBeams, searchContrastive } from "./beams/index.ts";
import { type CacheScales, scalesOf } from "./cache-scales.ts";
import { ContextLengthError } from "./context-length.ts";
import { type DeviceCacheOptions, requireCacheOptions } from "./device-cache.ts";
import type { FinishReason } from "./finish-reason.ts";
import { ModelStructure } from "./model-structure.ts";
import { rowOptionNames } from "./pick-option-names.ts";
import { SearchRows } from "./search-rows.ts";
import type { BuiltWays } from "./search-settings.ts";
import { requirePrompt } from "./token-ids.ts";
import { type PickOptions, TokenPicker } from "./token-picker.ts";
import { Turns } from "./turns.ts";

/** How a search is made, how tokens are weighed in it, and where its texts end. */
export interface SearchOptions extends Omit<PickOptions, "times"> {
  /** Ends the search, and the run under way before its next operator (by onnxruntime-node and in pages, at its end). */
  signal?: AbortSignal;
}

/** Sizes of a generator: they decide its memory. */
export interface SearchGeneratorOptions extends Pick<DeviceCacheOptions, "cacheDtype" | "initialRoom"> {
  /** Most tokens of a prompt and its answer together. @default the longest context of the model */
  contextLength?: number;
  /** Tokens of a prompt that are run at once. @default 512 */
  prefillTokens?: number;
}

const DEFAULT_NEW_TOKENS = 128;

/**
 * Searches of a decoder, which look at several texts to write one: beam search with its kinds (`numBeams`,
 * `numBeamGroups`, `forceWordsIds`) and contrastive search (`penaltyAlpha`). One text at a time; each hypothesis, or
 * candidate, has a row of the cache.
 */
export class SearchGenerator {
  readonly model: CausalLM;
  readonly contextLength: number;
  private readonly options: Required<Pick<SearchGeneratorOptions, "prefillTokens">> & SearchGeneratorOptions;
  private readonly structure: ModelStructure;
  private readonly turns = new Turns();
  private readonly scales: CacheScales | undefined;
  private readonly ownsScales: boolean;
  private rows: SearchRows | undefined;

  /**
   * @param scales those of another generator of the same model, of a cache in int8. @default its own
   * @throws OptionError for a context longer than the model's, and for unknown options
   */
  constructor(model: CausalLM, options: SearchGeneratorOptions = {}, scales?: CacheScales) {
    checkOptions("SearchGenerator", options, ["contextLength", "prefillTokens", "cacheDtype", "initialRoom"]);
    const { maxPositionEmbeddings } = model.config;
    const { contextLength = maxPositionEmbeddings, prefillTokens = 512 } = options;
    const { positiveInteger } = numberRules;
    requireNumbers(
      "SearchGenerator",
      { contextLength, prefillTokens },
      { contextLength: positiveInteger, prefillTokens: positiveInteger },
    );
    if (contextLength > maxPositionEmbeddings)
      throw new OptionError({
        where: "SearchGenerator",
        expected: `a contextLength from 1 to ${maxPositionEmbeddings}`,
        received: String(contextLength),
        fix: "choose one the model knows positions for",
      });
    this.model = model;
    this.contextLength = contextLength;
    this.options = { ...options, prefillTokens };
    this.scales = scales ?? scalesOf(model, requireCacheOptions(options).cacheDtype);
    this.ownsScales = scales === undefined;
    this.structure = new ModelStructure(model);
  }

  /**
   * Writes the best texts of a beam search, `numReturnSequences` of them, the best first. Calls wait for one another.
   * @throws OptionError for wrong options, or without `numBeams`; ContextLengthError when prompt and answer exceed the
   *   context; DataError for an empty prompt or an id outside the vocabulary
   */
  async generateSequences(
    prompt: readonly number[],
    { signal, ...settings }: SearchOptions = {},
  ): Promise<readonly BeamText[]> {
    const picker = this.pickerOf(prompt, settings, { hasBeams: true, hasSequences: true });
    const { beams } = picker;
    if (!beams) throw noSearch("generateSequences", "numBeams above 1");
    if (picker.isFull) return []; // nothing is asked for
    const release = await this.turns.take(signal);
    try {
      return await searchBeams(this.currentRows().beams(prompt, beams.numBeams), picker, signal);
    } finally {
      release();
    }
  }

  /**
   * Continues a prompt by contrastive search, giving tokens as they are picked, or by beam search, where they all come
   * at the end. Calls wait for one another.
   * @throws as `generateSequences`; OptionError without `numBeams` and `penaltyAlpha`
   */
  async *generate(
    prompt: readonly number[],
    { signal, ...settings }: SearchOptions = {},
  ): AsyncGenerator<number, FinishReason, void> {
    const picker = this.pickerOf(prompt, settings, { hasBeams: true, hasContrastive: true });
    const { beams, contrastive } = picker;
    if (!beams && !contrastive) throw noSearch("generate", "numBeams above 1, or penaltyAlpha above 0");
    if (picker.isFull) return "length";
    const release = await this.turns.take(signal);
    try {
      const rows = this.currentRows();
      if (contrastive) return yield* searchContrastive(rows.contrastive(prompt, contrastive.topK), picker, signal);
      const [best] = await searchBeams(rows.beams(prompt, (beams as { numBeams: number }).numBeams), picker, signal);
      yield* best.ids;
      return best.finishReason;
    } finally {
      release();
    }
  }

  /** Rows of the model as it is now: parts of it may have been exchanged. */
  private currentRows(): SearchRows {
    if (this.structure.hasChanged()) this.disposeRows();
    const { contextLength: maxLength, options, scales } = this;
    const { prefillTokens, cacheDtype, initialRoom } = options;
    this.rows ??= new SearchRows(this.model, { maxLength, prefillTokens, cacheDtype, initialRoom, scales });
    return this.rows;
  }

  private pickerOf(prompt: readonly number[], settings: Omit<SearchOptions, "signal">, built: BuiltWays): TokenPicker {
    checkOptions("generate", settings, rowOptionNames);
    requireNoPrefix("SearchGenerator", this.model);
    requirePrompt(prompt, this.model.config.vocabSize);
    const picker = new TokenPicker(this.model, prompt, prompt, settings, built);
    const { tokens, isAsked } = picker.limitOf(settings);
    const { cacheLimit = this.contextLength } = this.model;
    // keys up to the limit do not fit beyond it
    const contextLength = prompt.length > cacheLimit ? this.contextLength : Math.min(cacheLimit, this.contextLength);
    const room = contextLength - prompt.length;
    if (isAsked ? (tokens as number) > room : room <= 0)
      throw new ContextLengthError({
        promptTokens: prompt.length,
        maxNewTokens: isAsked ? tokens : undefined,
        contextLength,
      });
    picker.maxLength = prompt.length + Math.min(tokens ?? DEFAULT_NEW_TOKENS, room);
    return picker;
  }

  /** Frees the caches and compiled graphs. The model is left: whoever loaded it disposes of it. */
  dispose(): void {
    this.disposeRows();
    if (this.ownsScales) this.scales?.dispose();
  }

  private disposeRows(): void {
    this.rows?.dispose();
    this.rows = undefined;
  }
}

const noSearch = (where: string, expected: string) =>
  new OptionError({ where, expected, received: "neither", fix: "use Generator to write token by token" });
