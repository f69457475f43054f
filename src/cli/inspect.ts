import { stat } from "node:fs/promises";
import { DataError } from "../base/index.ts";
import { inspectModel, type ModelReport } from "../models/index.ts";
import { findModel } from "./models.ts";
import { formatBytes, formatCount } from "./terminal.ts";

/** `kindling inspect`: what a model is, from the headers of its files. */
export async function inspectCommand(name: string, { runs, json }: { runs: string; json?: boolean }): Promise<void> {
  const path = await modelPath(name, runs);
  const report = await inspectModel(path);
  process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : describe(path, report));
}

/** A file, a model's or a run's folder, or the name of a run; a folder of another kind is looked at as it is. */
async function modelPath(name: string, runs: string): Promise<string> {
  const isThere = await stat(name).then(
    () => true,
    () => false,
  );
  return findModel(name, runs).catch((error) => {
    if (isThere && error instanceof DataError) return name;
    throw error;
  });
}

function describe(
  path: string,
  { format, architecture, parameters, dtypes, modules, tokenizer, licence, memory }: ModelReport,
): string {
  const rows: [string, string][] = [
    ["model", `${path} (${format})`],
    ["architecture", architecture ?? "not said"],
    ["parameters", `${formatCount(parameters)} (${parameters})`],
    [
      "stored as",
      Object.entries(dtypes)
        .map(([dtype, { parameters: count, bytes }]) => `${dtype}: ${formatCount(count)} in ${formatBytes(bytes)}`)
        .join(", "),
    ],
    ["tokenizer", tokenizer ? `${tokenizer.kind}, ${tokenizer.vocabSize} tokens` : "none"],
    ["licence", licence ?? "not said"],
    ["to run", `${formatBytes(memory.stored)} as stored, ${formatBytes(memory.run)} in f32`],
    ["to train", `${formatBytes(memory.train)} for weights, gradients and AdamW in f32, besides activations`],
  ];
  const lines = rows.map(([name, value]) => `${name.padEnd(14)}${value}`);
  const width = Math.max(...Object.keys(modules).map((name) => name.length), 6);
  const table = Object.entries(modules).map(
    ([name, { parameters: count, tensors }]) =>
      `${name.padEnd(width)}  ${formatCount(count).padStart(8)}  ${String(tensors).padStart(7)}`,
  );
  return `${lines.join("\n")}\n\n${"module".padEnd(width)}  ${"numbers".padStart(8)}  tensors\n${table.join("\n")}\n`;
}
