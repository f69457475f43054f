/** Speech that is written down: learned from tones, cut and resumed with changes, and what is refused. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventsOf } from "../testing/method-runs.ts";
import { type MethodEvent, methods, resolveConfig } from "./index.ts";

const tokenizer = fileURLToPath(new URL("../../golden/tokenizers/bpe-600.tokenizer.json", import.meta.url));
const words = { low: 300, middle: 900, high: 2700 } as const;

/** A WAV file of a tone, 16 bits in one channel. */
function wav(hertz: number, { rate = 16000, seconds = 0.3, phase = 0 } = {}): Buffer {
  const count = Math.round(rate * seconds);
  const bytes = Buffer.alloc(44 + 2 * count);
  bytes.write("RIFF", 0, "latin1");
  bytes.writeUInt32LE(36 + 2 * count, 4);
  bytes.write("WAVEfmt ", 8, "latin1");
  bytes.writeUInt32LE(16, 16); // bytes of the format: PCM, one channel, rates, 16 bits
  bytes.writeUInt16LE(1, 20);
  bytes.writeUInt16LE(1, 22);
  bytes.writeUInt32LE(rate, 24);
  bytes.writeUInt32LE(2 * rate, 28);
  bytes.writeUInt16LE(2, 32);
  bytes.writeUInt16LE(16, 34);
  bytes.write("data", 36, "latin1");
  bytes.writeUInt32LE(2 * count, 40);
  for (let i = 0; i < count; i++)
    bytes.writeInt16LE(Math.round(12000 * Math.sin(phase + (2 * Math.PI * hertz * i) / rate)), 44 + 2 * i);
  return bytes;
}

let root: string;
let data: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-speech-"));
  data = join(root, "recordings");
  await mkdir(data);
  const lines: string[] = [];
  for (const [text, hertz] of Object.entries(words))
    for (let i = 0; i < 4; i++) {
      const rate = i === 3 ? 8000 : 16000; // one of four is stored otherwise
      await writeFile(join(data, `${text}-${i}.wav`), wav(hertz, { rate, phase: i }));
      lines.push(JSON.stringify({ file_name: `${text}-${i}.wav`, text }));
    }
  await writeFile(join(data, "metadata.jsonl"), `${lines.join("\n")}\n`);
});
afterAll(() => rm(root, { recursive: true, force: true }));

const model = {
  new: {
    model_type: "whisper",
    d_model: 32,
    encoder_layers: 1,
    decoder_layers: 1,
    encoder_attention_heads: 2,
    decoder_attention_heads: 2,
    encoder_ffn_dim: 48,
    decoder_ffn_dim: 48,
    max_source_positions: 25,
    max_target_positions: 12,
  },
};

async function run(name: string, { method, ...config }: { method?: object; [field: string]: unknown }) {
  const input = {
    method: { name: "speech", ...method },
    model,
    tokenizer,
    data: { train: data, validation: data },
    optimizer: { learningRate: 3e-3 },
    evaluation: { interval: 100 },
    ...config,
    output: join(root, "runs", name),
  };
  const resolved = await resolveConfig(input, { methods, where: "test", folder: root, name });
  return eventsOf(resolved);
}

const lossesOf = ({ events }: { events: readonly MethodEvent[] }) =>
  events.flatMap((event) => (event.type === "step" ? [event.loss] : []));

test("tones are written as their words; those of another rate are resampled", async () => {
  const { events } = await run("learns", { method: { transcripts: 12 }, training: { steps: 100, batchSize: 6 } });
  expect(events.find((event) => event.type === "ready")?.facts).toMatchObject({ sounds: 12, "resampled sounds": 3 });
  const last = events.findLast((event) => event.type === "evaluation");
  expect(last?.metrics.wer).toBeLessThan(0.1);
});

test("cut and resumed with changes of sounds: the losses of a run that was not cut, to the bit", async () => {
  const config = (steps: number) => ({
    method: {
      transcripts: 0,
      augment: { speed: {}, gain: {}, shift: {}, noise: {}, spectrogram: { timeWarp: 5, timeWidth: 8 } },
    },
    schedule: { name: "constant" },
    training: { steps, batchSize: 4 },
  });
  const whole = lossesOf(await run("whole", config(4)));
  expect([...lossesOf(await run("cut", config(2))), ...lossesOf(await run("cut", config(4)))]).toEqual(whole);
});

test("sounds that cannot be read, are too long or say nothing", async () => {
  await writeFile(join(root, "long.wav"), wav(300, { seconds: 0.9 }));
  await writeFile(join(root, "none.wav"), "no sound");
  const rows = [
    { audio: "recordings/low-0.wav", text: "low" },
    { audio: "long.wav", text: "low" },
    { audio: "none.wav", text: "low" },
    { audio: "recordings/low-1.wav", text: " " },
  ];
  await writeFile(join(root, "rows.jsonl"), `${rows.map((row) => JSON.stringify(row)).join("\n")}\n`);
  const training = { steps: 1, batchSize: 1 };
  const train = "rows.jsonl";
  await expect(run("bad", { data: { train, validationShare: 0 }, training })).rejects.toThrow(/none\.wav.*a WAV file/);
  const { events, notes } = await run("skipped", { data: { train, validationShare: 0, onBadRow: "skip" }, training });
  expect(events.find((event) => event.type === "ready")?.facts.sounds).toBe(1);
  expect(notes.join("; ")).toMatch(/1 of 4 sounds are longer than 0\.5 s.*2 rows are left out, as .*none\.wav/);
  await expect(run("language", { method: { language: "en" }, training })).rejects.toThrow("no language");
});
