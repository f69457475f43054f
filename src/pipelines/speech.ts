import { checkOptions, DataError, OptionError } from "../base/index.ts";
import { languageName, SpeechGenerator, type SpeechOptions, speechOptionNames } from "../generate/index.ts";
import type { WhisperForConditionalGeneration } from "../models/index.ts";
import { logMelSpectrogram, readWav, resample, type Sound, toMono } from "../processors/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";
import { bytesAt } from "./bytes-at.ts";
import { collect, each } from "./common.ts";
import { type HeardPiece, joinPieces, type TranscriptChunk, wordsOf } from "./transcript.ts";

/** How speech is written down: as `SpeechGenerator.generate`, and whether times and languages are given. */
export interface SpeechRecognitionOptions
  extends Omit<SpeechOptions, "timestamps" | "tokenTimes" | "numFrames" | "prompt"> {
  /** Give the parts of the text with their times, or its words. @default false */
  returnTimestamps?: boolean | "word";
  /** Give the parts of the text with their languages. @default false */
  returnLanguage?: boolean;
  /**
   * Cut the sound into pieces of so many seconds that overlap, rather than going on where the last part ended. @default
   * 0, do not
   */
  chunkLengthS?: number;
  /**
   * Seconds of a piece that belong to its neighbours, on each side, or on the left and the right. @default chunkLengthS
   * / 6
   */
  strideLengthS?: number | readonly [number, number];
  /** A text that could stand before the sound's: names and spellings to be expected. @default none */
  prompt?: string;
}

/** What was said. */
export interface Transcript {
  /** All of it, as the tokenizer decodes it. */
  text: string;
  /** With `returnTimestamps` or `returnLanguage`. */
  chunks?: TranscriptChunk[];
}

/** Samples a second that the models hear, and those of a frame of the spectrogram. */
const RATE = 16000;
const HOP = 160;
const unused: readonly string[] = ["timestamps", "tokenTimes", "numFrames"];
const optionNames = [
  ...["returnTimestamps", "returnLanguage", "chunkLengthS", "strideLengthS"],
  ...speechOptionNames.filter((name) => !unused.includes(name)),
];
type Source = Sound | string | Uint8Array;

/** A piece of a sound, and what of it belongs to its neighbours, in samples. */
interface Piece {
  samples: Float32Array;
  left: number;
  right: number;
}

/** What is said in sounds of any length. */
export class SpeechRecognitionPipeline {
  private readonly model: WhisperForConditionalGeneration;
  private readonly tokenizer: Tokenizer;
  private readonly generator: SpeechGenerator;
  /** Ids that are neither text nor times. */
  private readonly special: ReadonlySet<number | null>;

  /** @throws DataError for a generation_config.json that cannot be followed */
  constructor(model: WhisperForConditionalGeneration, tokenizer: Tokenizer) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.generator = new SpeechGenerator(model);
    this.special = new Set(tokenizer.specialTexts.map((text) => tokenizer.tokenToId(text)));
  }

  /**
   * inputs: sounds, paths or addresses of WAV files, or their bytes; of any number of samples a second.
   * @throws OptionError for a language, task or length that the model does not know, DataError for a damaged file
   */
  run(input: Source, options?: SpeechRecognitionOptions): Promise<Transcript>;
  run(inputs: readonly Source[], options?: SpeechRecognitionOptions): Promise<Transcript[]>;
  async run(inputs: Source | readonly Source[], options: SpeechRecognitionOptions = {}) {
    return each(inputs, async (source: Source) => this.transcript(await samplesOf(source), options));
  }

  private async transcript(samples: Float32Array, options: SpeechRecognitionOptions): Promise<Transcript> {
    checkOptions("automatic-speech-recognition", options, optionNames);
    const { returnTimestamps = false, returnLanguage = false, chunkLengthS, strideLengthS, prompt, ...rest } = options;
    const isCut = Boolean(chunkLengthS);
    const isByWord = returnTimestamps === "word";
    const pieces = isCut ? this.cut(samples, chunkLengthS as number, strideLengthS) : [{ samples, left: 0, right: 0 }];
    const asked: SpeechOptions = {
      ...rest,
      ...(returnTimestamps && { timestamps: true }),
      tokenTimes: isByWord,
      ...(prompt !== undefined && { prompt: await this.promptIds(prompt) }),
    };
    const heard: HeardPiece[] = [];
    for (const { samples: pieceSamples, left, right } of pieces) {
      const segments = await collect(
        this.generator.generate(this.features(pieceSamples), {
          ...asked,
          numFrames: Math.ceil(pieceSamples.length / HOP),
        }),
      );
      const stride = { length: pieceSamples.length / RATE, left: left / RATE, right: right / RATE };
      heard.push({ segments, ...(isCut && { stride }) });
    }
    const decode = (ids: readonly number[]) => this.tokenizer.decode(ids);
    const { zero } = this.generator.settings;
    const isSpecial = (id: number) => this.special.has(id);
    const chunks: TranscriptChunk[] = [];
    let text = "";
    for (const open of joinPieces(heard, { zero, isSpecial, splitsLanguages: returnLanguage && !returnTimestamps })) {
      const runText = await decode(open.run.tokens);
      const parts: TranscriptChunk[] = isByWord
        ? await wordsOf(open, decode)
        : [
            {
              text: runText,
              ...(returnTimestamps && { timestamp: [open.start, open.end] as [number | null, number | null] }),
            },
          ];
      const language = open.language === undefined ? undefined : languageName(open.language);
      chunks.push(...(returnLanguage ? parts.map((part) => ({ ...part, language })) : parts));
      text += runText;
    }
    return { text, ...((returnTimestamps || returnLanguage) && { chunks }) };
  }

  /** A window, or the whole of a longer sound. */
  private features(samples: Float32Array) {
    const { numMelBins } = this.model.config;
    const windowSamples = this.generator.windowFrames * HOP;
    return logMelSpectrogram(samples, RATE, {
      numMelBins,
      chunkSeconds: Math.max(windowSamples, samples.length) / RATE,
    });
  }

  /** Pieces that overlap. @throws OptionError for lengths that do not fit */
  private cut(
    samples: Float32Array,
    seconds: number,
    strides: SpeechRecognitionOptions["strideLengthS"] = seconds / 6,
  ): Piece[] {
    const [length, left, right] = [seconds, ...(typeof strides === "number" ? [strides, strides] : strides)].map(
      (part) => Math.round(part * RATE),
    );
    const most = (this.generator.windowFrames * HOP) / RATE;
    if (!(seconds > 0 && seconds <= most)) {
      throw new OptionError({
        where: "chunkLengthS",
        expected: `above 0 and at most ${most}, what the model hears at once`,
        received: `${seconds}`,
        fix: "shorten it",
      });
    }
    if (!(left >= 0 && right >= 0 && left + right < length)) {
      const expected = `strides of 0 or more that are less than chunkLengthS, ${seconds}, together`;
      throw new OptionError({
        where: "strideLengthS",
        expected,
        received: `${left / RATE} and ${right / RATE}`,
        fix: "shorten them",
      });
    }
    const pieces: Piece[] = [];
    for (let start = 0; ; start += length - left - right) {
      const isLast = start + length >= samples.length;
      const piece = {
        samples: samples.subarray(start, start + length),
        left: start === 0 ? 0 : left,
        right: isLast ? 0 : right,
      };
      if (piece.samples.length > piece.left) pieces.push(piece);
      if (isLast) return pieces;
    }
  }

  private async promptIds(prompt: string): Promise<number[]> {
    const { ids } = await this.tokenizer.encodeText(` ${prompt.trim()}`, { addSpecialTokens: false });
    const special = ids.find((id) => this.special.has(id));
    if (special === undefined) return [...ids];
    throw new OptionError({
      where: "prompt",
      expected: "plain text",
      received: this.tokenizer.idToToken(special) ?? "",
      fix: "leave special tokens out",
    });
  }

  /** Frees the model and the compiled graphs; the pipeline is of no use afterwards. */
  dispose(): void {
    this.generator.dispose();
    this.model.dispose();
  }
}

async function samplesOf(source: Source): Promise<Float32Array> {
  const sound =
    typeof source === "string"
      ? readWav(await bytesAt(source, "a WAV file"), source)
      : source instanceof Uint8Array
        ? readWav(source)
        : source;
  const samples = resample(toMono(sound), sound.samplingRate, RATE);
  if (samples.length > 0) return samples;
  throw new DataError({
    where: typeof source === "string" ? source : "sound",
    expected: "at least one sample",
    received: "none",
    fix: "check the recording",
  });
}
