/** `--track` of `kindling train`: who follows a run. */
import type { Command } from "commander";
import type { Tracker } from "../track/index.ts";
import { choice } from "./option-names.ts";

/** What `--track` may name. */
const kinds = ["tensorboard", "csv", "jsonl"] as const;

export interface TrackFlags {
  track?: readonly (typeof kinds)[number][];
}

/** Declares the option. */
export const withTrackers = (command: Command): Command =>
  command.addOption(choice("--track <kinds...>", "where to write what is measured, besides metrics.jsonl", kinds));

/** The trackers that are asked for, and the one that writes the report when a run ends. */
export async function trackersOf({ track = [] }: TrackFlags, accelerator?: string): Promise<Tracker[]> {
  const { csv, jsonl, report, tensorBoard, thisHardware } = await import("../track/index.ts");
  const makers = { tensorboard: tensorBoard, csv, jsonl };
  return [...new Set(track)].map((kind) => makers[kind]()).concat(report({ hardware: thisHardware(accelerator) }));
}
