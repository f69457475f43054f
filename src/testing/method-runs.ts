/** Runs of training methods on tiny models, for tests. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Warning } from "../base/index.ts";
import {
  type MethodEvent,
  type MethodRunOptions,
  methods,
  type ResolvedConfig,
  resolveConfig,
  runMethod,
} from "../methods/index.ts";
import { TokenizerTrainer } from "../tokenizers/index.ts";

/** What happened in a run. */
export interface MethodRun {
  losses: number[];
  /** Validation losses and metrics. */
  evaluations: Record<string, number>[];
  facts: Readonly<Record<string, string | number>>;
  samples: string[];
  notes: string[];
  /** The run's folder. */
  folder: string;
}

type Config = Record<string, unknown> & { output: string };

/** Trains a config to its end. */
export async function runConfig(config: Config): Promise<MethodRun> {
  const resolved = await resolveConfig(config, { methods, where: "config", folder: ".", name: "test" });
  const notes: string[] = [];
  const run: MethodRun = { losses: [], evaluations: [], facts: {}, samples: [], notes, folder: resolved.folder };
  const onWarning = (warning: Warning) => notes.push(...warning.notes);
  for await (const event of runMethod(resolved, { onWarning })) {
    if (event.type === "ready") run.facts = event.facts;
    if (event.type === "step") run.losses.push(event.loss);
    if (event.type === "sample") run.samples.push(event.text);
    if (event.type === "evaluation") run.evaluations.push({ loss: event.validationLoss, ...event.metrics });
  }
  return run;
}

/** Trains what is resolved to its end: all that is told, and all that is warned of. */
export async function eventsOf(
  resolved: ResolvedConfig,
  options: Omit<MethodRunOptions, "onWarning"> = {},
): Promise<{ events: MethodEvent[]; notes: string[] }> {
  const events: MethodEvent[] = [];
  const notes: string[] = [];
  const onWarning = (warning: Warning) => notes.push(...warning.notes);
  for await (const event of runMethod(resolved, { ...options, onWarning })) events.push(event);
  return { events, notes };
}

/** Losses of six steps at once, and of the same in two runs, of which the second goes on: they must be the same. */
export async function cutAndWhole(config: Config): Promise<{ whole: number[]; parts: number[] }> {
  const withSteps = (steps: number, output: string) => ({
    ...config,
    output: `${config.output}-${output}`,
    schedule: { name: "constant" },
    training: { ...(config.training as object), steps },
  });
  const whole = await runConfig(withSteps(6, "whole"));
  const first = await runConfig(withSteps(3, "cut"));
  const second = await runConfig(withSteps(6, "cut"));
  return { whole: whole.losses, parts: [...first.losses, ...second.losses] };
}

/** Writes rows as a JSONL file. */
export async function writeRowsTo(folder: string, name: string, rows: readonly object[]): Promise<string> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, name);
  await writeFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return path;
}

/** A WordPiece tokenizer of the words of some texts, in a folder. */
export async function tinyTokenizer(folder: string, texts: readonly string[], vocabSize = 200): Promise<string> {
  const trainer = await TokenizerTrainer.create({ model: "wordpiece", vocabSize });
  for (const text of texts) trainer.add(text);
  const tokenizer = await trainer.train();
  await mkdir(folder, { recursive: true });
  await tokenizer.save(folder);
  return folder;
}

/** config.json of a BERT of a few thousand parameters. */
export const tinyBert = {
  model_type: "bert",
  hidden_size: 32,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 64,
  max_position_embeddings: 64,
  initializer_range: 0.1,
};
