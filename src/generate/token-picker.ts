import { numberRules, OptionError, requireNumbers } from "../base/index.ts";
import type { BeamSettings, ContrastiveSettings } from "./beams/hypotheses.ts";
import { type FollowedSettings, type GenerationSettings, settingsOf } from "./generation-config.ts";
import type { ConstraintMaker, PickConstraint } from "./grammar/pick-constraint.ts";
import { constrain } from "./grammar/token-mask.ts";
import { LogprobReader, type TokenLogprobs } from "./log-probabilities.ts";
import { type LogitsProcessor, type Progress, processorsOf, type TimeRule } from "./processors/index.ts";
import { Sampler } from "./sampler.ts";
import type { BuiltWays } from "./search-settings.ts";
import { acceptToken, type Proposals, requirePlaces } from "./speculation/index.ts";
import type { LogitsWarper } from "./warpers/index.ts";

/** How the tokens of a text are picked, and where it ends. */
export interface PickOptions extends GenerationSettings {
  /** A whole number; the same seed gives the same text. @default another each time */
  seed?: number;
  /**
   * Tokens that end the text and are not given out. @default those of generation_config.json, or else of the model's
   * config
   */
  stopTokens?: readonly number[];
  /**
   * Sees the logits of each token, f32 [V], after the rules, and the token that was picked; also the one that ends the
   * text.
   */
  onLogits?: (logits: Float32Array, picked: number) => void;
  /** Change the logits of each token, after the settings. @default nothing */
  processors?: readonly LogitsProcessor[];
  /** Narrow down what is drawn, after the limits; to give some says that something is drawn. @default nothing */
  warpers?: readonly LogitsWarper[];
  /** How many of the likeliest tokens `onLogprobs` is told beside the one that was picked. @default 0 */
  topLogprobs?: number;
  /** Sees how probable each token was to the model, before any setting; also the one that ends the text. */
  onLogprobs?: (logprobs: TokenLogprobs) => void;
  /** Which tokens may follow, after all else: `grammarConstraint` makes one. @default any */
  constraint?: ConstraintMaker;
  /** Of speech models: how tokens that say times are picked. */
  times?: TimeRule;
}

/** The model's side of it. */
export interface PickedModel {
  readonly config: { readonly eosTokenId: number | readonly number[] | null };
  readonly generationConfig: Readonly<Record<string, unknown>>;
  /** Tokens that end a text, of models whose generation_config.json does not say it. */
  readonly endTokenIds?: readonly number[];
}

/** Most tokens of an answer, and whether the caller said so. */
export interface AnswerLimit {
  tokens: number | undefined;
  isAsked: boolean;
}

/** Picks the tokens of one text, by the caller's options and the model's generation_config.json. */
export class TokenPicker {
  /** The text so far. */
  readonly ids: number[];
  /** Of the token that was picked last, with `topLogprobs` or `onLogprobs`. */
  logprobs: TokenLogprobs | undefined;
  /** Most tokens that the text may have. Set before the first is picked. */
  maxLength = Number.POSITIVE_INFINITY;
  /** Tokens that end the text. */
  readonly stops: ReadonlySet<number>;
  private readonly startLength: number;
  private readonly settings: FollowedSettings;
  private readonly processors: readonly LogitsProcessor[];
  private readonly sampler: Sampler;
  private readonly onLogits: PickOptions["onLogits"];
  private readonly onLogprobs: PickOptions["onLogprobs"];
  private readonly logprobReader: LogprobReader | undefined;
  private readonly constraint: PickConstraint | undefined;
  private readonly source: readonly number[] | undefined;
  private readonly deadline: number;

  /**
   * @param source what was read, or the prompt; undefined for what is no text
   * @throws OptionError or DataError naming what cannot be followed
   */
  constructor(
    model: PickedModel,
    start: readonly number[],
    source: readonly number[] | undefined,
    options: PickOptions,
    built: BuiltWays = {},
  ) {
    const {
      seed,
      stopTokens,
      onLogits,
      times,
      processors = [],
      warpers = [],
      topLogprobs,
      onLogprobs,
      constraint,
      ...others
    } = options;
    const hasLogprobs = topLogprobs !== undefined || onLogprobs !== undefined;
    this.settings = settingsOf(model.generationConfig, drawing(others, warpers), {
      ...built,
      ...((onLogits || times || hasLogprobs || constraint) && { hasBeams: false, hasContrastive: false }),
    });
    requireFollowed(this.settings, source);
    requireFunctions(processors);
    requireNumbers("generate", { topLogprobs: topLogprobs ?? 0 }, { topLogprobs: numberRules.wholeNumber });
    this.ids = [...start];
    this.startLength = start.length;
    this.source = source;
    const stated = model.endTokenIds ?? this.settings.eosTokenId;
    const ends = stated.length > 0 ? stated : [model.config.eosTokenId ?? []].flat();
    this.stops = new Set(stopTokens ?? ends);
    const rules = { ...this.settings, eosTokenId: [...new Set([...ends, ...this.stops])], times };
    this.processors = processorsOf(rules, processors);
    this.sampler = new Sampler({ ...this.settings.limits, ...(seed !== undefined && { seed }), warpers });
    this.constraint = constraint?.([...this.stops]);
    this.onLogits = onLogits;
    this.onLogprobs = onLogprobs;
    if (hasLogprobs)
      this.logprobReader = new LogprobReader(topLogprobs ?? 0, this.processors.length > 0 || constraint !== undefined);
    this.deadline = performance.now() + 1000 * (this.settings.maxTime ?? Number.POSITIVE_INFINITY);
  }

  /** The next token, which the text then has; undefined when it ends the text. */
  next(logits: Float32Array): number | undefined {
    return this.nextBy(logits, (ruled) => this.sampler.pick(ruled));
  }

  /**
   * The next tokens where some were proposed, which the text then has: those that are accepted and one more, fewer
   * where the text ends or is full. They are distributed as if `next` had picked each, and without draws they are the
   * same.
   * @param rows logits at the place of each proposal, and after the last, f32 [V] each, which it changes
   * @returns the tokens, and whether the text has ended
   * @throws DataError for another number of rows
   */
  nextOf(rows: readonly Float32Array[], { ids, distributions }: Proposals): { ids: number[]; isEnded: boolean } {
    const { sampler } = this;
    requirePlaces(rows.length, ids);
    const picked: number[] = [];
    for (const [i, logits] of rows.entries()) {
      const id = this.nextBy(logits, (ruled) =>
        i === ids.length
          ? sampler.pick(ruled)
          : acceptToken(sampler.distribution(ruled), ids[i], distributions?.[i], sampler.uniform),
      );
      if (id === undefined) return { ids: picked, isEnded: true };
      picked.push(id);
      if (id !== ids[i] || this.isFull || this.isComplete) break;
    }
    return { ids: picked, isEnded: false };
  }

  /**
   * The work of finding out which tokens may be next, in steps of a few milliseconds; `next` does what is left of it.
   * @throws (while it is done) OptionError for a grammar that takes more than it may
   */
  prepare(): Iterator<void> | undefined {
    return this.constraint?.prepare?.(this.numTokens)[Symbol.iterator]();
  }

  /** How many tokens may still follow, with one that ends the text. */
  private get numTokens(): number {
    return this.maxLength - this.ids.length + 1;
  }

  private nextBy(logits: Float32Array, pick: (ruled: Float32Array) => number): number | undefined {
    this.logprobReader?.read(logits);
    const ruled = this.ruled(logits, this.ids);
    const mask = this.constraint?.mask(this.numTokens);
    if (mask) constrain(ruled, mask);
    const id = pick(ruled);
    this.constraint?.accept(id);
    this.logprobs = this.logprobReader?.of(id);
    this.onLogits?.(logits, id);
    if (this.logprobs) this.onLogprobs?.(this.logprobs);
    return this.take(id) ? id : undefined;
  }

  /** Takes a token that was picked in another way. false where it ends the text. */
  take(id: number): boolean {
    if (this.stops.has(id)) return false;
    this.ids.push(id);
    return true;
  }

  /**
   * Applies the rules to the logits of the token after some ids, in place. otherTokens: those of other groups of a beam
   * search.
   */
  ruled(logits: Float32Array, ids: readonly number[], otherTokens?: readonly number[]): Float32Array {
    const { startLength, maxLength, source } = this;
    const progress: Progress = { ids, startLength, maxLength, source, otherTokens };
    for (const process of this.processors) process(logits, progress);
    return logits;
  }

  /** How hypotheses are followed; undefined for one text, token by token. */
  get beams(): BeamSettings | undefined {
    const { numBeams = 1, lengthPenalty, earlyStopping, ...others } = this.settings;
    const { numBeamGroups, diversityPenalty, forceWordsIds, numReturnSequences } = others;
    const search = { numBeamGroups, diversityPenalty, forceWordsIds, numReturnSequences };
    return numBeams > 1 ? { numBeams, lengthPenalty, earlyStopping, ...search } : undefined;
  }

  /** How candidates are weighed by contrastive search; undefined where tokens are picked by `next`. */
  get contrastive(): ContrastiveSettings | undefined {
    const { penaltyAlpha, contrastiveTopK } = this.settings;
    return contrastiveTopK === undefined ? undefined : { penaltyAlpha: penaltyAlpha ?? 0, topK: contrastiveTopK };
  }

  /** Whether the greatest time is over. */
  get isLate(): boolean {
    return performance.now() >= this.deadline;
  }

  /** Whether the text is whole by its constraint: it has ended, though no token says so. */
  get isComplete(): boolean {
    return this.constraint?.isComplete ?? false;
  }

  /** Whether no further token may follow. */
  get isFull(): boolean {
    return this.ids.length >= this.maxLength || (this.ids.length > this.startLength && this.isLate);
  }

  /** Tokens that may follow. */
  get room(): number {
    return Math.max(0, this.maxLength - this.ids.length);
  }

  /** How long the answer may be: what the caller says goes before what the file says. */
  limitOf({ maxNewTokens, maxLength }: GenerationSettings): AnswerLimit {
    const isAsked = maxNewTokens !== undefined || maxLength !== undefined;
    const limits = isAsked ? { maxNewTokens, maxLength } : this.settings;
    if (limits.maxNewTokens !== undefined) return { tokens: limits.maxNewTokens, isAsked };
    if (limits.maxLength === undefined) return { tokens: undefined, isAsked };
    if (limits.maxLength > this.startLength) return { tokens: limits.maxLength - this.startLength, isAsked };
    throw new OptionError({
      where: isAsked ? "generate" : "generation_config.json, max_length",
      expected: `maxLength above ${this.startLength}, the tokens of the prompt`,
      received: String(limits.maxLength),
      fix: "shorten the prompt, or give maxNewTokens",
    });
  }
}

/** @throws OptionError for settings that need what is not there */
function requireFollowed(
  { stopStrings = [], drySequenceBreakers = [], ...others }: FollowedSettings,
  source: unknown,
): void {
  const { encoderRepetitionPenalty = 1, encoderNoRepeatNgramSize = 0 } = others;
  const requireNone = (texts: readonly string[], name: string, option: string) => {
    if (texts.length === 0) return;
    const [expected, received] = [`no ${name}, which need a tokenizer`, JSON.stringify(texts).slice(0, 60)];
    throw new OptionError({ where: "generate", expected, received, fix: `use generateText, or give ${option}: []` });
  };
  requireNone(stopStrings, "stop_strings", "stopStrings");
  requireNone(drySequenceBreakers, "drySequenceBreakers", "drySequenceBreakers");
  if (source === undefined && (encoderRepetitionPenalty !== 1 || encoderNoRepeatNgramSize > 0)) {
    const expected = "a text to be read, with encoderRepetitionPenalty or encoderNoRepeatNgramSize";
    throw new OptionError({ where: "generate", expected, received: "a sound or an image", fix: "set them to 1 and 0" });
  }
}

/** @throws OptionError for what is no list of functions */
function requireFunctions(processors: readonly unknown[]): void {
  if (Array.isArray(processors) && processors.every((processor) => typeof processor === "function")) return;
  const fix = "give functions of logits and a Progress";
  throw new OptionError({
    where: "generate",
    expected: "processors to be functions",
    received: typeof processors,
    fix,
  });
}

/** The settings, with draws where there are warpers. @throws OptionError where nothing is to be drawn */
function drawing(settings: GenerationSettings, warpers: readonly LogitsWarper[]): GenerationSettings {
  if (warpers.length === 0) return settings;
  const { doSample = true, temperature } = settings;
  if (doSample && temperature !== 0) return { ...settings, doSample };
  const received = doSample ? "temperature: 0" : "doSample: false";
  throw new OptionError({
    where: "generate",
    expected: "draws with warpers, which narrow down what is drawn",
    received,
    fix: "leave it out, or give processors, which change what is likeliest too",
  });
}
