import { DataError, OptionError } from "../base/index.ts";
import type { WhisperForConditionalGeneration } from "../models/index.ts";
import { languageCode } from "./languages.ts";

/** Which text a speech model is asked for. */
export interface SpeechTask {
  /**
   * Such as "en" or "english"; of models for several languages. @default generation_config.json's, or found out from
   * the sound
   */
  language?: string;
  /** Write in the language that is spoken, or in English. @default generation_config.json's, or "transcribe" */
  task?: "transcribe" | "translate";
}

/** What generation_config.json may say of how a sound is heard; options of the same names go before it. */
export interface HearingDefaults {
  timestamps?: true;
  conditionOnPrevTokens?: boolean;
  compressionRatioThreshold?: number;
  logprobThreshold?: number;
  noSpeechThreshold?: number;
}

/** What generation_config.json says of a speech model's tokens. */
export class SpeechSettings {
  /** Begins every text. */
  readonly start: number;
  readonly eos: number;
  /** Stands in front of the times; models without times have none. */
  readonly noTimestamps: number | undefined;
  /** The token for 0 seconds; of models without times above all tokens. */
  readonly zero: number;
  /** In front of what was said before. */
  readonly startOfPrevious: number | undefined;
  /** The largest time that a text may begin with, in steps. */
  readonly largestFirstTime: number | null;
  /** Ids of the languages' tokens by their codes; none of models for one language. */
  readonly languages: ReadonlyMap<string, number>;
  /** Layers and heads that attend to what is being said. */
  readonly alignmentHeads: readonly (readonly [number, number])[] | undefined;
  readonly defaults: HearingDefaults;
  private readonly tasks: ReadonlyMap<string, number>;
  private readonly stated: { language?: string; task?: string };

  /** @throws DataError for tokens that cannot be read */
  constructor({ generationConfig: json, config }: WhisperForConditionalGeneration) {
    const fail = (key: string, expected: string) =>
      new DataError({
        where: `generation_config.json, ${key}`,
        expected,
        received: JSON.stringify(json[key]).slice(0, 60),
        fix: "correct it, or take it from the model's repository",
      });
    const isId = (value: unknown): value is number =>
      Number.isInteger(value) && (value as number) >= 0 && (value as number) < config.vocabSize;
    const id = (key: string): number | undefined => {
      const value = json[key] ?? undefined;
      if (value !== undefined && !isId(value)) throw fail(key, `a token id below ${config.vocabSize}`);
      return value as number | undefined;
    };
    const ids = (key: string): [string, number][] => {
      const entries = Object.entries((json[key] ?? {}) as Record<string, unknown>);
      if (!entries.every(([, value]) => isId(value))) throw fail(key, `names with token ids below ${config.vocabSize}`);
      return entries as [string, number][];
    };
    const threshold = (name: keyof HearingDefaults, key: string): HearingDefaults => {
      const value = json[key] ?? undefined;
      if (value !== undefined && !Number.isFinite(value)) throw fail(key, "a number");
      return value === undefined ? {} : { [name]: value };
    };
    const text = (key: string) => (typeof json[key] === "string" ? (json[key] as string) : undefined);
    this.start = id("decoder_start_token_id") ?? config.decoderStartTokenId ?? 0;
    this.eos = [json.eos_token_id ?? config.eosTokenId ?? config.vocabSize].flat().find(isId) ?? config.vocabSize;
    this.noTimestamps = id("no_timestamps_token_id");
    this.zero = (this.noTimestamps ?? Number.POSITIVE_INFINITY) + 1;
    this.startOfPrevious = id("prev_sot_token_id") ?? (json.suppress_tokens as number[] | null | undefined)?.at(-2);
    const largest = json.max_initial_timestamp_index ?? null;
    if (largest !== null && !Number.isInteger(largest)) throw fail("max_initial_timestamp_index", "a number of steps");
    this.largestFirstTime = largest as number | null;
    this.languages = new Map(
      json.is_multilingual === false ? [] : ids("lang_to_id").map(([name, value]) => [languageCode(name), value]),
    );
    this.tasks = new Map(json.is_multilingual === false ? [] : ids("task_to_id"));
    const heads = json.alignment_heads as [number, number][] | null | undefined;
    const isHead = (head: unknown) =>
      Array.isArray(head) && head[0] < config.decoderLayers && head[1] < config.decoderHeads;
    if (heads && !(Array.isArray(heads) && heads.every(isHead)))
      throw fail("alignment_heads", "pairs of a layer and a head of the decoder");
    this.alignmentHeads = heads ?? undefined;
    this.defaults = {
      ...(json.return_timestamps === true && { timestamps: true }),
      ...(typeof json.condition_on_prev_tokens === "boolean" && {
        conditionOnPrevTokens: json.condition_on_prev_tokens,
      }),
      ...threshold("compressionRatioThreshold", "compression_ratio_threshold"),
      ...threshold("logprobThreshold", "logprob_threshold"),
      ...threshold("noSpeechThreshold", "no_speech_threshold"),
    };
    this.stated = {
      language: text("language"),
      task: text("task"),
      ...(!text("language") && !text("task") && this.forced(json.forced_decoder_ids)),
    };
  }

  /** Language and task as older files give them: [[1, language], [2, task]]. */
  private forced(entries: unknown): { language?: string; task?: string } {
    const at = (place: number) =>
      Array.isArray(entries) ? entries.find((entry) => Array.isArray(entry) && entry[0] === place)?.[1] : undefined;
    const nameIn = (names: ReadonlyMap<string, number>, id: unknown) =>
      Array.from(names).find(([, entryId]) => entryId === id)?.[0];
    return { language: nameIn(this.languages, at(1)), task: nameIn(this.tasks, at(2)) };
  }

  /** Code of the language that was asked for. @throws OptionError for one that the model does not know */
  languageOf({ language = this.stated.language }: SpeechTask): string | undefined {
    if (language === undefined) return undefined;
    const code = languageCode(language);
    if (this.languages.has(code)) return code;
    const known = Array.from(this.languages.keys()).join(", ");
    const expected = known === "" ? "no language: the model writes one only" : `one of ${known}`;
    throw new OptionError({
      where: "language",
      expected,
      received: language,
      fix: known === "" ? "leave it out" : "choose one of them",
    });
  }

  /** The tokens in front of a text. @throws OptionError for a task that the model does not know */
  startOf(language: string | undefined, { task }: SpeechTask, hasTimes: boolean): number[] {
    const asked = task ?? this.stated.task ?? "transcribe";
    const taskId = this.tasks.get(asked);
    if (taskId === undefined && task !== undefined) {
      const known = Array.from(this.tasks.keys()).join(", ");
      throw new OptionError({
        where: "task",
        expected: known ? `one of ${known}` : "none: the model has one only",
        received: task,
        fix: "leave it out",
      });
    }
    const languageId = language === undefined ? undefined : this.languages.get(language);
    const ids = [this.start, languageId, taskId, hasTimes ? undefined : this.noTimestamps];
    return ids.filter((value) => value !== undefined);
  }
}
