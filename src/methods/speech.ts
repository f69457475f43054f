/** Speech that is written down. */
import { z } from "zod";
import { DataError } from "../base/index.ts";
import type { Rows } from "../data/index.ts";
import { SpeechGenerator } from "../generate/index.ts";
import { metricsOf } from "../metrics/index.ts";
import type { WhisperForConditionalGeneration } from "../models/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";
import { type Objective, type Scorer, supervised } from "../train/index.ts";
import { defineMethod, type MethodConfig, type MethodContext } from "./method.ts";
import { adapted } from "./parts/adapters.ts";
import { padIdOf } from "./parts/causal.ts";
import { datasetsOf, type OpenedData, openData } from "./parts/datasets.ts";
import { openModel, openTokenizer, requireVocabulary } from "./parts/models.ts";
import { columnOf, fileOf } from "./parts/pictures.ts";
import {
  decodeSound,
  featuresOf,
  type Hearing,
  placeFile,
  RATE,
  type SpeechBatch,
  type SpokenRow,
  soundChanges,
  soundColumns,
  speechBatches,
  transcriptColumns,
} from "./parts/sounds.ts";

const settings = {
  language: z.string().optional().describe('Of the transcripts, as "en": written in front. Default: the model\'s.'),
  task: z.enum(["transcribe", "translate"]).optional().describe("Default: the model's, or transcribe."),
  augment: soundChanges,
  transcripts: z
    .int()
    .min(0)
    .default(50)
    .describe("So many sounds of the validation data are written down at each evaluation, for the word error rate."),
};
type Config = MethodConfig<typeof settings>;

/** Positions of a second: two frames of a hundredth each. */
const POSITIONS_PER_SECOND = 50;

/**
 * Whisper learns to write what is said: rows have a WAV file and a transcript, as a folder with metadata.jsonl. In
 * front of a transcript are the tokens of language and task, which are learned too, as with transformers' Trainer.
 * Radford et al. 2022, arXiv:2212.04356, section 2.3.
 */
export const speech = defineMethod({
  name: "speech",
  summary: "Speech that is written down: Whisper learns from WAV files and transcripts.",
  settings,
  defaults: { optimizer: { learningRate: 1e-5 }, training: { batchSize: 8 } },
  template: `# Speech that is written down.
# kindling train this-file.yaml            trains; kindling train this-file.yaml --dry-run shows the plan
method:
  name: speech
  language: en                # written in front of each transcript
  task: transcribe
  transcripts: 50             # sounds that are written down at each evaluation, for the word error rate (wer)
  # augment:                  # random changes of each sound; docs/augmentation.md has their options
  #   speed: { factors: [0.9, 1, 1.1] }
  #   noise: { snrDecibels: [10, 30] }
  #   spectrogram: {}
model: openai/whisper-tiny
data:
  train: recordings           # a folder of WAV files with metadata.jsonl: file_name, text; or rows with audio and text
  validationShare: 0.05
  maxLength: 448
optimizer:
  learningRate: 1.0e-5
training:
  epochs: 3
  batchSize: 8
`,
  async prepare(config, context) {
    const tokenizer = await openTokenizer(config);
    const model = await openModel(config, { task: "speech-seq2seq", defaults: newConfig(tokenizer) }, context);
    requireVocabulary(tokenizer, model);
    const opened = await openData(config.data, context);
    const [{ columns }] = datasetsOf(config.data.train) as { columns?: Readonly<Record<string, string>> }[];
    const audio = await columnOf(opened.train, "audio", { columns, names: soundColumns });
    const text = await columnOf(opened.train, "text", { columns, names: transcriptColumns });
    const { numMelBins, maxSourcePositions, maxTargetPositions } = model.config;
    const hearing = { numMelBins, seconds: maxSourcePositions / POSITIONS_PER_SECOND };
    const most = Math.min(config.data.maxLength, maxTargetPositions);
    const read = (rows: Rows) =>
      readSpoken(rows, { columns: { audio, text }, model, tokenizer, hearing, most, config, opened, context });
    const train = await read(opened.train);
    const validation = opened.validation && (await read(opened.validation));
    const { batchSize = 8, seed } = config.training;
    const lengths = [...train.spoken, ...(validation?.spoken ?? [])].map(({ labels }) => labels.length);
    const batches = { column: audio, hearing, batchSize, seed, width: Math.max(...lengths) };
    const measured = opened.validation && validation && { rows: opened.validation, spoken: validation.spoken };
    return {
      model,
      tokenizer,
      objective: await adapted(config, { model, tokenizer }, (options) => ({
        ...(supervised<SpeechBatch>(model as never, options) as Objective<SpeechBatch>),
        ...(measured &&
          config.method.transcripts > 0 && {
            scorer: () => transcriptScorer(model, tokenizer, { ...measured, column: audio, hearing, config }),
          }),
      })),
      trainData: speechBatches(train.spoken, {
        ...batches,
        rows: opened.train,
        isShuffled: true,
        changes: config.method.augment,
      }),
      batchesPerEpoch: Math.ceil(train.spoken.length / batchSize),
      validationData:
        measured && speechBatches(measured.spoken, { ...batches, rows: measured.rows, isShuffled: false }),
      facts: {
        sounds: train.spoken.length,
        seconds: Math.round(train.seconds),
        "resampled sounds": train.resampled,
        "longest transcript": batches.width,
        ...(validation && { "validation sounds": validation.spoken.length }),
      },
      fingerprint: { data: (await opened.train.fingerprint()) ?? "none" },
      preview: (count) => previewOf(train.spoken.slice(0, count), opened.train, tokenizer),
      close: () => opened.close(),
    };
  },
});

/** What config.json of a new Whisper says of a tokenizer. */
function newConfig(tokenizer: Tokenizer): Record<string, unknown> {
  const end = tokenizer.endOfTextId ?? padIdOf(tokenizer);
  return {
    vocab_size: tokenizer.vocabSize,
    eos_token_id: end,
    pad_token_id: padIdOf(tokenizer),
    decoder_start_token_id: end,
  };
}

interface ReadSpoken {
  spoken: SpokenRow[];
  seconds: number;
  resampled: number;
}

/**
 * Looks through sounds and transcripts: those that cannot be read or have no text are bad rows; those that are longer
 * than what the model hears or writes at once are left out.
 * @throws DataError for a bad row that is not to be skipped, or when nothing is left
 */
async function readSpoken(
  rows: Rows,
  parts: {
    columns: { audio: string; text: string };
    model: WhisperForConditionalGeneration;
    tokenizer: Tokenizer;
    hearing: Hearing;
    most: number;
    config: Config;
    opened: OpenedData;
    context: MethodContext;
  },
): Promise<ReadSpoken> {
  const { columns, model, tokenizer, hearing, most, config, opened, context } = parts;
  const frame = frameOf(model, config);
  const result: ReadSpoken = { spoken: [], seconds: 0, resampled: 0 };
  let [index, long] = [0, 0];
  for await (const row of rows) {
    context.signal?.throwIfAborted();
    const place = fileOf(rows, index);
    try {
      const text = textOf(row[columns.text], columns.text);
      const { samples, storedRate } = await decodeSound(row[columns.audio], place.file);
      const { ids } = await tokenizer.encodeText(text, { addSpecialTokens: false });
      const labels = [...frame.start, ...ids, frame.end];
      const seconds = samples.length / RATE;
      if (labels.length > most || seconds > hearing.seconds) long++;
      else {
        result.spoken.push({ index, text, labels });
        result.seconds += seconds;
        if (storedRate !== RATE) result.resampled++;
      }
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      opened.badRows.add({ ...place, reason: error.message });
    }
    index++;
    if (index % 100 === 0) context.onProgress?.("listening to sounds", index / rows.count);
  }
  warnOfLosses(long, index, parts);
  if (result.spoken.length > 0) return result;
  throw new DataError({
    where: "data",
    expected: `sounds of at most ${hearing.seconds} s with transcripts of at most ${most} tokens`,
    received: "none",
    fix: "cut the recordings, or name other files",
  });
}

function warnOfLosses(
  long: number,
  count: number,
  { opened: { badRows }, hearing, most, context }: Parameters<typeof readSpoken>[1],
): void {
  const shown = badRows.first.slice(0, 3).map(({ file, reason }) => `${file}: ${reason}`);
  const notes = [
    long > 0 && `${long} of ${count} sounds are longer than ${hearing.seconds} s or ${most} tokens, and left out`,
    badRows.count > 0 && `${badRows.count} rows are left out, as ${shown.join("; ")}`,
  ].filter((note) => note !== false);
  if (notes.length > 0) context.onWarning({ where: "data", notes });
}

function textOf(value: unknown, column: string): string {
  if (typeof value === "string" && value.trim() !== "") return value.trim();
  throw new DataError({
    where: `column ${column}`,
    expected: "a transcript",
    received: JSON.stringify(value)?.slice(0, 60) ?? "nothing",
    fix: "write what is said, or leave the sound out",
  });
}

/** What stands in front of a transcript, without the token that the decoder begins with, and what ends it. */
function frameOf(model: WhisperForConditionalGeneration, config: Config): { start: number[]; end: number } {
  const generator = new SpeechGenerator(model);
  const { settings: tokens } = generator;
  const { language, task } = config.method;
  const [, ...start] = tokens.startOf(tokens.languageOf({ language }), { task }, false);
  const { eos: end } = tokens;
  generator.dispose();
  return { start, end };
}

/** Writes down the first sounds of the validation data, greedily: word and character error rates. */
function transcriptScorer(
  model: WhisperForConditionalGeneration,
  tokenizer: Tokenizer,
  parts: { rows: Rows; column: string; hearing: Hearing; spoken: readonly SpokenRow[]; config: Config },
): Scorer<SpeechBatch> {
  const { rows, column, hearing, config } = parts;
  const { language, task, transcripts } = config.method;
  const spoken = parts.spoken.slice(0, transcripts);
  const most = Math.max(...spoken.map(({ labels }) => labels.length)) + SPARE_TOKENS;
  let generator: SpeechGenerator | undefined;
  return {
    outputs: () => ({}),
    add() {},
    async result({ signal } = {}) {
      generator ??= new SpeechGenerator(model);
      const heard: string[] = [];
      for (const { index } of spoken) {
        const { samples } = await decodeSound((await rows.row(index))[column], placeFile(rows, index));
        const ids: number[] = [];
        const asked = { language, task, timestamps: false, temperature: 0, maxNewTokens: most, signal };
        for await (const { tokens } of generator.generate(featuresOf(samples, hearing), asked)) ids.push(...tokens);
        heard.push((await tokenizer.decode(ids)).trim());
      }
      const metric = metricsOf("speech-recognition");
      metric.add(
        heard,
        spoken.map(({ text }) => text),
      );
      return metric.result();
    },
  };
}

/** A transcript may be so much longer than the longest of the data. */
const SPARE_TOKENS = 8;

async function previewOf(spoken: readonly SpokenRow[], rows: Rows, tokenizer: Tokenizer): Promise<string> {
  const lines = spoken.map(
    async ({ index, labels }) =>
      `${rows.placeOf(index)}: ${await tokenizer.decode([...labels], { skipSpecialTokens: false })}`,
  );
  return (await Promise.all(lines)).join("\n");
}
