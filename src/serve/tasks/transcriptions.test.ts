/** Speech by OpenAI's client, and sounds that are none. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import OpenAI, { toFile } from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pipeline, type SpeechRecognitionPipeline } from "../../pipelines/index.ts";
import { fieldsOfType } from "../../testing/fields-of-types.ts";
import { wavFile } from "../../testing/wav-file.ts";
import { createApp, type RunningServer, serve } from "../index.ts";
import { srt, vtt } from "./subtitles.ts";
import { transcriptionFields, translationFields } from "./transcriptions.ts";

const golden = fileURLToPath(new URL("../../../golden/", import.meta.url));
const wav = readFileSync(join(golden, "audio/mono-16.wav"));
let whisper: SpeechRecognitionPipeline;
let server: RunningServer;
let client: OpenAI;
let app: ReturnType<typeof createApp>;
beforeAll(async () => {
  whisper = await pipeline("automatic-speech-recognition", join(golden, "pipelines/models/whisper"));
  const model = { id: "whisper", kind: "speech", model: whisper } as const;
  server = await serve(model, { port: 0 });
  app = createApp(model);
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
});
afterAll(async () => {
  await server.close();
  whisper.dispose();
});

const sound = () => toFile(wav, "sound.wav");
const seconds = (wav.length - 44) / 2 / 16000;

describe("OpenAI's client", () => {
  test("gets what the pipeline writes", async () => {
    const { text } = await whisper.run(wav, { language: "en", task: "transcribe" });
    const asked = { model: "whisper", file: await sound(), language: "en" };
    expect(await client.audio.transcriptions.create(asked)).toEqual({
      text,
      usage: { type: "duration", seconds: Math.ceil(seconds) },
    });
    expect(await client.audio.transcriptions.create({ ...asked, response_format: "text" })).toBe(`${text.trim()}\n`);
    const { text: english } = await whisper.run(wav, { task: "translate" });
    expect((await client.audio.translations.create({ model: "whisper", file: await sound() })).text).toBe(english);
  });

  test("gets segments, words and subtitles with their times", async () => {
    const asked = { model: "whisper", file: await sound(), language: "en" };
    const { text, chunks = [] } = await whisper.run(wav, { language: "en", returnTimestamps: true });
    const segments = chunks.map(({ text, timestamp }) => ({
      text,
      start: timestamp?.[0] ?? 0,
      end: timestamp?.[1] ?? seconds,
    }));
    const verbose = await client.audio.transcriptions.create({ ...asked, response_format: "verbose_json" });
    expect(verbose).toMatchObject({
      task: "transcribe",
      text,
      duration: expect.closeTo(seconds, 3),
      segments: segments.map((segment, id) => ({ id, ...segment })),
    });
    if (segments.length > 0) expect(verbose.language).toBe("english");
    expect(await client.audio.transcriptions.create({ ...asked, response_format: "srt" })).toBe(srt(segments));
    expect(await client.audio.transcriptions.create({ ...asked, response_format: "vtt" })).toBe(vtt(segments));
  });

  test("has its prompt and its temperature followed", async () => {
    const asked = { model: "whisper", file: await sound(), language: "en", prompt: "Ishmael", temperature: 0 };
    const { text } = await whisper.run(wav, { language: "en", task: "transcribe", prompt: "Ishmael", temperature: 0 });
    expect((await client.audio.transcriptions.create(asked)).text).toBe(text);
  });
});

type Field = readonly [name: string, value: string | Blob];
async function post(fields: readonly Field[], path = "/v1/audio/transcriptions") {
  const form = new FormData();
  for (const [name, value] of fields) form.append(name, value);
  const answer = await app.request(path, { method: "POST", body: form });
  return {
    status: answer.status,
    body: (await answer.json()) as { error: { message: string; param: string; code: string } },
  };
}
const file = (bytes: Uint8Array | string, name = "sound.wav"): Field => {
  const data = typeof bytes === "string" ? bytes : new Uint8Array(bytes);
  return ["file", new File([data], name, { type: "audio/wav" })];
};

describe("fields", () => {
  test.each<[readonly Field[], string]>([
    [[], "file: expected a WAV file; received nothing"],
    [[["file", "sound.wav"]], "file: expected a file; received"],
    [[file(wav), ["language", "klingon"]], "language: expected one of"],
    [[file(wav), ["prompt", "<|endoftext|>"]], "prompt: expected plain text"],
    [[file(wav), ["temperature", "warm"]], "temperature: expected a number from 0 to 1"],
    [[file(wav), ["temperature", "2"]], "temperature: expected a number from 0 to 1"],
    [[file(wav), ["response_format", "xml"]], "response_format: expected one of json, text"],
    [[file(wav), ["timestamp_granularities[]", "word"]], "timestamp_granularities: expected response_format"],
    [
      [
        file(wav),
        ["response_format", "verbose_json"],
        ["timestamp_granularities[]", "word"],
        ["timestamp_granularities[]", "segment"],
      ],
      "timestamp_granularities: expected one of segment, word: both at once are not built",
    ],
    [[file(wav), ["stream", "true"]], "Unsupported parameter: 'stream'"],
    [[file(wav), ["chunking_strategy", "auto"]], "Unsupported parameter: 'chunking_strategy'"],
    [[file(wav), ["include[]", "logprobs"]], "Unsupported parameter: 'include'"],
    [[file(wav), ["langauge", "en"]], "Unknown parameter: 'langauge'. Did you mean 'language'?"],
    [[file(wav), file(wav)], "file: expected it once"],
    [[file(wav), ["__proto__", "x"]], "Unknown parameter: '__proto__'"],
  ])("%# are refused by name", async (fields, message) => {
    const { status, body } = await post(fields);
    expect([status, body.error.message]).toEqual([400, expect.stringContaining(message)]);
    expect(body.error.param).toBe(/(?<=^\w+ parameter: ')\w+|^\w+(?=:)/.exec(message)?.[0]);
    expect(body.error.code).toMatch(/^(invalid_value|unknown_parameter|unsupported_parameter)$/);
  });

  test("of a translation are fewer", async () => {
    const { status, body } = await post([file(wav), ["language", "en"]], "/v1/audio/translations");
    expect([status, body.error.message]).toEqual([400, "Unknown parameter: 'language'."]);
  });

  test.each([
    ["transcriptions", "TranscriptionCreateParamsBase", transcriptionFields],
    ["translations", "TranslationCreateParams", translationFields],
  ])("of %s are all those of OpenAI's types", (name, type, fields) => {
    const types = join(dirname(createRequire(import.meta.url).resolve("openai")), `resources/audio/${name}.d.ts`);
    const names = fieldsOfType(types, type);
    expect(names.length).toBeGreaterThan(4);
    expect(names.filter((member) => !Object.hasOwn(fields, member))).toEqual([]);
  });
});

describe("sounds that cannot be heard", () => {
  test.each<[string, Uint8Array | string, string]>([
    ["MP3", "ID3\x04", 'received "MP3"'],
    ["MP3 without tags", Uint8Array.of(0xff, 0xfb, 0x90, 0x64), 'received "MP3"'],
    ["FLAC", "fLaC", 'ffmpeg -i sound -ar 16000 -ac 1 sound.wav; received "FLAC"'],
    ["Ogg", "OggS", 'received "Ogg"'],
    ["M4A", "\0\0\0\x20ftypM4A ", 'received "MP4 or M4A"'],
    ["WebM", Uint8Array.of(0x1a, 0x45, 0xdf, 0xa3), 'received "WebM"'],
    ["a text", "Call me Ishmael.", "file: expected a WAV file; received another format"],
    ["nothing", "", "file: expected a WAV file"],
    ["a head alone", wavFile(), "expected at least one sample"],
    ["more said than there is", wavFile({ said: 2 ** 31 }), "expected at least one sample"],
    ["no channels", wavFile({ channels: 0, bytes: 64 }), "0 channels"],
    ["60,000 channels", wavFile({ channels: 60_000, bytes: 64 }), "channels"],
    ["no rate", wavFile({ rate: 0, bytes: 64 }), "at least 1000 samples a second"],
    ["a rate without end", wavFile({ rate: 2 ** 32 - 1, bytes: 64 }), "samples a second"],
    ["17 bits", wavFile({ bits: 17, bytes: 64 }), "17 bits"],
    ["no numbers", wavFile({ kind: 3, bits: 32, bytes: 64, fill: 0xff }), "samples that are numbers"],
    ["hours", wavFile({ rate: 1000, bits: 8, bytes: 3_700_000 }), "at most 3600 s; cut it"],
  ])("%s", async (_, bytes, message) => {
    const { status, body } = await post([file(bytes)]);
    expect([status, body.error.message]).toEqual([400, expect.stringContaining(message)]);
    expect(body.error).toMatchObject({ param: "file", code: "invalid_value" });
  });

  test("bodies that are no forms, torn, or too large", async () => {
    const send = async (type: string, body: string | Uint8Array<ArrayBuffer>) => {
      const answer = await app.request("/v1/audio/transcriptions", {
        method: "POST",
        headers: { "content-type": type, "content-length": String(body.length) },
        body,
      });
      return answer.status;
    };
    expect(await send("application/json", "{}")).toBe(415);
    expect(await send("multipart/form-data", "{}")).toBe(415);
    expect(await send("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form")).toBe(400);
    expect(await send("multipart/form-data; boundary=x", new Uint8Array(27 << 20))).toBe(413);
  });
});

test("subtitles have the times of their formats, and no text that would end them", () => {
  const segments = [
    { text: " A <b>\n\n & --> B ", start: 0, end: 1.5 },
    { text: "C", start: 3661.0004, end: 3723.9996 },
  ];
  expect(srt(segments)).toBe(
    "1\n00:00:00,000 --> 00:00:01,500\nA <b>\n& -> B\n\n2\n01:01:01,000 --> 01:02:04,000\nC\n\n",
  );
  expect(vtt(segments)).toBe(
    "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nA &lt;b>\n&amp; -> B\n\n01:01:01.000 --> 01:02:04.000\nC\n\n",
  );
});
