import { writeFile } from "node:fs/promises";
import { withWriteErrors } from "../files/index.ts";
import { fromPretrained } from "../models/index.ts";
import type { DeviceType } from "../runtime/index.ts";
import { defaultDevice } from "../tensor/index.ts";
import { profileTraining } from "../train/index.ts";
import { useDevice } from "./device.ts";
import { findModel } from "./models.ts";

export interface ProfileCommandOptions {
  runs: string;
  batch: number;
  context?: number;
  steps: number;
  device: DeviceType | "auto";
  trace?: string;
  limit: number;
}

/** `kindling profile`: where a training step of a model spends its time. */
export async function profileCommand(
  name: string,
  { runs, batch, context, steps, device: type, trace, limit }: ProfileCommandOptions,
): Promise<void> {
  const picked = await useDevice({ device: type });
  const model = await fromPretrained(await findModel(name, runs), { task: "causal-lm" });
  const { profile, wallMs } = await profileTraining(model, { batchSize: batch, contextLength: context, steps });
  process.stdout.write(
    `training step of ${name} on ${picked}: batch ${batch}, ${steps} steps, ${(wallMs / steps).toFixed(1)} ms each\n`,
  );
  process.stdout.write(
    `${(profile.totalMs / steps).toFixed(1)} ms of a step are kernels (measuring each takes time too)\n\n`,
  );
  for (const by of ["op", "module", "operator"] as const) process.stdout.write(`${profile.table({ by, limit })}\n\n`);
  const fallbacks = profile.fallbacks();
  if (fallbacks.length > 0)
    process.stdout.write(`on the CPU, since ${picked} lacks them: ${fallbacks.map(({ name }) => name).join(", ")}\n`);
  if (trace) {
    await withWriteErrors(trace, () => writeFile(trace, profile.toChromeTrace()));
    process.stdout.write(`trace written to ${trace}: open it in chrome://tracing or ui.perfetto.dev\n`);
  }
  await defaultDevice().close();
}
