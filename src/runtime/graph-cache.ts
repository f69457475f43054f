/**
 * Keeps lowered graphs in a folder, as ONNX Runtime has optimized them for this machine: a program that is started
 * again skips our passes, the writer, and ONNX Runtime's own. A graph with constants outside of its model is kept as we
 * have written it, without them: their hashes tell which they are. What cannot be read or written is computed anew,
 * without a word: a cache is no reason to fail.
 */
import { createHash } from "node:crypto";
import { readFileSync, utimesSync } from "node:fs";
import { readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { cpus } from "node:os";
import { join } from "node:path";
import { codeIdentity } from "#system";
import type { HostArray } from "../base/index.ts";
import { cacheFolder, makeFolderSync, removeLeastUsed } from "../files/index.ts";
import { constantsOf, type Graph } from "../ir/index.ts";
import type { Prepared } from "./program.ts";
import type { ConstantData, Stage } from "./protocol.ts";

/** Smaller graphs compile faster than they load. */
const LEAST_NODES = 400;
/** A graph's models larger than this hold weights, and are not kept. */
const MOST_BYTES = 64 * 2 ** 20;
/** The least recently used graphs beyond this are removed. */
const FOLDER_BYTES = 512 * 2 ** 20;

/** A constant that is not in the model, by the hash of its numbers. */
type KeptConstant = Omit<ConstantData, "data"> & { hash: string };

interface KeptStage {
  inputs: number[];
  outputs: number[];
  remoteOutputs: string[];
  idleOptimizers?: readonly string[];
  sha256: string;
  constants?: KeptConstant[];
}

interface Plan extends Pick<Prepared, "inPlace" | "peakBytes" | "results"> {
  stages: KeptStage[];
}

const sha256 = (data: string | Uint8Array) => createHash("sha256").update(data).digest("hex");

/** Changes with our code, with ONNX Runtime and with the processor, for which ONNX Runtime picks its kernels. */
let identity: string | undefined;
function identityOf(): string {
  if (identity !== undefined) return identity;
  const { version } = createRequire(import.meta.url)("onnxruntime-node/package.json") as { version: string };
  const code = codeIdentity(["ir", "ops", "autodiff", "lower", "runtime"]);
  identity = [version, process.platform, process.arch, cpus()[0]?.model, code].join(" ");
  return identity;
}

/** The folder of graphs; undefined when no cache is wanted. */
export const defaultCacheFolder = (): string | undefined => cacheFolder("graphs");

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
  /** Models that ONNX Runtime does not write. */
  private models: Uint8Array[] = [];

  constructor(folder: string, key: string) {
    this.folder = folder;
    this.key = key;
  }

  private path(suffix: string): string {
    return join(this.folder, `${this.key}${suffix}`);
  }

  /** What was kept of a graph, if it is whole. */
  load(graph: Graph): Prepared | undefined {
    try {
      const plan = JSON.parse(readFileSync(this.path(".json"), "utf8")) as Plan;
      const models = plan.stages.map((_, i) => readFileSync(this.path(`.${i}.onnx`)));
      if (models.some((model, i) => sha256(model) !== plan.stages[i].sha256)) return undefined;
      const now = new Date();
      utimesSync(this.path(".json"), now, now);
      const constantOf = constantsByHash(graph);
      const stages: Stage[] = plan.stages.map(({ inputs, outputs, remoteOutputs, idleOptimizers, constants }, i) => ({
        inputs,
        outputs,
        remoteOutputs,
        idleOptimizers,
        model: models[i],
        cpuNodes: [],
        isOptimized: constants === undefined,
        constants: constants?.map(({ hash, ...constant }) => ({ ...constant, data: constantOf(hash) })),
      }));
      return { ...plan, hostNodes: new Map(), stages: () => stages };
    } catch {
      return undefined;
    }
  }

  /**
   * The stages, with the request that ONNX Runtime writes its optimized models where they are whole. Host stages are
   * not kept, nor are constants that passes have made.
   */
  record(prepared: Prepared, stages: Stage[], graph: Graph): Stage[] {
    if (prepared.hostNodes.size > 0) return stages;
    const { inPlace, peakBytes, results } = prepared;
    const hashes = new Map(constantsOf(graph).map(({ data, contentHash }) => [data, contentHash]));
    const plans: KeptStage[] = [];
    for (const stage of stages) {
      if (!("model" in stage)) continue;
      const constants = stage.constants?.map(({ data, ...constant }) => ({ ...constant, hash: hashes.get(data) }));
      if (constants?.some(({ hash }) => hash === undefined)) return stages;
      const { inputs, outputs, remoteOutputs, idleOptimizers, model } = stage;
      const kept = { inputs, outputs, remoteOutputs, idleOptimizers, sha256: "" };
      plans.push({ ...kept, constants: constants as KeptConstant[] | undefined });
      if (constants?.length) this.models.push(model);
    }
    const { length: outside } = this.models;
    if (outside > 0 && outside < stages.length) return stages;
    this.plan = { inPlace, peakBytes, results, stages: plans };
    if (outside > 0) return stages;
    for (const plan of plans) plan.constants = undefined;
    return stages.map((stage, i) => ({ ...stage, optimizedPath: this.temporary(i) }));
  }

  private temporary = (stage: number) => this.path(`.${stage}.${process.pid}.tmp`);

  /** Takes over what ONNX Runtime has written since `record`. */
  async save(): Promise<void> {
    const { plan } = this;
    if (!plan) return;
    try {
      for (const [i, model] of this.models.entries()) await writeFile(this.temporary(i), model);
      const sizes = await Promise.all(plan.stages.map(async (_, i) => (await stat(this.temporary(i))).size));
      if (sizes.reduce((a, b) => a + b, 0) > MOST_BYTES) throw new Error("too large");
      for (const [i, stage] of plan.stages.entries()) {
        stage.sha256 = sha256(await readFile(this.temporary(i)));
        await rename(this.temporary(i), this.path(`.${i}.onnx`));
      }
      const temporary = this.path(`.${process.pid}.tmp`);
      await writeFile(temporary, JSON.stringify(plan));
      await rename(temporary, this.path(".json")); // last: from now on it is found
      removeLeastUsed(this.folder, FOLDER_BYTES);
    } catch {
      for (const i of plan.stages.keys()) await rm(this.temporary(i), { force: true }).catch(() => {});
    }
  }
}

/** Finds the numbers of a graph's constants. @throws Error where there are none with the hash */
function constantsByHash(graph: Graph): (hash: string) => HostArray {
  let known: Map<string, HostArray> | undefined;
  return (hash) => {
    known ??= new Map(constantsOf(graph).map(({ contentHash, data }) => [contentHash, data]));
    const data = known.get(hash);
    if (!data) throw new Error("a constant is missing");
    return data;
  };
}
