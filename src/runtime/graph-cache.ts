/**
 * Keeps lowered graphs in a folder, as ONNX Runtime has optimized them for this machine: a program that is started
 * again skips our passes, the writer, and ONNX Runtime's own. What cannot be read or written is computed anew, without
 * a word: a cache is no reason to fail.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, rmSync, statSync, utimesSync } from "node:fs";
import { readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { cpus, homedir } from "node:os";
import { join } from "node:path";
import { makeFolderSync } from "../files/index.ts";
import type { Prepared } from "./program.ts";
import type { Stage } from "./protocol.ts";

/** Smaller graphs compile faster than they load. */
const LEAST_NODES = 400;
/** A graph's models larger than this hold weights, and are not kept. */
const MOST_BYTES = 64 * 2 ** 20;
/** The least recently used graphs beyond this are removed. */
const FOLDER_BYTES = 512 * 2 ** 20;

interface Plan extends Pick<Prepared, "inPlace" | "peakBytes" | "results"> {
  stages: { inputs: number[]; outputs: number[]; remoteOutputs: string[]; sha256: string }[];
}

const sha256 = (data: string | Uint8Array) => createHash("sha256").update(data).digest("hex");

/** Changes with our code, with ONNX Runtime and with the processor, for which ONNX Runtime picks its kernels. */
let identity: string | undefined;
function identityOf(): string {
  if (identity !== undefined) return identity;
  const require = createRequire(import.meta.url);
  const here = new URL("..", import.meta.url);
  const sources = ["ir", "ops", "autodiff", "lower", "runtime"].map((folder) => new URL(`${folder}/`, here));
  const times = sources.flatMap((folder) => readdirSync(folder).map((name) => statSync(new URL(name, folder)).mtimeMs));
  const { version } = require("onnxruntime-node/package.json") as { version: string };
  identity = [version, process.platform, process.arch, cpus()[0]?.model, ...times].join(" ");
  return identity;
}

/** The folder that KINDLING_CACHE names, otherwise the user's for caches; undefined when it says "off". */
export function defaultCacheFolder(): string | undefined {
  const { KINDLING_CACHE, XDG_CACHE_HOME } = process.env;
  if (KINDLING_CACHE === "off") return undefined;
  return join(KINDLING_CACHE || join(XDG_CACHE_HOME || join(homedir(), ".cache"), "kindling"), "graphs");
}

export class GraphCache {
  private readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** The place of a graph, or undefined for one that is not worth it. `text` tells everything about it. */
  entryOf(text: string, nodes: number): CacheEntry | undefined {
    if (nodes < LEAST_NODES) return undefined;
    try {
      makeFolderSync(this.folder);
      return new CacheEntry(this.folder, sha256(`${identityOf()}\n${text}`));
    } catch {
      return undefined;
    }
  }
}

export class CacheEntry {
  private readonly folder: string;
  private readonly key: string;
  private plan: Plan | undefined;

  constructor(folder: string, key: string) {
    this.folder = folder;
    this.key = key;
  }

  private path(suffix: string): string {
    return join(this.folder, `${this.key}${suffix}`);
  }

  /** What was kept, if it is whole. */
  load(): Prepared | undefined {
    try {
      const plan = JSON.parse(readFileSync(this.path(".json"), "utf8")) as Plan;
      const models = plan.stages.map((_, i) => readFileSync(this.path(`.${i}.onnx`)));
      if (models.some((model, i) => sha256(model) !== plan.stages[i].sha256)) return undefined;
      const now = new Date();
      utimesSync(this.path(".json"), now, now);
      const stages: Stage[] = plan.stages.map(({ sha256: _, ...stage }, i) => ({
        ...stage,
        model: models[i],
        cpuNodes: [],
        isOptimized: true,
      }));
      return { ...plan, hostNodes: new Map(), stages: () => stages };
    } catch {
      return undefined;
    }
  }

  /** The stages, with the request that ONNX Runtime writes its optimized models. Host stages are not kept. */
  record(prepared: Prepared, stages: Stage[]): Stage[] {
    if (prepared.hostNodes.size > 0) return stages;
    const { inPlace, peakBytes, results } = prepared;
    const plans = stages.flatMap((stage) =>
      "model" in stage ? [{ inputs: stage.inputs, outputs: stage.outputs, remoteOutputs: stage.remoteOutputs }] : [],
    );
    this.plan = { inPlace, peakBytes, results, stages: plans.map((plan) => ({ ...plan, sha256: "" })) };
    return stages.map((stage, i) => ({ ...stage, optimizedPath: this.temporary(i) }));
  }

  private temporary = (stage: number) => this.path(`.${stage}.${process.pid}.tmp`);

  /** Takes over what ONNX Runtime has written since `record`. */
  async save(): Promise<void> {
    const { plan } = this;
    if (!plan) return;
    try {
      const sizes = await Promise.all(plan.stages.map(async (_, i) => (await stat(this.temporary(i))).size));
      if (sizes.reduce((a, b) => a + b, 0) > MOST_BYTES) throw new Error("too large");
      for (const [i, stage] of plan.stages.entries()) {
        stage.sha256 = sha256(await readFile(this.temporary(i)));
        await rename(this.temporary(i), this.path(`.${i}.onnx`));
      }
      const temporary = this.path(`.${process.pid}.tmp`);
      await writeFile(temporary, JSON.stringify(plan));
      await rename(temporary, this.path(".json")); // last: from now on it is found
      this.removeOld();
    } catch {
      for (const i of plan.stages.keys()) await rm(this.temporary(i), { force: true }).catch(() => {});
    }
  }

  private removeOld(): void {
    const files = readdirSync(this.folder).map((name) => ({ name, ...statSync(join(this.folder, name)) }));
    const plans = files.filter(({ name }) => name.endsWith(".json")).sort((a, b) => b.mtimeMs - a.mtimeMs);
    const anHourAgo = Date.now() - 3_600_000;
    for (const { name, mtimeMs } of files)
      if (name.endsWith(".tmp") && mtimeMs < anHourAgo) rmSync(join(this.folder, name), { force: true });
    let kept = 0;
    for (const { name } of plans) {
      const planFiles = files.filter((file) => file.name.startsWith(name.slice(0, -".json".length)));
      kept += planFiles.reduce((bytes, { size }) => bytes + size, 0);
      if (kept > FOLDER_BYTES) for (const file of planFiles) rmSync(join(this.folder, file.name), { force: true });
    }
  }
}
