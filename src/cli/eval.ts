import type { Command } from "commander";
import { OptionError } from "../base/index.ts";
import type { EvaluateOptions } from "../evaluate/index.ts";
import { useDevice } from "./device.ts";
import { abortOnInterrupt, INTERRUPTED } from "./interrupt.ts";
import { openModel } from "./models.ts";
import { integer, number } from "./parse-values.ts";
import { deviceOption, dropUndefined, type ModelFlags, openOptionsOf } from "./sampling.ts";
import { ProgressLine } from "./terminal.ts";

/** The tasks are read, and models are judged, by what only this command needs. */
const importEvaluate = () => import("../evaluate/index.ts");

const EXAMPLES = `
Examples:
  kindling eval sotu --tasks questions.yaml
  kindling eval smollm2.gguf --tasks questions.yaml texts.yaml --limit 100 --output runs/eval-smollm2
  kindling eval runs/my --tasks questions.yaml --num-fewshot 5

A task is a YAML or JSON file in a part of lm-evaluation-harness' format: docs/evaluation.md.
Ctrl-C ends it; with --output the same command goes on. Exit codes: 0 done, 130 interrupted, 1 failed.`;

interface EvalFlags extends Pick<ModelFlags, "runs" | "context" | "device" | "threads" | "adapter"> {
  tasks: string[];
  limit?: number;
  numFewshot?: number;
  seed?: number;
  resamples?: number;
  output?: string;
}

/** Declares `kindling eval`. @param model what a model may be named by */
export function addEval(program: Command, model: string): void {
  program
    .command("eval")
    .argument("<model>", model)
    .description("Judge a language model by tasks in the style of lm-evaluation-harness, to its numbers.")
    .requiredOption("--tasks <files...>", "a file for each task")
    .option("--limit <n>", "only the first rows of each task; below 1 a share of them", number)
    .option("--num-fewshot <n>", "examples in front of each question (default: as the task says)", integer)
    .option("--seed <n>", "of the choice of examples (default: 1234)", integer)
    .option("--resamples <n>", "for standard errors that have no formula; 0 leaves all out (default: 100000)", integer)
    .option("--output <folder>", "write answers and results; an evaluation that was ended goes on with it")
    .option(
      "--context <tokens>",
      "most tokens that the model looks at together (default: the model's longest)",
      integer,
    )
    .option("--adapter <folder>", "an adapter that the model is run with: a folder of peft, or of Python's adapters")
    .option("--runs <folder>", "folder of all runs", "runs")
    .addOption(deviceOption())
    .addHelpText("after", EXAMPLES)
    .action((name: string, flags: EvalFlags) => evalCommand(name, flags));
}

/** `kindling eval`: a table on standard output. */
async function evalCommand(name: string, flags: EvalFlags): Promise<void> {
  const { tasks: paths, numFewshot, limit, seed, resamples, output: folder } = flags;
  if (new Set(paths).size < paths.length)
    throw new OptionError({
      where: "--tasks",
      expected: "each file once",
      received: paths.join(" "),
      fix: "leave out what is there twice",
    });
  const { EvalModel, evaluate, formatResults, readTask } = await importEvaluate();
  const others = dropUndefined({ numFewshot });
  const tasks = await Promise.all(paths.map((path) => readTask(path, others))); // before the model, which takes longer
  await useDevice(flags);
  const progress = new ProgressLine(process.stderr);
  const { signal, dispose } = abortOnInterrupt(() => {});
  const model = await openModel(name, flags.runs, openOptionsOf(flags));
  try {
    const options: EvaluateOptions = dropUndefined({ limit, seed, resamples, folder, modelName: model.id });
    const onProgress = (task: string, done: number, rows: number) => progress.show(`${task}: ${done} of ${rows} rows`);
    const judged = new EvalModel(model.generator, model.tokenizer);
    const results = await evaluate(judged, tasks, { ...options, signal, onProgress });
    progress.end();
    process.stdout.write(formatResults(results));
  } catch (error) {
    if (!signal.aborted) throw error;
    process.exitCode = INTERRUPTED;
  } finally {
    progress.end();
    model.generator.dispose();
    dispose();
  }
}
