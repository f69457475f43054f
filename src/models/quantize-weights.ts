/** Weights of a model that exists brought into blocks of 4 or 8 bits. */
import { type BlockSource, checkOptions, OptionError } from "../base/index.ts";
import { blockSource, encodeBlocks, encodeFloat4, float4Source, type GgufType } from "../files/index.ts";
import { Linear, namedModules, useBlocks } from "../nn/index.ts";
import type { PretrainedModel } from "./model.ts";

/** Blocks of GGUF of 32 numbers that share a factor: 4 bits, 4 bits with a minimum, 8 bits. */
const integerTypes = ["q4_0", "q4_1", "q8_0"] as const;
/** Blocks of bitsandbytes of 64 numbers of a table that share a factor. */
const float4Types = ["nf4", "fp4"] as const;
const quantizedTypes = [...integerTypes, ...float4Types];
/** Numbers of a block of these kinds. */
const [INTEGER_BLOCK, FLOAT4_BLOCK] = [32, 64];

/** How weights are brought into blocks. */
export interface QuantizeWeightsOptions {
  /**
   * The kind of blocks: of GGUF, "q4_0" (integers), "q4_1" (with a minimum) and "q8_0" (8 bits), or of bitsandbytes,
   * "nf4" and "fp4" (numbers of a table, without its second quantization of the factors). @default "q4_0"
   */
  type?: (typeof quantizedTypes)[number];
  /**
   * What the layers' inputs are rounded to on the CPU, see LoadOptions: "int8" is faster, "f32" is exact, as training
   * wants it. "nf4" and "fp4" have "f32" alone. @default "f32"
   */
  activations?: "int8" | "f32";
  /** Which linear layers, by their paths. @default all but output layers, as bitsandbytes has it */
  includes?: (path: string) => boolean;
}

const isInside = (path: string) => !/(^|\.)(lm_head|embed_out|score|classifier|qa_outputs)$/.test(path);

/**
 * Brings the weights of linear layers into blocks, whatever they were kept in: a base for QLoRA (Dettmers et al. 2023,
 * arXiv:2305.14314), whose weights are not trained. Layers whose inputs are no multiple of 32 wide, or of 64 for
 * "nf4" and "fp4", stay as they are, and so do tables. Weights are let go one after another.
 * @throws OptionError for another kind of blocks, and for inputs in 8 bits with "nf4" or "fp4"
 *
 * @example
 * // const model = await fromPretrained("models/smollm2", { task: "causal-lm", weights: "stored" });
 * // await quantizeWeights(model);
 */
export async function quantizeWeights(model: PretrainedModel, options: QuantizeWeightsOptions = {}): Promise<void> {
  checkOptions("quantizeWeights", options, ["type", "activations", "includes"]);
  const { type = "q4_0", activations = "f32", includes = isInside } = options;
  if (!quantizedTypes.includes(type))
    throw new OptionError({
      where: "quantizeWeights",
      expected: `a type of ${quantizedTypes.join(", ")}`,
      received: JSON.stringify(type),
      fix: 'use "q4_0"',
    });
  const float4 = float4Types.find((each) => each === type);
  if (float4 !== undefined) requireWideInputs("quantizeWeights", activations);
  const sources = new Map<string, BlockSource>();
  for (const [path, module] of namedModules(model)) {
    if (!(module instanceof Linear) || !includes(path)) continue;
    if (module.inFeatures % (float4 ? FLOAT4_BLOCK : INTEGER_BLOCK) !== 0) continue;
    const numbers = await module.weight.read();
    const source = float4
      ? float4Source(encodeFloat4(numbers, { type: float4, blockSize: FLOAT4_BLOCK }))
      : blockSource(type as GgufType, encodeBlocks(type as GgufType, numbers) as Uint8Array);
    sources.set(`${path}.weight`, source as BlockSource);
    module.weight.dispose();
  }
  useBlocks(model, (key) => sources.get(key), { activations });
}

/** @throws OptionError for inputs in 8 bits, which products with a table do not have */
export function requireWideInputs(where: string, activations: "int8" | "f32" | undefined): void {
  if (activations !== "int8") return;
  throw new OptionError({
    where,
    expected: 'activations of "f32" with "nf4" or "fp4"',
    received: '"int8"',
    fix: 'leave activations out, or choose blocks of integers: "q4_0"',
  });
}
