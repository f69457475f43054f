import type { Context } from "hono";
import type { KindlingError } from "../../base/index.ts";
import type { SpeechRecognitionOptions, Transcript } from "../../pipelines/index.ts";
import { asFaultOf } from "../errors.ts";
import { type App, type Environment, inTurn, modelNameOf } from "../exchange.ts";
import { type Fields, invalid, readFields, rule, text, type Values } from "../fields.ts";
import type { ServedModels } from "../models/index.ts";
import { finish } from "./answering.ts";
import { formOf, numberIn } from "./form.ts";
import { readSound } from "./sound.ts";
import { type Segment, srt, vtt } from "./subtitles.ts";

const formats = ["json", "text", "srt", "verbose_json", "vtt"] as const;
type Format = (typeof formats)[number];
const granularities = ["segment", "word"] as const;
type Granularity = (typeof granularities)[number];

/** Every field of POST /v1/audio/translations. */
export const translationFields = {
  model: text,
  file: rule<Blob>("a file", (value) => value instanceof Blob),
  prompt: text,
  response_format: rule<Format>(`one of ${formats.join(", ")}`, (value) => formats.includes(value as Format)),
  temperature: rule<number>("a number from 0 to 1", (value) => typeof value === "number" && value >= 0 && value <= 1),
} as const satisfies Fields;

/** Every field of POST /v1/audio/transcriptions. */
export const transcriptionFields = {
  ...translationFields,
  language: text, // what the model knows it says itself
  timestamp_granularities: rule<Granularity[]>(
    `one of ${granularities.join(", ")}: both at once are not built`,
    (value) => Array.isArray(value) && value.length === 1 && granularities.includes(value[0] as Granularity),
  ),
  stream: ["false"],
  chunking_strategy: [],
  include: [],
  known_speaker_names: [],
  known_speaker_references: [],
} as const satisfies Fields;

type SpeechRequest = Values<typeof transcriptionFields>;
type SpeechTask = "transcribe" | "translate";

/** POST /v1/audio/transcriptions and /v1/audio/translations, as OpenAI's. */
export function speechRoutes(app: App, models: ServedModels): void {
  app.post("/v1/audio/transcriptions", (c) => heard(c, models, "transcribe", transcriptionFields));
  app.post("/v1/audio/translations", (c) => heard(c, models, "translate", translationFields));
}

async function heard(
  c: Context<Environment>,
  models: ServedModels,
  task: SpeechTask,
  fields: typeof transcriptionFields | typeof translationFields,
): Promise<Response> {
  const form = await formOf(c);
  if (form.temperature !== undefined) form.temperature = numberIn(form.temperature);
  const request: SpeechRequest = readFields(form, fields);
  const { file, response_format: format = "json", timestamp_granularities: [granularity] = [undefined] } = request;
  if (!file) throw invalid("file", "a WAV file", undefined);
  if (granularity !== undefined && format !== "verbose_json")
    throw invalid("timestamp_granularities", "response_format to be verbose_json with it", [granularity]);
  const { seconds, ...sound } = await readSound(new Uint8Array(await file.arrayBuffer()));
  return inTurn(c, models, "speech", { asked: modelNameOf(form) }, async ({ model }, life) => {
    await life.turn();
    const options = speechOptions(request, { task, format, granularity, signal: life.signal });
    const transcript = await asFaultOf(
      (refusal) => faultyField(refusal, options),
      () => model.run(sound, options),
    );
    finish(life, 0);
    if (format === "json")
      return c.json({ text: transcript.text, usage: { type: "duration", seconds: Math.ceil(seconds) } });
    if (format === "verbose_json")
      return c.json({ task, ...verbose(transcript, { seconds, isByWord: granularity === "word" }) });
    return c.text(written(transcript, format, seconds));
  });
}

interface Hearing {
  task: SpeechTask;
  format: Format;
  granularity: Granularity | undefined;
  signal: AbortSignal;
}

function speechOptions(
  { language, prompt, temperature }: SpeechRequest,
  { task, format, granularity, signal }: Hearing,
): SpeechRecognitionOptions {
  const hasTimes = format !== "json" && format !== "text";
  return {
    task,
    signal,
    ...(language !== undefined && { language }),
    ...(prompt !== undefined && prompt !== "" && { prompt }),
    ...(temperature !== undefined && { temperature }),
    ...(hasTimes && { returnTimestamps: granularity === "word" ? "word" : true, returnLanguage: true }),
  };
}

/** The field that a model refuses: an option by its name, the times that are asked of one without, or the sound. */
function faultyField({ where }: KindlingError, { returnTimestamps }: SpeechRecognitionOptions): string {
  if (where === "task") return "model";
  if (Object.hasOwn(transcriptionFields, where)) return where;
  if (where !== "generate" || !returnTimestamps) return "file";
  return returnTimestamps === "word" ? "timestamp_granularities" : "response_format";
}

/** Parts of a text; the last may have no end that was heard. */
const segmentsOf = ({ chunks = [] }: Transcript, seconds: number): Segment[] =>
  chunks.map(({ text: part, timestamp: [start, end] = [null, null] }) => ({
    text: part,
    start: start ?? 0,
    end: end ?? seconds,
  }));

function verbose(transcript: Transcript, { seconds, isByWord }: { seconds: number; isByWord: boolean }): object {
  const parts = segmentsOf(transcript, seconds);
  const language = transcript.chunks?.find((chunk) => chunk.language !== undefined)?.language;
  return {
    ...(language !== undefined && { language }),
    duration: seconds,
    text: transcript.text,
    ...(isByWord
      ? { words: parts.map(({ text: word, start, end }) => ({ word: word.trim(), start, end })) }
      : { segments: parts.map((part, id) => ({ id, ...part })) }),
    usage: { type: "duration", seconds: Math.ceil(seconds) },
  };
}

function written(transcript: Transcript, format: "text" | "srt" | "vtt", seconds: number): string {
  if (format === "text") return `${transcript.text.trim()}\n`;
  return (format === "srt" ? srt : vtt)(segmentsOf(transcript, seconds));
}
