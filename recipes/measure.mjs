/**
 * Measures recipes: the same training by Kindling and by its peer in PyTorch, with several seeds, one after the other;
 * what they reached, the seconds from the command to the result and the peak of memory.
 *   node recipes/measure.mjs spam mnist [--seeds 3] [--steps 20] [--python python3] [--side ours|peer]
 * A run that is in recipes/<name>/runs/measured.jsonl already is not made again.
 */
import { spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL(".", import.meta.url));
const program = join(root, "..", "dist", "cli", "main.js");

const chat = ["before.validationLoss", "after.validationLoss", "before.tokenAccuracy", "after.tokenAccuracy"];

/**
 * Metrics of each recipe that are shown, and what is not as in the others. `run` is the folder of ours; recipes of
 * several parts have a program of their own, run.mjs.
 */
const recipes = {
  spam: { metrics: ["accuracy", "f1Macro"] },
  "chinese-sentiment": { metrics: ["accuracy", "f1Macro"] },
  "chinese-ner": { metrics: ["f1", "accuracy"] },
  mnist: { metrics: ["accuracy"] },
  "maml-digits": { metrics: ["accuracy"] },
  "clip-emoji": {
    metrics: ["textToImageRecallAt1", "textToImageRecallAt10", "imageToTextRecallAt10"],
    peer: (run) => [run],
  },
  "gpt-sotu": gpt(),
  "gpt-chinese-poetry": gpt(),
  "smollm2-lora": { metrics: chat, hasRun: true },
  "smollm2-qlora": { metrics: chat, hasRun: true },
  "smollm2-dpo": { metrics: ["validationLoss", "rewards/accuracies", "rewards/margins"] },
  "grpo-arithmetic": { metrics: ["start.greedy", "end.greedy", "start.drawn", "end.drawn"], hasRun: true },
  translation: { metrics: ["bleu", "chrf"], hasRun: true },
  "minilm-retrieval": retrieval(),
  "distil-6-to-2": retrieval(),
};

/** Measured on all of the validation data, as the peer is. */
function gpt() {
  return { metrics: ["validationLoss"], overrides: ["evaluation.batches=1000000"], peer: (run) => [run] };
}

/** Measured on test.jsonl, which the run has not seen. */
function retrieval() {
  const data = join(root, "minilm-retrieval", "data");
  const evaluate = join(root, "minilm-retrieval", "evaluate.mjs");
  return {
    metrics: ["ndcgAt10"],
    peer: () => [data],
    after: (run) => [evaluate, join(data, "test.jsonl"), join(run, "model")],
  };
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: "string", default: "3" },
    steps: { type: "string" },
    python: { type: "string", default: "python3" },
    side: { type: "string" },
  },
});
const unknown = positionals.filter((name) => !(name in recipes));
if (positionals.length === 0 || unknown.length > 0) {
  console.error(
    `expected names of recipes: ${Object.keys(recipes).join(", ")}; received ${unknown.join(", ") || "none"}`,
  );
  process.exit(2);
}

/** The most memory that a process has had so far, in MiB. undefined where the system does not tell. */
function peakMemory(pid) {
  try {
    const kibibytes = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]; // gone where it has ended
    return kibibytes && Number(kibibytes) / 1024;
  } catch {
    return undefined;
  }
}

/** Runs a program to its end -> what it printed, seconds and MiB. */
function run(command, words) {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const child = spawn(command, words, { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    let memory;
    const watch = setInterval(() => {
      memory = peakMemory(child.pid) ?? memory;
    }, 200);
    child.stdout.on("data", (data) => {
      output += data;
    });
    child.on("error", reject);
    child.on("close", (code) => {
      clearInterval(watch);
      const seconds = (performance.now() - started) / 1000;
      if (code === 0) resolve({ output, seconds, memory });
      else reject(new Error(`${[command, ...words].join(" ")}: expected the exit code 0; received ${code}\n${output}`));
    });
  });
}

const lastJson = (text) =>
  JSON.parse(
    text
      .trim()
      .split("\n")
      .findLast((line) => line.startsWith("{")),
  );

/** What a program tells of itself: its seconds are those of training alone, and what is inside of an object is flat. */
function told(output) {
  const { seconds, ...others } = lastJson(output);
  const flat = Object.entries(others).flatMap(([name, value]) =>
    typeof value === "object" && value !== null
      ? Object.entries(value).map(([inner, number]) => [`${name}.${inner}`, number])
      : [[name, value]],
  );
  return { trainingSeconds: seconds, ...Object.fromEntries(flat) };
}

/** Kindling's run: all but seed and steps as config.yaml says, measured after the last step. */
async function ours(name, seed, folder) {
  if (recipes[name].hasRun) {
    const steps = values.steps ? ["--steps", values.steps] : [];
    const { output, seconds, memory } = await run(process.execPath, [
      join(root, name, "run.mjs"),
      "--seed",
      seed,
      ...steps,
    ]);
    return { ...told(output), seconds, memory };
  }
  const overrides = [`training.seed=${seed}`, `output=${JSON.stringify(folder)}`, "evaluation.interval=1000000"];
  overrides.push(...(recipes[name].overrides ?? []));
  if (values.steps) overrides.push(`training.steps=${values.steps}`);
  const words = [program, "train", join(root, name, "config.yaml"), ...overrides, "--restart"];
  const { seconds, memory } = await run(process.execPath, words);
  const rows = readFileSync(join(folder, "metrics.jsonl"), "utf8").trim().split("\n").map(JSON.parse);
  const { validationLoss, metrics } = rows.findLast((row) => row.validationLoss !== undefined);
  const { after } = recipes[name];
  const measured = after ? lastJson((await run(process.execPath, after(folder))).output) : {};
  return { ...metrics, validationLoss, ...measured, seconds, memory };
}

/** The peer's run; its last line is an object of its numbers. */
async function theirs(name, seed, folder) {
  const words = [join(root, name, "peer.py"), ...(recipes[name].peer?.(folder) ?? []), "--seed", seed];
  if (values.steps) words.push("--steps", values.steps);
  const { output, seconds, memory } = await run(values.python, words);
  return { ...told(output), seconds, memory };
}

const mean = (numbers) => numbers.reduce((a, b) => a + b, 0) / numbers.length;
const deviation = (numbers) => {
  const centre = mean(numbers);
  return Math.sqrt(numbers.reduce((sum, x) => sum + (x - centre) ** 2, 0) / Math.max(1, numbers.length - 1));
};
const isCost = (name) => name === "memory" || name.toLowerCase().endsWith("seconds");
const digitsOf = (name) => (isCost(name) ? 0 : 4);
const shown = (name, numbers) =>
  `${mean(numbers).toFixed(digitsOf(name))} ± ${deviation(numbers).toFixed(digitsOf(name))}`;

/** A table of one recipe: both sides' means and standard deviations over the seeds. */
function table(name, rows) {
  const lines = [`| ${name}, ${rows.length / 2} seeds | Kindling | PyTorch | ratio |`, "| --- | --- | --- | --- |"];
  for (const metric of [...recipes[name].metrics, "trainingSeconds", "seconds", "memory"]) {
    const [ourNumbers, theirNumbers] = ["ours", "peer"].map((side) =>
      rows.filter((row) => row.side === side && row[metric] !== undefined).map((row) => row[metric]),
    );
    if (ourNumbers.length === 0) continue;
    const unit = metric === "memory" ? "peak memory, MiB" : metric;
    if (theirNumbers.length === 0) lines.push(`| ${unit} | ${shown(metric, ourNumbers)} | | |`);
    else {
      const ratio = mean(theirNumbers) / mean(ourNumbers);
      const both = [ourNumbers, theirNumbers].map((numbers) => shown(metric, numbers)).join(" | ");
      lines.push(`| ${unit} | ${both} | ${isCost(metric) ? `${ratio.toFixed(2)}x` : ""} |`);
    }
  }
  return lines.join("\n");
}

/** The other runs go on. */
function failed(error) {
  console.error(error.message);
  process.exitCode = 1;
}

console.log(`${cpus()[0].model}, ${cpus().length} cores; ratios above 1: Kindling needs less\n`);
for (const name of positionals) {
  const runs = join(root, name, "runs");
  mkdirSync(runs, { recursive: true });
  const file = join(runs, "measured.jsonl");
  const isSame = (row) => row.steps === values.steps;
  const known = existsSync(file)
    ? readFileSync(file, "utf8").trim().split("\n").filter(Boolean).map(JSON.parse).filter(isSame)
    : [];
  for (let seed = 0; seed < Number(values.seeds); seed++) {
    for (const [side, measure] of Object.entries({ ours, peer: theirs })) {
      if ((values.side ?? side) !== side || known.some((row) => row.seed === seed && row.side === side)) continue;
      const found = await measure(name, String(seed), join(runs, `seed-${seed}`)).catch(failed);
      if (found === undefined) continue;
      const row = { ...found, seed, side, steps: values.steps };
      known.push(row);
      appendFileSync(file, `${JSON.stringify(row)}\n`);
      console.error(name, JSON.stringify(row));
    }
  }
  console.log(
    `${table(
      name,
      known.filter(({ seed }) => seed < Number(values.seeds)),
    )}\n`,
  );
}
