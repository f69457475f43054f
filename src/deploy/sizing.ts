/** What a deployment of a model takes, and whether it fits. */
import { OptionError } from "../base/index.ts";
import { BATCHED_TOKENS, cacheBytesOfText, cacheBytesPerToken, cacheRules } from "./cache-size.ts";
import type { Engine } from "./images.ts";
import type { ModelShape } from "./model-shape.ts";

export const GIB = 2 ** 30;
/** Share of a card that may be used: vLLM's --gpu-memory-utilization. */
export const GPU_UTILIZATION = 0.9;
/** CUDA's context, graphs and communication on each card; vLLM measures the rest itself when it starts. */
const GPU_OVERHEAD_BYTES = 1.5 * GIB;
/** The program itself and its libraries. */
const BASE_BYTES: Readonly<Record<Engine, number>> = { vllm: 8 * GIB, ollama: GIB, kindling: GIB };
/** Activations and buffers on the CPU, as a share of weights and cache. */
const CPU_MARGIN = 0.15;
/** Cards of a machine. */
const MOST_GPUS = 16;
/** Contexts that are proposed are multiples of it. */
const CONTEXT_STEP = 256;
/** Slow disks and networks, so that nobody is killed while loading: bytes a second. */
const [DISK_RATE, NETWORK_RATE] = [200e6, 25e6];
/** Imports, compiling and CUDA graphs. */
const START_SECONDS: Readonly<Record<Engine, number>> = { vllm: 300, ollama: 60, kindling: 60 };

export interface SizingRequest {
  engine: Engine;
  /** Tokens of a text, prompt and answer. */
  context: number;
  /** Texts at the same time. */
  concurrency: number;
  /** Cards of a replica; undefined lets vLLM have as many as it needs. */
  gpus?: number;
  /** Bytes of a card. */
  gpuMemoryBytes?: number;
  /** Most memory of a machine, in bytes. @default no limit */
  memoryBytes?: number;
  /** Weights come from a network before the first start. */
  isDownloaded: boolean;
}

/** A line of the arithmetic. */
export interface SizingRow {
  what: string;
  value: string;
  how: string;
}

export interface Sizing {
  gpus: number;
  /** Of a replica, besides that of cards. */
  memoryBytes: number;
  /** Of a volume for weights. */
  diskBytes: number;
  /** Until a replica answers, at worst. */
  startSeconds: number;
  rows: readonly SizingRow[];
}

const gib = (bytes: number): string => `${(bytes / GIB).toFixed(bytes < 0.1 * GIB ? 3 : 1)} GiB`;
const count = (value: number): string => value.toLocaleString("en-US");

/** Bytes of the weights in memory. @throws OptionError for weights that the engine cannot have so */
export function weightBytesOf(shape: ModelShape, engine: Engine): { bytes: number; how: string } {
  const { storedBytes, f32Bytes, parameters } = shape.weights;
  if (shape.format === "gguf") return { bytes: storedBytes, how: "as stored in the GGUF file" };
  if (engine === "vllm")
    return { bytes: storedBytes - f32Bytes / 2, how: f32Bytes > 0 ? "as stored, f32 in 16 bits" : "as stored" };
  if (parameters === undefined) {
    throw new OptionError({
      where: "deploy",
      expected: `weights that ${engine} reads`,
      received: `${shape.name}, which is quantized in safetensors`,
      fix: "name a GGUF file of the model, or deploy it with vllm",
    });
  }
  const bytes = engine === "kindling" ? 4 : 2;
  return { bytes: bytes * parameters, how: `${count(parameters)} parameters x ${bytes} bytes` };
}

/** @throws OptionError, with numbers and what would fit, where it does not fit */
export function sizeDeployment(shape: ModelShape, request: SizingRequest): Sizing {
  if (request.context > shape.maxContext) {
    throw new OptionError({
      where: "deploy",
      expected: `a context of at most ${count(shape.maxContext)} tokens, for which ${shape.name} was made`,
      received: count(request.context),
      fix: `--context ${shape.maxContext}`,
    });
  }
  const isOnGpus = request.engine === "vllm" || (request.gpus ?? 0) > 0;
  return isOnGpus ? onGpus(shape, request) : onCpu(shape, request);
}

interface Load {
  context: number;
  concurrency: number;
}

/** Bytes that each of some cards needs. */
function gpuNeed(shape: ModelShape, engine: Engine, gpus: number, { context, concurrency }: Load) {
  const ranks = engine === "vllm" ? gpus : 1; // Ollama gives whole layers to each card
  const split = engine === "vllm" ? 1 : gpus;
  const weights = weightBytesOf(shape, engine).bytes / gpus;
  const cache = (concurrency * cacheBytesOfText(shape, cacheRules[engine], context, ranks)) / split;
  const activations = engine === "vllm" ? vllmActivations(shape, ranks, concurrency) : 0.5 * GIB;
  return { weights, cache, activations, total: weights + cache + activations + GPU_OVERHEAD_BYTES };
}

/** Of one step: hidden states (4), both halves of the feed-forward block, and scores of all texts in f32 twice. */
const vllmActivations = (shape: ModelShape, ranks: number, concurrency: number): number =>
  BATCHED_TOKENS * 2 * (4 * shape.hiddenSize + (2 * shape.intermediateSize) / ranks) +
  2 * concurrency * shape.vocabSize * 4;

/** Numbers of cards among which vLLM can divide the heads. */
function gpuCounts(shape: ModelShape, engine: Engine): number[] {
  const all = Array.from({ length: MOST_GPUS }, (_, i) => i + 1);
  if (engine !== "vllm") return all;
  const heads = shape.latent ? [] : [...new Set(shape.layers.map(({ keyValueHeads }) => keyValueHeads))];
  const divides = (gpus: number, n: number) => n % gpus === 0 || gpus % n === 0;
  return all.filter((gpus) => shape.numHeads % gpus === 0 && heads.every((n) => divides(gpus, n)));
}

function onGpus(shape: ModelShape, request: SizingRequest): Sizing {
  const { engine, gpuMemoryBytes } = request;
  if (gpuMemoryBytes === undefined) {
    const fix = "--gpu-memory 24 for an L4, 48 for an L40S, 80 for an A100 or H100";
    throw new OptionError({ where: "deploy", expected: "the memory of a card in GiB", received: "none", fix });
  }
  const counts = gpuCounts(shape, engine);
  if (request.gpus !== undefined && !counts.includes(request.gpus)) {
    throw new OptionError({
      where: "deploy",
      expected: `--gpus to be one of ${counts.join(", ")}, which divide ${shape.numHeads} heads`,
      received: String(request.gpus),
      fix: `--gpus ${counts.filter((n) => n < request.gpus!).at(-1) ?? counts[0]}`,
    });
  }
  const usable = GPU_UTILIZATION * gpuMemoryBytes;
  const fits = (gpus: number, load: Load) => gpuNeed(shape, engine, gpus, load).total <= usable;
  const gpus = request.gpus ?? counts.find((n) => fits(n, request)) ?? counts.at(-1)!;
  if (!fits(gpus, request)) refuseGpus(shape, request, { gpus, gpuMemoryBytes, usable, counts, fits });
  return gpuSizing(shape, request, { gpus, gpuMemoryBytes, usable });
}

interface Cards {
  gpus: number;
  gpuMemoryBytes: number;
  usable: number;
}

function refuseGpus(
  shape: ModelShape,
  request: SizingRequest,
  cards: Cards & { counts: readonly number[]; fits(gpus: number, load: Load): boolean },
): never {
  const { gpus, gpuMemoryBytes, usable, counts, fits } = cards;
  const { weights, cache, activations, total } = gpuNeed(shape, request.engine, gpus, request);
  const more = counts.find((n) => n > gpus && fits(n, request));
  const memory = Math.ceil(total / GPU_UTILIZATION / GIB);
  const ways = [
    more !== undefined && `--gpus ${more}`,
    ...smaller(request, (load) => fits(gpus, load)),
    `--gpu-memory ${memory} (larger cards)`,
  ];
  throw new OptionError({
    where: "deploy",
    expected: `at most ${gib(usable)} ${gpus > 1 ? `on each of ${gpus} cards` : "on the card"} (${GPU_UTILIZATION} of ${gib(gpuMemoryBytes)})`,
    received: `${gib(total)}: weights ${gib(weights)}, cache ${gib(cache)} of ${count(request.concurrency)} texts of ${count(request.context)} tokens, activations ${gib(activations)}, CUDA ${gib(GPU_OVERHEAD_BYTES)}`,
    fix: ways.filter((way) => way !== false).join(", or "),
  });
}

/** The longest context, and the most texts, that fit instead. */
function smaller({ context, concurrency }: Load, fits: (load: Load) => boolean): string[] {
  const steps = largestFitting(Math.floor(context / CONTEXT_STEP), (n) =>
    fits({ context: n * CONTEXT_STEP, concurrency }),
  );
  const texts = largestFitting(concurrency, (n) => fits({ context, concurrency: n }));
  return [
    ...(steps > 0 ? [`--context ${steps * CONTEXT_STEP}`] : []),
    ...(texts > 0 ? [`--concurrency ${texts}`] : []),
  ];
}

/** The largest number from 0 to `most` that fits; what is larger than one that does not fit does not either. */
function largestFitting(most: number, fits: (n: number) => boolean): number {
  let [low, high] = [0, most];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}

function cacheRows(shape: ModelShape, request: SizingRequest): SizingRow[] {
  const rule = cacheRules[request.engine];
  const perToken = cacheBytesPerToken(shape, rule);
  const heads = [...new Set(shape.layers.map(({ keyValueHeads }) => keyValueHeads))].join("/");
  const windows = [...new Set(shape.layers.map(({ window }) => window))].filter((window) => window !== null);
  const { latent } = shape;
  const how =
    latent && rule.keepsLatents
      ? `${shape.layers.length} layers x (latent ${latent.latentDim} + rotary ${latent.ropeDim}) x ${rule.bytes} bytes`
      : `${shape.layers.length} layers x ${latent ? shape.numHeads : heads} heads x (key ${shape.keyDim} + value ${shape.valueDim}) x ${rule.bytes} bytes`;
  const kept =
    windows.length > 0 && rule.windowSlack !== undefined
      ? `; layers with a window keep ${windows.join("/")} + ${rule.windowSlack} tokens at most`
      : "";
  return [
    { what: "cache of a token", value: `${count(perToken)} bytes`, how },
    {
      what: "cache of a text",
      value: gib(cacheBytesOfText(shape, rule, request.context)),
      how: `${count(request.context)} tokens${kept}`,
    },
  ];
}

function gpuSizing(shape: ModelShape, request: SizingRequest, { gpus, gpuMemoryBytes, usable }: Cards): Sizing {
  const { engine, concurrency, context } = request;
  const { bytes, how } = weightBytesOf(shape, engine);
  const need = gpuNeed(shape, engine, gpus, request);
  // weights pass through memory on their way to the cards; vLLM maps them, and one shard at a time is there
  const memoryBytes = BASE_BYTES[engine] + (engine === "vllm" ? Math.min(bytes, 10 * GIB) : bytes);
  return {
    gpus,
    memoryBytes,
    ...timeAndDisk(shape, request),
    rows: [
      { what: "weights", value: gib(bytes), how },
      ...cacheRows(shape, request),
      ...(gpus > 1 ? [{ what: "weights on a card", value: gib(need.weights), how: `each of ${gpus} has a part` }] : []),
      {
        what: "cache on a card",
        value: gib(need.cache),
        how: `${concurrency} texts of ${count(context)} tokens${engine === "vllm" && gpus > 1 ? (shape.latent ? "; latents are on every card" : "; heads are shared out") : ""}`,
      },
      {
        what: "activations",
        value: gib(need.activations),
        how: engine === "vllm" ? `a step of ${BATCHED_TOKENS} tokens` : "reserve",
      },
      { what: "CUDA", value: gib(GPU_OVERHEAD_BYTES), how: "reserve for context and graphs" },
      {
        what: "a card in all",
        value: gib(need.total),
        how: `of ${gib(usable)}: ${GPU_UTILIZATION} of ${gib(gpuMemoryBytes)}`,
      },
      {
        what: "memory",
        value: gib(memoryBytes),
        how:
          engine === "vllm" ? "program 8 GiB, weights being read (at most 10 GiB)" : "program, and weights being read",
      },
    ],
  };
}

function cpuNeed(shape: ModelShape, { engine }: SizingRequest, { context, concurrency }: Load) {
  const weights = weightBytesOf(shape, engine).bytes;
  // Kindling keeps one more text: beginnings of prompts, for others that begin alike
  const texts = concurrency + (engine === "kindling" ? 1 : 0);
  const cache = texts * cacheBytesOfText(shape, cacheRules[engine], context);
  const margin = CPU_MARGIN * (weights + cache);
  return { weights, cache, texts, margin, total: weights + cache + margin + BASE_BYTES[engine] };
}

function onCpu(shape: ModelShape, request: SizingRequest): Sizing {
  const { engine, context, concurrency, memoryBytes = Number.POSITIVE_INFINITY } = request;
  const { weights, cache, texts, margin, total } = cpuNeed(shape, request, request);
  if (total > memoryBytes) {
    const ways = smaller(request, (load) => cpuNeed(shape, request, load).total <= memoryBytes);
    throw new OptionError({
      where: "deploy",
      expected: `at most ${gib(memoryBytes)} of memory`,
      received: `${gib(total)}: weights ${gib(weights)}, cache ${gib(cache)} of ${texts} texts of ${count(context)} tokens, buffers ${gib(margin)}, program ${gib(BASE_BYTES[engine])}`,
      fix: [...ways, `--memory ${Math.ceil(total / GIB)} (a larger machine)`, "weights of fewer bits"].join(", or "),
    });
  }
  return {
    gpus: 0,
    memoryBytes: total,
    ...timeAndDisk(shape, request),
    rows: [
      { what: "weights", value: gib(weights), how: weightBytesOf(shape, engine).how },
      ...cacheRows(shape, request),
      {
        what: "cache",
        value: gib(cache),
        how: `${concurrency} texts${texts > concurrency ? ", and one of kept beginnings" : ""}`,
      },
      { what: "buffers", value: gib(margin), how: `${CPU_MARGIN} of weights and cache` },
      { what: "program", value: gib(BASE_BYTES[engine]), how: "reserve" },
      { what: "memory", value: gib(total), how: Number.isFinite(memoryBytes) ? `of ${gib(memoryBytes)}` : "in all" },
    ],
  };
}

function timeAndDisk({ weights }: ModelShape, { engine, isDownloaded }: SizingRequest) {
  const bytes = weights.storedBytes;
  const seconds = bytes / DISK_RATE + (isDownloaded ? bytes / NETWORK_RATE : 0) + START_SECONDS[engine];
  return { startSeconds: Math.ceil(seconds / 10) * 10, diskBytes: 1.2 * bytes + 2 * GIB };
}
