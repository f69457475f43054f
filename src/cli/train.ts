import { rm } from "node:fs/promises";
import { basename, extname, join, resolve } from "node:path";
import { generateText } from "../generate/index.ts";
import { OptionError } from "../ir/index.ts";
import type { ServedModel } from "../serve/index.ts";
import { defaultDevice } from "../tensor/index.ts";
import { defaultRunConfig, findCheckpoint, type RunConfig, readRunConfig, runTraining } from "../train/index.ts";
import { abortOnInterrupt } from "./interrupt.ts";
import { type CurvePoint, drawCurve, formatCount, formatSeconds, ProgressLine } from "./terminal.ts";

export interface TrainCommandOptions extends Partial<Omit<RunConfig, "text">> {
  text: string;
  name?: string;
  runs: string;
  restart?: boolean;
}

export interface RunOutcome {
  folder: string;
  isComplete: boolean;
}

/** Loss shown is a running mean, so that it can be read. */
const SMOOTHING = 0.95;

/** `kindling train`: trains with a live progress line, draws the curve, and saves. Ctrl-C saves a checkpoint. */
export async function trainCommand(options: TrainCommandOptions, resumeCommand: string): Promise<RunOutcome> {
  const { text, name = basename(text, extname(text)), runs, restart, ...given } = options;
  if (!/^[\w.-]+$/.test(name)) {
    throw new OptionError({ where: "train", expected: "a --name of letters, digits, - and _", received: `"${name}"`, fix: "for example --name my-model" });
  }
  const folder = join(runs, name);
  if (restart) await rm(folder, { recursive: true, force: true });
  const earlier = await readRunConfig(folder);
  const config: RunConfig = { ...defaultRunConfig, ...earlier, ...given, text: resolve(text) };
  const line = new ProgressLine();
  const { signal, dispose } = abortOnInterrupt(() => line.print("stopping after this step; Ctrl-C again to stop at once ..."));
  const curve: CurvePoint[] = [];
  let smoothed: number | undefined;
  let validation: number | undefined;
  let isComplete = false;
  try {
    const onPreparing = (stage: string, fraction: number) => line.show(`${stage}: ${(100 * fraction).toFixed(0)} %`);
    for await (const event of runTraining(folder, config, { signal, onPreparing })) {
      if (event.type === "ready") {
        line.print(`${formatCount(event.parameters)} parameters, vocabulary ${event.vocabSize}, ${formatCount(event.trainTokens)} training tokens, ${defaultDevice().threads} threads`);
        line.show("compiling ...");
      } else if (event.type === "resumed") line.print(`resumed at step ${event.step}`);
      else if (event.type === "step") {
        curve.push({ step: event.step, loss: event.loss });
        smoothed = smoothed === undefined ? event.loss : SMOOTHING * smoothed + (1 - SMOOTHING) * event.loss;
        const perStep = (config.batchSize * config.contextLength) / event.tokensPerSecond;
        const left = Math.min((config.steps - event.step) * perStep, config.maxSeconds > 0 ? config.maxSeconds - event.elapsedSeconds : Number.POSITIVE_INFINITY);
        line.show(
          `step ${event.step}/${config.steps}  loss ${smoothed.toFixed(3)}  val ${validation?.toFixed(3) ?? "-"}  ${formatCount(event.tokensPerSecond)} tokens/s  ${formatSeconds(left)} left`,
        );
      } else if (event.type === "evaluation") validation = event.validationLoss;
      else if (event.type === "finished") {
        isComplete = event.reason !== "aborted";
        line.print();
        if (curve.length > 1) line.print(`${drawCurve(curve)}\n`);
        line.print(`${isComplete ? "finished" : "stopped"} at step ${event.step}, validation loss ${event.validationLoss?.toFixed(4) ?? "not measured"}`);
        if (!isComplete) line.print(`saved ${join(folder, "checkpoint")}. To go on: ${resumeCommand}`);
      } else if (event.type === "saved") line.print(`saved ${event.path} (Hugging Face layout)`);
    }
  } catch (error) {
    line.end();
    if (!signal.aborted || (error as Error).name !== "AbortError") throw error;
    const saved = await findCheckpoint(join(folder, "checkpoint"));
    line.print(saved ? `stopped; ${saved} is as it was. To go on: ${resumeCommand}` : `stopped before training began. To go on: ${resumeCommand}`);
  } finally {
    dispose();
  }
  return { folder, isComplete };
}

/** Prints `count` continuations, so that one sees what was learned. */
export async function printSamples({ generator, tokenizer }: ServedModel, prompts: readonly string[], maxNewTokens: number): Promise<void> {
  for (const [i, prompt] of prompts.entries()) {
    process.stdout.write(`\n--- sample ${i + 1} ---\n${prompt}`);
    for await (const { text } of generateText(generator, tokenizer, prompt, { maxNewTokens, temperature: 0.8, topK: 50, seed: i })) process.stdout.write(text);
    process.stdout.write("\n");
  }
}
