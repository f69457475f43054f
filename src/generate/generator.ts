import { checkOptions, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import { type CausalLM, requireNoPrefix } from "../models/index.ts";
import { defaultDevice } from "../tensor/index.ts";
import { GeneratorAdapters } from "./adapters.ts";
import type { BeamText } from "./beams/index.ts";
import { type CacheScales, scalesOf } from "./cache-scales.ts";
import type { EmbeddedPrompt } from "./causal-decoder.ts";
import { ContextLengthError } from "./context-length.ts";
import { type DeviceCacheOptions, requireCacheOptions } from "./device-cache.ts";
import { CausalRows } from "./engine/causal-rows.ts";
import { CausalSlots } from "./engine/causal-slots.ts";
import { Engine, type EngineLoad } from "./engine/engine.ts";
import {
  type ContextLimits,
  requirePlace,
  roomOfEmbedded,
  type Sequence,
  type SequenceOptions,
} from "./engine/sequence.ts";
import { type RowToken, rowTokensOf, tokensOf } from "./engine/sequence-tokens.ts";
import type { FinishReason } from "./finish-reason.ts";
import type { ScoredToken } from "./log-probabilities.ts";
import { pickOptionNames, placeNames, rowOptionNames } from "./pick-option-names.ts";
import { PromptScorer, type ScoreOptions } from "./prompt-scorer.ts";
import { SearchGenerator, type SearchOptions } from "./search-generator.ts";
import { proposerOf, type SpeculationOptions, speculationNames, withoutSpeculation } from "./speculation/index.ts";
import { TextPrefixPlan } from "./text-prefix.ts";
import { requirePrompt } from "./token-ids.ts";
import { type AnswerLimit, type PickOptions, TokenPicker } from "./token-picker.ts";

/** Who goes first where texts wait for one another. */
export interface PlaceOptions {
  /** Texts of a higher one go first, and take the place of others where there is none. @default 0 */
  priority?: number;
  /** Whose text it is: who waits shares the model evenly with others, however many texts each has. @default "" */
  group?: string;
}

/** How a text is continued: how tokens are picked, where it ends, and what happens when the context is full. */
export interface GenerateOptions extends Omit<PickOptions, "times">, PlaceOptions, SpeculationOptions {
  /**
   * When the context is full, forget the older half of it and go on, rather than refuse what will not fit. @default
   * false
   */
  contextShift?: boolean;
  /** Ends the text, and the run under way before its next operator (by onnxruntime-node and in pages, at its end). */
  signal?: AbortSignal;
  /** The name of the adapter that it is written with; see `Generator.adapters`. @default none */
  adapter?: string;
}

/** One of several texts: its prompt, with what is its own of the settings. */
export interface BatchPrompt extends Omit<GenerateOptions, "signal"> {
  ids: readonly number[];
  embedded?: EmbeddedPrompt;
}

const DEFAULT_NEW_TOKENS = 128;

/** Sizes of a generator: they decide its memory, and how long texts wait for one another. */
export interface GeneratorOptions extends Pick<DeviceCacheOptions, "cacheDtype" | "initialRoom"> {
  /**
   * Most tokens of a prompt and its answer together. Memory follows the text, not this. @default the longest context of
   * the model
   */
  contextLength?: number;
  /** Tokens of prompts that are run at once: between two pieces other work gets its turn. @default 512 */
  prefillTokens?: number;
  /** The same while other texts are being written, whose next tokens wait for it. @default 128 */
  sharedPrefillTokens?: number;
  /** Most texts that are written at the same time; further ones wait. @default 16 */
  maxSequences?: number;
  /**
   * Most positions of all texts together that there is room for; texts give way to others before there are more.
   * @default no limit
   */
  cacheTokens?: number;
  /**
   * Tokens of beginnings that are kept when other texts take their places, so that a text that begins alike need not
   * read them again. What the places hold is used in any case. @default 0
   */
  prefixTokens?: number;
  /**
   * Adapters that texts written at the same time may have; see `Generator.adapters`. A step of several texts with
   * different ones reads so many, whether they are loaded or not. @default 0
   */
  maxAdapters?: number;
  /** Largest rank of an adapter. Memory follows the adapters, not this. @default 64 */
  maxAdapterRank?: number;
}

const sizes = {
  prefillTokens: { least: 1, most: Number.MAX_SAFE_INTEGER, otherwise: 512 },
  sharedPrefillTokens: { least: 1, most: Number.MAX_SAFE_INTEGER, otherwise: 128 },
  maxSequences: { least: 1, most: 4096, otherwise: 16 },
  cacheTokens: { least: 1, most: Number.MAX_SAFE_INTEGER, otherwise: Number.POSITIVE_INFINITY },
  prefixTokens: { least: 0, most: Number.MAX_SAFE_INTEGER, otherwise: 0 },
  maxAdapters: { least: 0, most: 1024, otherwise: 0 },
  maxAdapterRank: { least: 1, most: 4096, otherwise: 64 },
} as const;

/**
 * Generates with a model, one text or several together: calls that are made while others run are written beside them.
 * Keys and values of the positions seen are kept in a cache on the device that is updated in place, so a token costs
 * the same early and late but for the attention itself. A text is written by the layers that the model has when it
 * begins: those that `mapModules` put in are taken by the next, when those under way have ended.
 */
export class Generator {
  readonly model: CausalLM;
  readonly contextLength: number;
  /** Most texts that are written at the same time. */
  readonly maxSequences: number;
  /** Adapters that texts may be written with, each with its own: loaded and unloaded while others are written. */
  readonly adapters: GeneratorAdapters;
  private readonly engine: Engine;
  private readonly limits: ContextLimits;
  /** Of a cache in int8. */
  private readonly scales: CacheScales | undefined;
  private readonly scorer: PromptScorer;
  private readonly searches: SearchGenerator;

  /** @throws OptionError for a context longer than the model's, and for unknown options */
  constructor(model: CausalLM, options: GeneratorOptions = {}) {
    const names = Object.keys(sizes) as (keyof typeof sizes)[];
    checkOptions("Generator", options, ["contextLength", ...names, "cacheDtype", "initialRoom"]);
    const { maxPositionEmbeddings } = model.config;
    const { contextLength = maxPositionEmbeddings } = options;
    const requireCount = (
      name: string,
      value: number,
      [least, most]: [number, number],
      expected: string,
      fix: string,
    ) => {
      if (Number.isInteger(value) && value >= least && value <= most) return;
      throw new OptionError({ where: "Generator", expected: `${name} ${expected}`, received: String(value), fix });
    };
    const fix = "choose one the model knows positions for";
    requireCount(
      "a contextLength",
      contextLength,
      [1, maxPositionEmbeddings],
      `from 1 to ${maxPositionEmbeddings}`,
      fix,
    );
    const counts = {} as Record<keyof typeof sizes, number>;
    for (const name of names) {
      const { least, most, otherwise } = sizes[name];
      const expected = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
      counts[name] = options[name] ?? otherwise;
      if (counts[name] !== otherwise)
        requireCount(name, counts[name], [least, most], `that is a whole number ${expected}`, "leave it out");
    }
    const { cacheDtype, initialRoom } = requireCacheOptions(options);
    this.model = model;
    this.contextLength = contextLength;
    this.maxSequences = counts.maxSequences;
    this.limits = { contextLength, cacheLimit: model.cacheLimit };
    this.adapters = new GeneratorAdapters(model, counts.maxAdapters, counts.maxAdapterRank);
    const { pool: adapters } = this.adapters;
    this.scales = scalesOf(model, cacheDtype);
    const { scales } = this;
    const cache = { ...counts, adapters, contextLength, cacheDtype, initialRoom, scales };
    this.scorer = new PromptScorer(model, { ...counts, cacheDtype, initialRoom, scales, maxLength: contextLength });
    const { prefillTokens } = counts;
    this.searches = new SearchGenerator(model, { contextLength, prefillTokens, cacheDtype, initialRoom }, scales);
    this.engine = new Engine({
      ...counts,
      limits: this.limits,
      runner: async () => {
        const device = defaultDevice();
        return (await device.sharesMemory)
          ? new CausalSlots(model, { ...cache, device })
          : new CausalRows(model, { ...cache, maxLength: contextLength });
      },
    });
  }

  /** What there is to do now, and what was done. */
  get load(): EngineLoad {
    return this.engine.load;
  }

  /**
   * Compiles what texts without adapters need, so that they need not wait for it: what reads prompts and gives the
   * first token, and with a number of `texts` that will be written together what is faster for their further tokens.
   * Texts that come before the end wait for what they need alone. @param texts at most `maxSequences`. @default 0
   */
  async prepare(texts = 0): Promise<void> {
    await this.engine.prepare(Math.min(texts, this.maxSequences));
  }

  /**
   * Continues a prompt, giving tokens as they are made. A text with an `embedded` prompt ends where the context is
   * full. It is written when tokens are asked for, beside the texts of other calls; one of which no token is asked for
   * a second gives its place to others, and goes on later, unless it has an `embedded` prompt. What looks at several
   * texts to write one (`numBeams`, `penaltyAlpha`) is left to a `SearchGenerator`: searches run beside other texts,
   * one after another, and those of beams give their tokens at the end.
   * @throws ContextLengthError when the prompt and `maxNewTokens` exceed the context; DataError for an empty prompt or
   *   an id outside the vocabulary; OptionError for wrong options
   */
  async *generate(
    prompt: readonly number[],
    options: GenerateOptions = {},
    embedded?: EmbeddedPrompt,
  ): AsyncGenerator<number, FinishReason, void> {
    checkOptions("generate", options, [
      ...pickOptionNames,
      ...placeNames,
      ...speculationNames,
      "contextShift",
      "adapter",
    ]);
    const { signal, ...settings } = options;
    const batch = [{ ids: prompt, embedded, ...settings }];
    const [text] = this.textsOf(batch, signal);
    return yield* text.tokens;
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
    const texts = this.textsOf(prompts, signal);
    try {
      return yield* rowTokensOf(texts.map(({ tokens }) => tokens));
    } finally {
      for (const { sequence } of texts) sequence?.abandon();
    }
  }

  /** How texts come into being: all are looked at before any is begun. */
  private textsOf(prompts: readonly BatchPrompt[], signal: AbortSignal | undefined): WrittenText[] {
    const plans = prompts.map((prompt) => this.planOf(prompt));
    return plans.map((plan, i) => {
      if (isSearch(plan.picker))
        return { tokens: this.searches.generate(plan.prompt, searchOptions(prompts[i], signal)) };
      const sequence = this.begin(plan, prompts[i], signal);
      return { sequence, tokens: tokensOf(sequence) };
    });
  }

  /** A text that the engine writes by a plan. @param adapter the name of the one that it has */
  private begin(plan: SequenceOptions, { adapter: name }: BatchPrompt, signal: AbortSignal | undefined): Sequence {
    const { adapter, end: onEnd } = name === undefined ? {} : this.adapters.begin(name);
    return this.engine.add({ ...plan, signal, adapter, onEnd });
  }

  /**
   * Writes the best texts of a beam search, `numReturnSequences` of them, the best first.
   * @throws as `generate`; OptionError without `numBeams`
   */
  async generateSequences(prompt: readonly number[], options: SearchOptions = {}): Promise<readonly BeamText[]> {
    return this.searches.generateSequences(prompt, options);
  }

  /**
   * How probable each token of a text is after those before it, in nats, before any setting, and its rank among all;
   * NaN for the first. Texts that are being written get their tokens in between; calls wait for one another.
   * @throws ContextLengthError for a text of more than one token beyond the context (the last is only looked at, not
   *   read); DataError for an empty one or an id outside the vocabulary; OptionError for wrong options, and a model
   *   with prompt or prefix tuning; the signal's reason
   */
  async score(ids: readonly number[], options: ScoreOptions = {}): Promise<ScoredToken[]> {
    checkOptions("score", options, ["topLogprobs", "signal"]);
    requireNoPrefix("score", this.model);
    const { topLogprobs = 0 } = options;
    requireNumbers("score", { topLogprobs }, { topLogprobs: numberRules.wholeNumber });
    requirePrompt(ids, this.model.config.vocabSize);
    const { contextLength } = this;
    if (ids.length > contextLength + 1) throw new ContextLengthError({ promptTokens: ids.length, contextLength });
    return this.scorer.score(ids, options);
  }

  /** How a text is written. @throws as `generate` */
  private planOf(prompt: BatchPrompt): SequenceOptions {
    const { ids, embedded, contextShift = false, priority, group, adapter, ...others } = prompt;
    const settings = withoutSpeculation(others);
    checkOptions("generate", settings, rowOptionNames);
    const pooled = adapter === undefined ? undefined : this.adapters.require(adapter);
    requirePlace({ priority, group });
    requirePrompt(ids, this.model.config.vocabSize);
    const room = roomOfEmbedded(this.limits);
    if (embedded && ids.length > room) throw new ContextLengthError({ promptTokens: ids.length, contextLength: room });
    const picker = new TokenPicker(this.model, ids, ids, settings, { hasBeams: true, hasContrastive: true });
    const proposer = proposerOf(others, this);
    const prefix = new TextPrefixPlan(this.model, pooled?.prefix);
    if (isSearch(picker)) requireSearchable({ embedded, contextShift, proposer, adapter });
    prefix.requireFit({ embedded, contextShift, proposer, isSearch: isSearch(picker) });
    const contextLength = contextShift || embedded ? Number.POSITIVE_INFINITY : this.contextLength;
    picker.maxLength = ids.length + newTokens(prefix.length + ids.length, picker.limitOf(settings), contextLength);
    const onEnter = () => prefix.requireCurrent();
    return { prompt: [...prefix.ids, ...ids], picker, embedded, proposer, priority, group, onEnter };
  }

  /** Frees the caches and compiled graphs. The model is left: whoever loaded it disposes of it. */
  dispose(): void {
    this.engine.dispose();
    void this.engine.idle().then(() => {
      this.adapters.pool?.dispose();
      this.scales?.dispose();
    });
    this.scorer.dispose();
    this.searches.dispose();
  }
}

/** A text that is being written; a search has no sequence. */
interface WrittenText {
  tokens: AsyncGenerator<number, FinishReason, void>;
  sequence?: Sequence;
}

const isSearch = ({ beams, contrastive }: TokenPicker): boolean => beams !== undefined || contrastive !== undefined;

/** @throws OptionError for what a search cannot be combined with */
function requireSearchable({ embedded, contextShift, proposer, adapter }: Record<string, unknown>): void {
  const names = {
    "an embedded prompt": embedded,
    contextShift,
    "proposals of tokens": proposer,
    "an adapter": adapter,
  };
  const received = Object.keys(names)
    .filter((name) => names[name as keyof typeof names])
    .join(", ");
  if (received === "") return;
  const expected = "token by token, or a search (numBeams, penaltyAlpha) of ids within the context";
  const fix = "leave it out, or give numBeams: 1 and no penaltyAlpha";
  throw new OptionError({ where: "generate", expected, received, fix });
}

/** Searches come in their order, whoever asks. */
function searchOptions(prompt: BatchPrompt, signal: AbortSignal | undefined): SearchOptions {
  const { ids: _, embedded: __, contextShift: ___, priority: ____, group: _____, ...settings } = prompt;
  return { ...withoutSpeculation(settings), signal };
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
