/** What serving a model takes. */
import { checkOptions, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import { CausalLM } from "../models/index.ts";
import { buildModel, type DescribedModel } from "./describe.ts";
import { BASE_BYTES } from "./training.ts";

/** Bytes of a weight. Blocks have a scale for 32 numbers, and of 4 bits an offset too. */
export const weightBytesOf = { f32: 4, f16: 2, q8: 1.0625, q4: 0.625 } as const;

/** How weights are kept. */
export type ServedWeights = keyof typeof weightBytesOf;

/** How a model is served. */
export interface ServingOptions {
  /** @default "f16" */
  weights?: ServedWeights;
  /** Tokens of the longest prompt with its answer. @default the model's, at most 4096 */
  context?: number;
  /** Texts that are written at the same time. @default 1 */
  concurrency?: number;
}

/** Memory and arithmetic of serving. All sizes in bytes. */
export interface ServingEstimate extends Required<ServingOptions> {
  parameters: number;
  weightBytes: number;
  /** Keys and values in f16; 0 of models that write nothing. */
  cacheBytes: number;
  runtimeBytes: number;
  totalBytes: number;
  /** Multiplications and additions of one token. */
  flopsPerToken: number;
  /** Bytes that are read for each token that one text gets. */
  bytesPerToken: number;
}

const MOST_CONTEXT = 4096;
const CACHE_BYTES = 2;
/** Activations of a prompt in parts, and logits. */
const WORKSPACE = 0.1;

/**
 * What serving takes: weights, keys and values of all texts, and room to compute.
 * @throws OptionError for options that are wrong; DataError for a config that no family reads
 */
export function estimateServing(described: DescribedModel, options: ServingOptions = {}): ServingEstimate {
  checkOptions("estimateServing", options, ["weights", "context", "concurrency"]);
  const model = buildModel(described);
  const parameters = model.parameterCount();
  const shape = model instanceof CausalLM ? model.cacheShape : undefined;
  const { weights = "f16", concurrency = 1 } = options;
  const { maxPositionEmbeddings = MOST_CONTEXT } = model.config as { maxPositionEmbeddings?: number };
  const { context = Math.min(shape?.maxLength ?? maxPositionEmbeddings, MOST_CONTEXT) } = options;
  const positive = numberRules.positiveInteger;
  requireNumbers("estimateServing", { context, concurrency }, { context: positive, concurrency: positive });
  if (!(weights in weightBytesOf)) {
    throw new OptionError({
      where: "estimateServing, weights",
      expected: Object.keys(weightBytesOf).join(", "),
      received: String(weights),
      fix: "choose one of them",
    });
  }
  const perToken = shape ? 2 * CACHE_BYTES * shape.numLayers * shape.numKeyHeads * shape.headDim : 0;
  const weightBytes = parameters * weightBytesOf[weights];
  const cacheBytes = perToken * context * concurrency;
  const runtimeBytes = BASE_BYTES + WORKSPACE * weightBytes;
  return {
    ...{ weights, context, concurrency, parameters, weightBytes, cacheBytes, runtimeBytes },
    totalBytes: Math.round(weightBytes + cacheBytes + runtimeBytes),
    flopsPerToken: 2 * parameters,
    bytesPerToken: weightBytes + (perToken * context) / 2, // half of the longest text, on the whole
  };
}
