import { readFile } from "node:fs/promises";
import { type GenerateOptions, Seq2SeqGenerator } from "../generate/index.ts";
import { DataError, OptionError } from "../ir/index.ts";
import type { WhisperForConditionalGeneration } from "../models/index.ts";
import { logMelSpectrogram, readWav, type Sound, toMono } from "../processors/index.ts";
import type { TextTokenizer } from "../tokenizers/index.ts";
import { collect, each } from "./common.ts";

export interface SpeechRecognitionOptions extends Omit<GenerateOptions, "stopTokens"> {
  /** Such as "en"; of models for several languages. @default found out from the sound */
  language?: string;
  /** Write in the language that is spoken, or in English. @default "transcribe" */
  task?: "transcribe" | "translate";
}

/** Frames of a spectrogram, a second. */
const FRAMES_PER_SECOND = 100;

/** What is said in sounds of up to the length that the model hears, 30 seconds. */
export class SpeechRecognitionPipeline {
  private readonly model: WhisperForConditionalGeneration;
  private readonly tokenizer: TextTokenizer;
  private readonly generator: Seq2SeqGenerator;

  constructor(model: WhisperForConditionalGeneration, tokenizer: TextTokenizer) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.generator = new Seq2SeqGenerator(model);
  }

  /** inputs: sounds, paths of WAV files, or their bytes. @throws OptionError for a language or task that the model does not know */
  run(input: Sound | string | Uint8Array, options?: SpeechRecognitionOptions): Promise<{ text: string }>;
  run(inputs: readonly (Sound | string | Uint8Array)[], options?: SpeechRecognitionOptions): Promise<{ text: string }[]>;
  async run(inputs: Sound | string | Uint8Array | readonly (Sound | string | Uint8Array)[], { language, task, ...options }: SpeechRecognitionOptions = {}) {
    return each(inputs, async (source: Sound | string | Uint8Array) => {
      const sound = typeof source === "string" ? readWav(await readFile(source), source) : source instanceof Uint8Array ? readWav(source) : source;
      const { numMelBins, maxSourcePositions } = this.model.config;
      const chunkSeconds = (2 * maxSourcePositions) / FRAMES_PER_SECOND;
      const seconds = sound.channels[0].length / sound.samplingRate;
      if (seconds > chunkSeconds) {
        const received = `${seconds.toFixed(1)} seconds`;
        throw new DataError({
          where: "automatic-speech-recognition",
          expected: `a sound of at most ${chunkSeconds} seconds`,
          received,
          fix: "cut it into parts",
        });
      }
      const inputFeatures = logMelSpectrogram(toMono(sound), sound.samplingRate, { numMelBins, chunkSeconds });
      const decoderInputIds = await this.start(inputFeatures, language, task);
      const made = await collect(this.generator.generate({ inputFeatures }, { ...options, decoderInputIds }));
      return { text: await this.tokenizer.decode(made) };
    });
  }

  /** The tokens that say what is to be written. */
  private async start(
    inputFeatures: ReturnType<typeof logMelSpectrogram>,
    language: string | undefined,
    task: SpeechRecognitionOptions["task"],
  ): Promise<number[]> {
    const config = this.model.generationConfig as {
      decoder_start_token_id?: number;
      lang_to_id?: Record<string, number>;
      task_to_id?: Record<string, number>;
      no_timestamps_token_id?: number;
      is_multilingual?: boolean;
    };
    const ids = [config.decoder_start_token_id ?? this.model.config.decoderStartTokenId ?? 0];
    const languages = config.lang_to_id;
    if (languages && config.is_multilingual !== false) {
      const code = language === undefined ? undefined : language.startsWith("<|") ? language : `<|${language}|>`;
      if (code !== undefined && !Object.hasOwn(languages, code)) {
        const known = Object.keys(languages).map((name) => name.replace(/[<|>]/g, ""));
        throw new OptionError({ where: "language", expected: `one of ${known.join(", ")}`, received: String(language), fix: "choose one of them" });
      }
      ids.push(code === undefined ? await this.detect(inputFeatures, ids, Object.values(languages)) : languages[code]);
      const asked = task ?? "transcribe";
      const taskId = config.task_to_id?.[asked];
      if (taskId !== undefined) ids.push(taskId);
      else if (task !== undefined) throw new OptionError({ where: "task", expected: "a task of the model", received: task, fix: "leave it out" });
    }
    if (config.no_timestamps_token_id !== undefined) ids.push(config.no_timestamps_token_id);
    return ids;
  }

  /** The language token that is likeliest after the start. */
  private async detect(inputFeatures: ReturnType<typeof logMelSpectrogram>, start: readonly number[], languages: readonly number[]): Promise<number> {
    const isLanguage = new Set(languages);
    const others = Array.from({ length: this.model.config.vocabSize }, (_, id) => id).filter((id) => !isLanguage.has(id));
    const rules = { suppressed: others, suppressedFirst: [] };
    const { value } = await this.generator.generate({ inputFeatures }, { decoderInputIds: start, maxNewTokens: 1, rules, stopTokens: [] }).next();
    return value as number;
  }

  dispose(): void {
    this.generator.dispose();
    this.model.dispose();
  }
}
