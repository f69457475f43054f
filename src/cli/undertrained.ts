import { join } from "node:path";
import { readRunConfig, trainingProgress } from "../train/index.ts";
import { typed } from "./command.ts";
import { formatSeconds } from "./terminal.ts";

/** Room above what the pace so far asks for, and what limits are rounded up to. */
const MARGIN = 1.1;
const ROUND_SECONDS = 100;

/**
 * What to say of a run that its time limit ended before all steps were done: how far it came, and the command that goes
 * on.
 */
export async function undertrained(runs: string, name: string): Promise<string | undefined> {
  const folder = join(runs, name);
  const [config, progress] = [await readRunConfig(folder), await trainingProgress(folder)];
  if (!config || !progress || progress.step >= config.steps) return undefined;
  const { step, elapsedSeconds } = progress;
  const needed =
    Math.ceil((MARGIN * elapsedSeconds * config.steps) / Math.max(step, 1) / ROUND_SECONDS) * ROUND_SECONDS;
  const command = typed(
    "train",
    "--name",
    name,
    ...(runs === "runs" ? [] : ["--runs", runs]),
    "--max-seconds",
    String(needed),
  );
  const share = ((100 * step) / config.steps).toFixed(0);
  return `undertrained: it stopped at step ${step} of ${config.steps} (${share} %), after ${formatSeconds(elapsedSeconds)}, and writes the worse for it.
To go on, at most ${formatSeconds(needed - elapsedSeconds)} more: ${command}`;
}
