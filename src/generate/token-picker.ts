import { OptionError } from "../base/index.ts";
import type { BeamSettings } from "./beam-search.ts";
import { type BuiltWays, type FollowedSettings, type GenerationSettings, settingsOf } from "./generation-config.ts";
import { applyRules, type GenerationRules, type TimeRule } from "./rules.ts";
import { Sampler } from "./sampler.ts";

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
  /** Most tokens that the text may have. Set before the first is picked. */
  maxLength = Number.POSITIVE_INFINITY;
  /** Tokens that end the text. */
  readonly stops: ReadonlySet<number>;
  private readonly startLength: number;
  private readonly settings: FollowedSettings;
  private readonly rules: GenerationRules;
  private readonly sampler: Sampler;
  private readonly onLogits: PickOptions["onLogits"];
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
    const { seed, stopTokens, onLogits, times, ...asked } = options;
    this.settings = settingsOf(model.generationConfig, asked, {
      ...built,
      ...((onLogits || times) && { hasBeams: false }),
    });
    requireFollowed(this.settings, source);
    this.ids = [...start];
    this.startLength = start.length;
    this.source = source;
    const stated = model.endTokenIds ?? this.settings.eosTokenId;
    const ends = stated.length > 0 ? stated : [model.config.eosTokenId ?? []].flat();
    this.stops = new Set(stopTokens ?? ends);
    this.rules = { ...this.settings, eosTokenId: [...new Set([...ends, ...this.stops])], times };
    this.sampler = new Sampler({ ...this.settings.limits, ...(seed !== undefined && { seed }) });
    this.onLogits = onLogits;
    this.deadline = performance.now() + 1000 * (this.settings.maxTime ?? Number.POSITIVE_INFINITY);
  }

  /** The next token, which the text then has; undefined when it ends the text. */
  next(logits: Float32Array): number | undefined {
    const { ids } = this;
    const id = this.sampler.pick(this.ruled(logits, ids));
    this.onLogits?.(logits, id);
    if (this.stops.has(id)) return undefined;
    ids.push(id);
    return id;
  }

  /** Applies the rules to the logits of the token after some ids, in place. */
  ruled(logits: Float32Array, ids: readonly number[]): Float32Array {
    const { startLength, maxLength, source } = this;
    applyRules(logits, this.rules, { ids, startLength, maxLength, source });
    return logits;
  }

  /** How hypotheses are followed; undefined for one text, token by token. */
  get beams(): BeamSettings | undefined {
    const { numBeams = 1, lengthPenalty, earlyStopping } = this.settings;
    return numBeams > 1 ? { numBeams, lengthPenalty, earlyStopping } : undefined;
  }

  /** Whether the greatest time is over. */
  get isLate(): boolean {
    return performance.now() >= this.deadline;
  }

  /** Whether no further token may follow. */
  get isFull(): boolean {
    return this.ids.length >= this.maxLength || (this.ids.length > this.startLength && this.isLate);
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
  { stopStrings = [], encoderRepetitionPenalty = 1, encoderNoRepeatNgramSize = 0 }: FollowedSettings,
  source: unknown,
): void {
  if (stopStrings.length > 0) {
    const expected = "no stop_strings, which need a tokenizer";
    throw new OptionError({
      where: "generate",
      expected,
      received: JSON.stringify(stopStrings).slice(0, 60),
      fix: "use generateText, or give stopStrings: []",
    });
  }
  if (source === undefined && (encoderRepetitionPenalty !== 1 || encoderNoRepeatNgramSize > 0)) {
    const expected = "a text to be read, with encoderRepetitionPenalty or encoderNoRepeatNgramSize";
    throw new OptionError({ where: "generate", expected, received: "a sound or an image", fix: "set them to 1 and 0" });
  }
}
