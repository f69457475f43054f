import type { EnergyAssumptions } from "../energy.ts";
import type { Hardware } from "../hardware.ts";
import { thisHardware } from "../hardware.ts";
import { type QueueOptions, queuedTracker, type TrackerSink } from "../queued.ts";
import type { RunDescription, RunSummary, TrackedEntry, Tracker } from "../tracker.ts";
import { readExtras, type Sample, saveExtras } from "./extras.ts";
import { writeReport } from "./report.ts";

/** Options of `report`. */
export interface ReportTrackerOptions extends QueueOptions {
  /** @default this machine */
  hardware?: Hardware;
  /** What the estimate of energy and cost stands on. */
  energy?: EnergyAssumptions;
}

/** Later ones show what the model has learned. */
const MOST_SAMPLES = 40;

/**
 * Writes report.html when a run ends, with the texts that were tracked as its samples, the last 40 of them, and what a
 * classifier answers in the end. The run's
 * folder has to be one with run.json and metrics.jsonl.
 * @throws OptionError for wrong options
 */
export function report({ hardware, energy, ...options }: ReportTrackerOptions = {}): Tracker {
  return queuedTracker(new ReportFile(hardware ?? thisHardware(), energy), options);
}

class ReportFile implements TrackerSink {
  readonly name = "report";
  private readonly hardware: Hardware;
  private readonly energy: EnergyAssumptions | undefined;
  private folder: string | undefined;
  private samples: Sample[] = [];

  constructor(hardware: Hardware, energy: EnergyAssumptions | undefined) {
    this.hardware = hardware;
    this.energy = energy;
  }

  async open({ folder }: RunDescription, resumedStep: number): Promise<void> {
    const { samples = [] } = resumedStep > 0 ? await readExtras(folder) : {};
    this.samples = samples.filter(({ step }) => step <= resumedStep);
    this.folder = folder;
  }

  async write(entries: readonly TrackedEntry[]): Promise<void> {
    const texts = entries.filter((entry) => entry.type === "text");
    if (texts.length === 0) return;
    const { hardware, folder } = this;
    const samples = [...this.samples, ...texts.map(({ step, name, text }) => ({ step, name, text }))].slice(
      -MOST_SAMPLES,
    );
    await saveExtras(folder as string, { hardware, samples });
    this.samples = samples;
  }

  async close({ classes }: RunSummary): Promise<void> {
    const { folder, hardware, energy, samples } = this;
    if (folder === undefined) return;
    const { confusion, mistakes } = classes ?? {}; // of an earlier end, what is in report.json holds no longer
    await writeReport(folder, { hardware, samples, confusion, mistakes, ...(energy && { energy }) });
  }
}
