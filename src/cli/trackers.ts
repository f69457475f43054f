/** Who follows a run: options of `kindling train`. */
import { type Command, Option } from "commander";
import { OptionError } from "../base/index.ts";
import type { Tracker } from "../track/index.ts";
import { choice } from "./option-names.ts";

/** What `--track` may name. */
const kinds = ["tensorboard", "csv", "jsonl", "wandb", "mlflow"] as const;

export interface TrackFlags {
  track?: readonly (typeof kinds)[number][];
  /** Of an MLflow server. */
  mlflowUrl?: string;
  /** Project of W&B, experiment of MLflow. */
  project?: string;
}

/** Declares the options. */
export const withTrackers = (command: Command): Command =>
  command
    .addOption(choice("--track <kinds...>", "where to write what is measured, besides metrics.jsonl", kinds))
    .option("--project <name>", "W&B's project and MLflow's experiment (default: kindling)")
    .addOption(new Option("--mlflow-url <address>", "of an MLflow server").env("MLFLOW_TRACKING_URI"));

/** The trackers that are asked for, and the one that writes the report when a run ends. */
export async function trackersOf(
  { track = [], mlflowUrl, project = "kindling" }: TrackFlags,
  accelerator?: string,
): Promise<Tracker[]> {
  const { csv, jsonl, mlflow, report, tensorBoard, thisHardware, wandb } = await import("../track/index.ts");
  const makers: Record<(typeof kinds)[number], () => Tracker> = {
    tensorboard: () => tensorBoard(),
    csv: () => csv(),
    jsonl: () => jsonl(),
    wandb: () => wandb({ project }),
    mlflow: () =>
      mlflow({
        url: requireUrl(mlflowUrl),
        experiment: project,
        token: process.env.MLFLOW_TRACKING_TOKEN || undefined,
      }),
  };
  const asked = [...new Set(track)].map((kind) => makers[kind]());
  return [report({ hardware: thisHardware(accelerator) }), ...asked]; // first, for MLflow takes the page
}

/** @throws OptionError for none */
function requireUrl(url: string | undefined): string {
  if (url !== undefined) return url;
  throw new OptionError({
    where: "--track mlflow",
    expected: "--mlflow-url, or MLFLOW_TRACKING_URI",
    received: "neither",
    fix: "for example --mlflow-url http://127.0.0.1:5000",
  });
}
