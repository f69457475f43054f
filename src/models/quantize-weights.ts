/** Weights of a model that exists brought into blocks of 4 or 8 bits. */
import { type BlockSource, checkOptions, OptionError } from "../base/index.ts";
import { blockSource, encodeBlocks } from "../files/index.ts";
import { Linear, namedModules, useBlocks } from "../nn/index.ts";
import type { PretrainedModel } from "./model.ts";

/** Blocks of GGUF of 32 numbers that share a factor: 4 bits, 4 bits with a minimum, 8 bits. */
const quantizedTypes = ["q4_0", "q4_1", "q8_0"] as const;
/** Numbers of a block of these kinds. */
const BLOCK = 32;

/** How weights are brought into blocks. */
export interface QuantizeWeightsOptions {
  /** The kind of blocks. @default "q4_0" */
  type?: (typeof quantizedTypes)[number];
  /**
   * What the layers' inputs are rounded to on the CPU, see LoadOptions: "int8" is faster, "f32" is exact, as training
   * wants it. @default "f32"
   */
  activations?: "int8" | "f32";
  /** Which linear layers, by their paths. @default all but output layers, as bitsandbytes has it */
  includes?: (path: string) => boolean;
}

const isInside = (path: string) => !/(^|\.)(lm_head|embed_out|score|classifier|qa_outputs)$/.test(path);

/**
 * Brings the weights of linear layers into blocks, whatever they were kept in: a base for QLoRA (Dettmers et al. 2023,
 * arXiv:2305.14314), whose weights are not trained. Layers whose inputs are no multiple of 32 wide stay as they are,
 * and so do tables. Weights are let go one after another.
 * @throws OptionError for another kind of blocks, such as NF4: the kernel of ONNX Runtime (MatMulNBits) computes with
 *   integers and a factor for each block
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
      expected: `a type of ${quantizedTypes.join(", ")}: integers with a factor for each block`,
      received: JSON.stringify(type),
      fix: 'use "q4_0"',
    });
  const sources = new Map<string, BlockSource>();
  for (const [path, module] of namedModules(model)) {
    if (!(module instanceof Linear) || !includes(path) || module.inFeatures % BLOCK !== 0) continue;
    const bytes = encodeBlocks(type, await module.weight.read()) as Uint8Array;
    sources.set(`${path}.weight`, blockSource(type, bytes) as BlockSource);
    module.weight.dispose();
  }
  useBlocks(model, (key) => sources.get(key), { activations });
}
