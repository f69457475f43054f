/** A deployment, decided: what is to be written for whatever target. */
import { basename } from "node:path";
import type { Folder, StoredFile } from "../files/index.ts";
import { type EngineRun, engineRun } from "./engine-run.ts";
import { images } from "./images.ts";
import type { ModelShape } from "./model-shape.ts";
import { checkDeployOptions, type DeployOptions, nameOf } from "./options.ts";
import { readModelShape } from "./read-shape.ts";
import { GIB, type Sizing, sizeDeployment } from "./sizing.ts";

const DEFAULT_CONTEXT = 8192;
const DEFAULT_CPUS = 4;

/** A deployment that fits: what the files are written from. */
export interface DeploymentPlan {
  options: DeployOptions;
  name: string;
  context: number;
  concurrency: number;
  cpus: number;
  replicas: number;
  shape: ModelShape;
  sizing: Sizing;
  run: EngineRun;
  /** Of the gateway, where there is one. */
  gatewayImage: string;
}

/**
 * Reads the model's headers and decides everything else.
 * @param open gives the model's folder, its GGUF file, or a repository that is read part by part; not called for
 *   options that no deployment can have
 * @throws OptionError for options that do not go together and for what does not fit; DataError for a model whose memory
 *   cannot be told
 */
export async function planDeployment(
  open: () => Promise<Folder | StoredFile>,
  options: DeployOptions,
): Promise<DeploymentPlan> {
  checkDeployOptions(options);
  const { engine, source, gpuMemory, memory, gpus } = options;
  const name = options.name ?? nameOf(source);
  // files that are written say nothing of the folders of this machine
  const shape = await readModelShape(await open(), source.kind === "repository" ? source.id : basename(source.path));
  const context = options.context ?? Math.min(shape.maxContext, DEFAULT_CONTEXT);
  const concurrency = options.concurrency ?? (engine === "vllm" || gpus ? 8 : 4);
  const sizing = sizeDeployment(shape, {
    engine,
    context,
    concurrency,
    gpus,
    gpuMemoryBytes: gpuMemory === undefined ? undefined : gpuMemory * GIB,
    memoryBytes: memory === undefined ? undefined : memory * GIB,
    isDownloaded: source.kind === "repository",
  });
  const cpus = options.cpus ?? DEFAULT_CPUS;
  return {
    options,
    name,
    context,
    concurrency,
    cpus,
    replicas: options.replicas ?? 1,
    shape,
    sizing,
    run: engineRun(options, { name, context, concurrency, gpus: sizing.gpus, cpus }),
    gatewayImage: options.gatewayImage ?? (engine === "kindling" ? options.image : undefined) ?? images.kindling.image,
  };
}

/** The arithmetic as lines of text: what, value, how. */
export function sizingTable({ shape, sizing, options, context, concurrency }: DeploymentPlan): string {
  const cards = sizing.gpus === 0 ? "without cards" : `${sizing.gpus} card${sizing.gpus > 1 ? "s" : ""}`;
  const head = `${shape.name} (${shape.architecture}) by ${options.engine}: ${concurrency} texts of ${context} tokens at a time, ${cards}`;
  const width = (key: "what" | "value") => Math.max(...sizing.rows.map((row) => row[key].length));
  const rows = sizing.rows.map(
    ({ what, value, how }) => `${what.padEnd(width("what"))}  ${value.padStart(width("value"))}  ${how}`,
  );
  return [head, ...rows].join("\n");
}
