import { checkOptions, DataError, OptionError } from "../base/index.ts";
import type { WhisperForConditionalGeneration } from "../models/index.ts";
import { type Tensor, tensor } from "../tensor/index.ts";
import type { EncodedSource } from "./encoded-source.ts";
import type { PlaceOptions } from "./generator.ts";
import { logSumExp } from "./log-probabilities.ts";
import { ModelFunction } from "./model-structure.ts";
import { pickOptionNames, placeNames } from "./pick-option-names.ts";
import { freshSeed } from "./sampler.ts";
import { type Seq2SeqGenerateOptions, Seq2SeqGenerator } from "./seq2seq-generator.ts";
import { cutWindow } from "./speech-segments.ts";
import { SpeechSettings, type SpeechTask } from "./speech-settings.ts";
import type { PickOptions } from "./token-picker.ts";
import { tokenSteps } from "./word-times.ts";

export interface SpeechOptions
  extends SpeechTask,
    PlaceOptions,
    Omit<PickOptions, "stopTokens" | "temperature" | "onLogits" | "times"> {
  /**
   * Let the model say when each part is spoken; needed for sounds longer than its window. @default only for those,
   * unless generation_config.json asks for it
   */
  timestamps?: boolean;
  /** Find out when each token is spoken, from attention. @default false */
  tokenTimes?: boolean;
  /** 0 takes the likeliest token. A list is tried in its order until a text meets the thresholds. @default 0 */
  temperature?: number | readonly number[];
  /** Tokens of a text that could stand before the sound's: names and spellings to be expected. @default none */
  prompt?: readonly number[];
  /**
   * Whether the prompt is at the beginning of what was said, or in front of each window's part of it; matters with
   * `conditionOnPrevTokens`. @default "first-segment"
   */
  promptConditionType?: "first-segment" | "all-segments";
  /** Let each window know what was said in those before. @default generation_config.json's, or false */
  conditionOnPrevTokens?: boolean;
  /**
   * The next temperature is tried when a text's bytes are so many times as many as their compressed ones. @default
   * generation_config.json's, or none
   */
  compressionRatioThreshold?: number;
  /**
   * The next temperature is tried when the mean log probability of the tokens is less. @default
   * generation_config.json's, or none
   */
  logprobThreshold?: number;
  /**
   * A window is left out when silence is likelier than this, and the text's log probability below its threshold.
   * @default generation_config.json's, or none
   */
  noSpeechThreshold?: number;
  /** How many frames hold sound, the rest being padding: for `tokenTimes`. @default all */
  numFrames?: number;
  /** Ends the run under way too, see Seq2SeqGenerateOptions. */
  signal?: AbortSignal;
}

/** A part of what is said. */
export interface SpeechSegment {
  /** Seconds from the beginning of the sound. */
  start: number;
  end: number;
  /** With the tokens that say times, which count from `windowStart`. */
  tokens: number[];
  /** Where the window begins in which the part was heard, in seconds. */
  windowStart: number;
  /** Code of the language, of models for several. */
  language?: string;
  /** When each token is spoken, in seconds: [start, end]. With `tokenTimes`. */
  tokenTimes?: [number, number][];
}

/** A text of one window, and what there is to judge it by. */
interface Draft {
  tokens: number[];
  /** Whether the model ended it. */
  isWhole: boolean;
  /** Mean log probability, of the end of the text too. */
  logprob: number;
  temperature: number;
}

/** Seconds between two times, and frames of the spectrogram in them. */
const STEP_SECONDS = 0.02;
const STEP_FRAMES = 2;
/** A text that was drawn at this temperature or above is no help to the next window. */
const TRUSTED_TEMPERATURE = 0.5;

/** What picks the tokens of each window. */
const windowOptionNames = [...pickOptionNames, ...placeNames].filter(
  (name) => !["temperature", "seed", "stopTokens", "onLogits"].includes(name),
);

/** Names of all `SpeechOptions`, for checks of options that are passed on. */
export const speechOptionNames = [
  ...windowOptionNames,
  ...[
    "temperature",
    "seed",
    "language",
    "task",
    "timestamps",
    "tokenTimes",
    "prompt",
    "promptConditionType",
    "conditionOnPrevTokens",
  ],
  ...["compressionRatioThreshold", "logprobThreshold", "noSpeechThreshold", "numFrames"],
] as const;

/**
 * Writes what is said in sounds of any length, window by window: the next one begins where the last part ended that was
 * heard as a whole. Radford et al. 2022, arXiv:2212.04356, section 4.5.
 */
export class SpeechGenerator {
  readonly model: WhisperForConditionalGeneration;
  readonly settings: SpeechSettings;
  /** Frames that the model hears at once. */
  readonly windowFrames: number;
  private readonly generator: Seq2SeqGenerator;
  private readonly align: ModelFunction<[Tensor<"i32">, EncodedSource["keysAndValues"]], Tensor<"f32">>;

  /** @throws DataError for a generation_config.json that cannot be followed */
  constructor(model: WhisperForConditionalGeneration) {
    this.model = model;
    this.settings = new SpeechSettings(model);
    this.windowFrames = STEP_FRAMES * model.config.maxSourcePositions;
    this.generator = new Seq2SeqGenerator(model);
    this.align = new ModelFunction(model, (ids, keysAndValues) =>
      model.alignment(ids, keysAndValues, this.settings.alignmentHeads ?? []),
    );
  }

  /**
   * Gives the parts of what is said as they are found. features: f32 [1, mels, frames], of any length.
   * @throws OptionError for a language, task or option that the model has not, DataError for features of another shape
   */
  async *generate(features: Tensor<"f32">, asked: SpeechOptions = {}): AsyncGenerator<SpeechSegment, void, void> {
    checkOptions("generate", asked, speechOptionNames);
    const options: SpeechOptions = { ...this.settings.defaults, seed: freshSeed(), ...asked };
    const frames = this.framesOf(features);
    const hasTimes = options.timestamps ?? frames > this.windowFrames;
    this.check(options, hasTimes, frames);
    const { settings } = this;
    const values = await features.read();
    const prompt = options.prompt?.[0] === settings.startOfPrevious ? options.prompt?.slice(1) : options.prompt;
    const isConditioned = options.conditionOnPrevTokens === true;
    const said: number[] = options.promptConditionType === "all-segments" ? [] : [...(prompt ?? [])];
    let language = settings.languageOf(options);
    let usesSaid = isConditioned;
    for (let at = 0, turn = 0; at < frames; turn++) {
      const encoded = await this.generator.read({ inputFeatures: this.window(values, frames, at) }, options.signal);
      try {
        language ??= await this.detect(encoded, options);
        const before = this.before(usesSaid ? said : [], prompt, options);
        const prefix = [...before, ...settings.startOf(language, options, hasTimes)];
        const windowFrames = Math.min(frames - at, this.windowFrames);
        const draft = await this.draft(encoded, prefix, before.length, hasTimes, turn, options);
        usesSaid = isConditioned && (draft?.temperature ?? 0) < TRUSTED_TEMPERATURE;
        if (draft === null) {
          at += windowFrames;
          continue;
        }
        const windowStart = (at / STEP_FRAMES) * STEP_SECONDS;
        const soundFrames = Math.min(options.numFrames ?? frames, frames) - at;
        const tokenTimes = options.tokenTimes
          ? await this.tokenTimes(encoded, prefix, draft, { soundFrames, windowStart, signal: options.signal })
          : undefined;
        const { segments, stepsDone } = cutWindow(draft.tokens, settings.zero, Math.floor(windowFrames / STEP_FRAMES));
        for (const { start, end, first, last } of segments) {
          const tokens = draft.tokens.slice(first, last);
          said.push(...tokens);
          yield {
            start: windowStart + start * STEP_SECONDS,
            end: windowStart + end * STEP_SECONDS,
            tokens,
            windowStart,
            ...(language !== undefined && { language }),
            ...(tokenTimes && { tokenTimes: tokenTimes.slice(first, last) }),
          };
        }
        at += stepsDone === undefined ? windowFrames : stepsDone * STEP_FRAMES;
      } finally {
        encoded.dispose();
      }
    }
  }

  private framesOf(features: Tensor<"f32">): number {
    const { numMelBins } = this.model.config;
    if (features.rank === 3 && features.shape[0] === 1 && features.shape[1] === numMelBins) return features.size(2);
    const expected = `features [1, ${numMelBins}, frames]`;
    throw new DataError({
      where: "generate",
      expected,
      received: `[${features.shape.join(", ")}]`,
      fix: "make them with logMelSpectrogram, one sound at a time",
    });
  }

  private check(
    { tokenTimes, timestamps, prompt, promptConditionType, conditionOnPrevTokens, temperature }: SpeechOptions,
    hasTimes: boolean,
    frames: number,
  ) {
    const fail = (expected: string, received: string, fix: string) =>
      new OptionError({ where: "generate", expected, received, fix });
    if (hasTimes && this.settings.noTimestamps === undefined) {
      throw fail(
        "a model with no_timestamps_token_id in generation_config.json, to write times",
        "none",
        "leave timestamps out, and cut the sound into parts",
      );
    }
    if (timestamps === false && frames > this.windowFrames) {
      throw fail(
        `a sound of at most ${this.windowFrames / 100} seconds without timestamps`,
        `${(frames / 100).toFixed(1)} seconds`,
        "leave timestamps out",
      );
    }
    if (tokenTimes && !this.settings.alignmentHeads) {
      throw fail("a model with alignment_heads in generation_config.json, for tokenTimes", "none", "use timestamps");
    }
    if ((prompt || conditionOnPrevTokens) && this.settings.startOfPrevious === undefined) {
      throw fail(
        "a model with prev_sot_token_id in generation_config.json, to be told what was said before",
        "none",
        "leave prompt and conditionOnPrevTokens out",
      );
    }
    if (promptConditionType === "all-segments" && !conditionOnPrevTokens) {
      throw fail(
        'conditionOnPrevTokens with promptConditionType "all-segments"',
        "none",
        "give conditionOnPrevTokens too",
      );
    }
    if (Array.isArray(temperature) && temperature.length === 0)
      throw fail("at least one temperature", "none", "leave it out for 0");
  }

  /** The frames from one on as a window, with zeros after the sound. */
  private window(values: Float32Array, frames: number, at: number): Tensor<"f32"> {
    const { windowFrames } = this;
    const { numMelBins } = this.model.config;
    const out = new Float32Array(numMelBins * windowFrames);
    for (let m = 0; m < numMelBins; m++)
      out.set(values.subarray(m * frames + at, m * frames + Math.min(at + windowFrames, frames)), m * windowFrames);
    return tensor(out, { shape: [1, numMelBins, windowFrames] });
  }

  /** What stands in front of the start token: what was said, or the prompt. */
  private before(
    said: readonly number[],
    prompt: readonly number[] | undefined,
    { promptConditionType }: SpeechOptions,
  ): number[] {
    const start = this.settings.startOfPrevious;
    if (start === undefined) return [];
    const room = (this.model.config.maxTargetPositions >> 1) - 1;
    if (said.length > 0)
      return [start, ...(promptConditionType === "all-segments" ? (prompt ?? []) : []), ...said.slice(-room)];
    return prompt ? [start, ...prompt] : [];
  }

  /** The language that is likeliest after the start. */
  private async detect(encoded: EncodedSource, options: SpeechOptions): Promise<string | undefined> {
    const { languages, start } = this.settings;
    if (languages.size === 0) return undefined;
    const logits = await this.generator.logits(encoded, [start], options);
    return Array.from(languages).reduce((best, next) => (logits[next[1]] > logits[best[1]] ? next : best))[0];
  }

  /** A text for a window that meets the thresholds, or else the last that was tried; null for silence. */
  private async draft(
    encoded: EncodedSource,
    prefix: readonly number[],
    startAt: number,
    hasTimes: boolean,
    turn: number,
    options: SpeechOptions,
  ): Promise<Draft | null> {
    const { compressionRatioThreshold, logprobThreshold = Number.NEGATIVE_INFINITY, noSpeechThreshold } = options;
    const silence =
      noSpeechThreshold === undefined ? 0 : await this.silence(encoded, prefix.slice(0, startAt + 1), options);
    let draft: Draft | undefined;
    for (const temperature of [options.temperature ?? 0].flat()) {
      draft = await this.write(encoded, prefix, hasTimes, temperature, turn, options);
      const isUnlikely = draft.logprob < logprobThreshold;
      if (
        noSpeechThreshold !== undefined &&
        silence > noSpeechThreshold &&
        (isUnlikely || options.logprobThreshold === undefined)
      )
        return null;
      const isRepeating =
        compressionRatioThreshold !== undefined &&
        (await compressionRatio(draft.tokens, this.model.config.vocabSize)) > compressionRatioThreshold;
      if (!isUnlikely && !isRepeating) break;
    }
    return draft as Draft;
  }

  private async write(
    encoded: EncodedSource,
    prefix: readonly number[],
    hasTimes: boolean,
    temperature: number,
    turn: number,
    options: SpeechOptions,
  ): Promise<Draft> {
    const { noTimestamps, eos, largestFirstTime: largestFirst } = this.settings;
    let [sum, count] = [0, 0];
    const tokens: number[] = [];
    const asked = Object.fromEntries(
      windowOptionNames.filter((name) => name in options).map((name) => [name, options[name as keyof SpeechOptions]]),
    );
    const writing: Seq2SeqGenerateOptions = {
      ...asked,
      temperature,
      decoderInputIds: prefix,
      seed: (options.seed ?? 0) + turn,
      ...(hasTimes && noTimestamps !== undefined && { times: { noTimestamps, eos, largestFirst } }),
      onLogits: (logits: Float32Array, picked: number) => {
        sum += logits[picked] - logSumExp(logits);
        count++;
      },
    };
    for await (const id of this.generator.generate(encoded, writing)) tokens.push(id);
    return { tokens, isWhole: count > tokens.length, logprob: sum / Math.max(count, 1), temperature };
  }

  /** How probable it is that nobody speaks: what the model would write right after the start. */
  private async silence(encoded: EncodedSource, prefix: readonly number[], options: SpeechOptions): Promise<number> {
    const { noTimestamps } = this.settings;
    if (noTimestamps === undefined) return 0;
    const logits = await this.generator.logits(encoded, prefix, options);
    // the token for silence stands in front of that for no times
    return Math.exp(logits[noTimestamps - 1] - logSumExp(logits));
  }

  /** When each token is spoken: a token ends where it is attended to, and begins where the one before ended. */
  private async tokenTimes(
    encoded: EncodedSource,
    prefix: readonly number[],
    { tokens, isWhole }: Draft,
    { soundFrames, windowStart, signal }: { soundFrames: number; windowStart: number; signal?: AbortSignal },
  ): Promise<[number, number][]> {
    if (tokens.length === 0) return [];
    const ids = [...prefix, ...tokens];
    const weights = await this.align.withSignal(signal)(
      tensor(Int32Array.from(ids), { shape: [1, ids.length] }),
      encoded.keysAndValues as never,
    );
    const values = await weights.read();
    weights.dispose();
    const [heads, steps] = [weights.size(0), weights.size(2)];
    // nothing follows the last token of a text that was cut off
    const rows = isWhole ? tokens.length : tokens.length - 1;
    const tokenWeights = new Float32Array(heads * rows * steps);
    for (let head = 0; head < heads; head++) {
      const from = (head * ids.length + prefix.length) * steps;
      tokenWeights.set(values.subarray(from, from + rows * steps), head * rows * steps);
    }
    const alignment = { weights: tokenWeights, heads, rows, steps, columns: Math.floor(soundFrames / STEP_FRAMES) };
    const ends = tokenSteps(alignment, this.model.config.medianFilterWidth).map(
      (step) => windowStart + step * STEP_SECONDS,
    );
    if (!isWhole) ends.push(ends.at(-1) ?? windowStart);
    return ends.map((end, i) => [i === 0 ? windowStart : ends[i - 1], end]);
  }

  /** Frees the caches and compiled graphs. The model is left: whoever loaded it disposes of it. */
  dispose(): void {
    this.generator.dispose();
    this.align.dispose();
  }
}

/** Bytes of the tokens to their compressed bytes (zlib's): much for a text that repeats itself. */
export async function compressionRatio(tokens: readonly number[], vocabSize: number): Promise<number> {
  const width = Math.floor(Math.log2(vocabSize) / 8) + 1;
  const bytes = Uint8Array.from(tokens.flatMap((id) => Array.from({ length: width }, (_, i) => (id >> (8 * i)) & 255)));
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return bytes.length / (await new Response(stream).arrayBuffer()).byteLength;
}
