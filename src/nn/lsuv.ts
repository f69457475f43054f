import { checkOptions, DataError, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import { mul, type RandomKey, type Tensor, variance } from "../tensor/index.ts";
import { Conv2d } from "./convolution.ts";
import { orthogonalInit } from "./init.ts";
import { Conv1D, Linear } from "./layers.ts";
import { namedModules } from "./map-modules.ts";
import type { Module, Parameter } from "./module.ts";

/** How `lsuv` scales layers. */
export interface LsuvOptions {
  /** Largest distance of an output's variance from 1. @default 0.1 */
  tolerance?: number;
  /** Most times that a layer is scaled. @default 10 */
  maxIterations?: number;
  /** Layers begin with orthogonal weights. @default true */
  orthogonal?: boolean;
}

/** What `lsuv` did to a layer. */
export interface LsuvResult {
  path: string;
  /** Of its output in the end. */
  variance: number;
  iterations: number;
}

interface Layer {
  path: string;
  module: Module & { weight: Parameter };
}

/** The modules' outputs in the first call of each, in the order of the calls, while `run` runs. */
function outputsOf(layers: readonly Layer[], run: () => unknown): Map<Layer, Tensor<"f32">> {
  const outputs = new Map<Layer, Tensor<"f32">>();
  for (const layer of layers) {
    const { forward } = layer.module as unknown as { forward: (...inputs: unknown[]) => Tensor<"f32"> };
    const tapped = (...inputs: unknown[]) => {
      const output = forward.apply(layer.module, inputs);
      if (!outputs.has(layer)) outputs.set(layer, output);
      return output;
    };
    Object.defineProperty(layer.module, "forward", { value: tapped, configurable: true });
  }
  try {
    run();
  } finally {
    for (const { module } of layers) Reflect.deleteProperty(module, "forward"); // that of its class shows again
  }
  return outputs;
}

/**
 * Layer-sequential unit variance: makes the weights of each Linear, Conv1D and Conv2d orthogonal and scales them, from
 * the first layer to the last, until what the layer makes of a batch has variance 1. Mishkin and Matas 2015,
 * arXiv:1511.06422, algorithm 1. `run` computes the module's outputs for the batch, such as
 * () => model.forward(images). Layers that `run` does not call stay as they are.
 * @throws OptionError for wrong options, or where `run` calls no layer; DataError for outputs that are all the same
 *
 * @example
 * const model = new Linear({ inFeatures: 8, outFeatures: 8 }, randomKey(0));
 * const batch = normal(randomKey(1), [32, 8], { standardDeviation: 5 });
 * const layers = await lsuv(model, () => model.forward(batch), randomKey(2));
 * layers.length; // 1
 */
export async function lsuv(
  module: Module,
  run: () => unknown,
  key: RandomKey,
  options: LsuvOptions = {},
): Promise<LsuvResult[]> {
  checkOptions("lsuv", options, ["tolerance", "maxIterations", "orthogonal"]);
  const { tolerance = 0.1, maxIterations = 10, orthogonal = true } = options;
  const { positive, positiveInteger } = numberRules;
  requireNumbers("lsuv", { tolerance, maxIterations }, { tolerance: positive, maxIterations: positiveInteger });
  const layers = [...namedModules(module)].flatMap(([path, part]) =>
    part instanceof Linear || part instanceof Conv1D || part instanceof Conv2d ? [{ path, module: part }] : [],
  );
  const outputs = outputsOf(layers, run);
  if (outputs.size === 0) {
    throw new OptionError({
      where: "lsuv",
      expected: "a run that calls a Linear, Conv1D or Conv2d of the module",
      received: "one that calls none",
      fix: "run the module's forward",
    });
  }
  if (orthogonal)
    [...outputs.keys()].forEach(({ module: { weight } }, i) => {
      weight.set(orthogonalInit()(key.fold(i), weight.shape));
    });
  const results: LsuvResult[] = [];
  for (const [layer, output] of outputs) {
    let spread = await spreadOf(layer, output);
    let iterations = 0;
    for (; Math.abs(spread - 1) > tolerance && iterations < maxIterations; iterations++) {
      const { weight } = layer.module;
      weight.set(mul(weight.value, 1 / Math.sqrt(spread)));
      spread = await spreadOf(layer, output); // a tensor stands for what it is with the weights of now
    }
    results.push({ path: layer.path, variance: spread, iterations });
  }
  return results;
}

/** @throws DataError for an output without spread */
async function spreadOf({ path }: Layer, output: Tensor<"f32">): Promise<number> {
  const spread = await variance(output).item();
  if (spread > 0 && Number.isFinite(spread)) return spread;
  throw new DataError({
    where: `lsuv, layer ${path}`,
    expected: "outputs that differ",
    received: `a variance of ${spread}`,
    fix: "give a batch of several examples of real data",
  });
}
