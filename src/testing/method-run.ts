/** Runs of training methods on small data in a folder that is thrown away. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type MethodEvent, methods, resolveConfig, runMethod } from "../methods/index.ts";

/** What a run told. */
export interface MethodRun {
  losses: number[];
  /** Metrics of each evaluation, the loss with them. */
  evaluations: Record<string, number>[];
  warnings: string[];
  facts: Readonly<Record<string, string | number>>;
  /** The result. */
  path: string;
}

/** A folder for rows and runs. */
export class MethodRuns {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async open(): Promise<MethodRuns> {
    return new MethodRuns(await mkdtemp(join(tmpdir(), "kindling-method-")));
  }

  close(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true });
  }

  /** Writes rows as JSONL -> its path */
  async rows(name: string, rows: readonly object[]): Promise<string> {
    const path = join(this.folder, `${name}.jsonl`);
    await writeFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
    return path;
  }

  /** Runs a config in a folder of that name. @param stopAfter steps after which the run is ended. @default its end */
  async run(name: string, config: object, stopAfter = Number.POSITIVE_INFINITY): Promise<MethodRun> {
    const output = join(this.folder, name);
    const resolved = await resolveConfig({ ...config, output }, { methods, where: name, folder: this.folder, name });
    const warnings: string[] = [];
    const controller = new AbortController();
    const run: MethodRun = { losses: [], evaluations: [], warnings, facts: {}, path: join(output, "model") };
    const onWarning = ({ notes }: { notes: readonly string[] }) => void warnings.push(...notes);
    for await (const event of runMethod(resolved, { onWarning, signal: controller.signal })) {
      note(run, event);
      if (run.losses.length >= stopAfter) controller.abort();
    }
    return run;
  }
}

function note(run: MethodRun, event: MethodEvent): void {
  if (event.type === "step") run.losses.push(event.loss);
  if (event.type === "ready") run.facts = event.facts;
  if (event.type === "evaluation") run.evaluations.push({ loss: event.validationLoss, ...event.metrics });
}
