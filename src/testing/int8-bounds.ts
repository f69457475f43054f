/** What a cache in 8 bits may do to the logits of a model, worked out from its steps. */
import { CacheScales } from "../generate/cache-scales.ts";
import { causalDecoder, positionsOf } from "../generate/causal-decoder.ts";
import { i32 } from "../generate/decoder-runner.ts";
import { allLogits } from "../generate/decoder-step.ts";
import type { CausalLM } from "../models/index.ts";
import { mergeHeads, splitHeads } from "../nn/heads.ts";
import { cachedHeadDim, type LayerScales, RoomCache } from "../nn/index.ts";
import { add, compile, gather, mul, slice, type Tensor, tensor, zeros } from "../tensor/index.ts";
import { randomNumbers } from "./fuzz/random.ts";

const DRAWS = 50;
/** Of normal numbers one in two million is farther off. */
const DEVIATIONS = 5;

/** A cache in f32 of a whole text, with errors of its keys and values: [1, K, T, Dh] of each layer. */
class ErringCache extends RoomCache {
  private readonly errors: readonly LayerScales[];

  constructor(empty: Tensor<"f32">, length: number, errors: readonly LayerScales[]) {
    const layers = errors.map(() => ({ k: empty, v: empty }));
    super(layers, { lengths: i32([length - 1], [1]), total: i32([length], [1]) });
    this.errors = errors;
  }

  override attend(...[layer, q, k, v, settings]: Parameters<RoomCache["attend"]>): Tensor<"f32"> {
    const erring = (x: Tensor<"f32">, error: Tensor<"f32">) => {
      const heads = splitHeads(x, settings.numKeyHeads);
      return mergeHeads(add(heads, slice(error, { axis: -1, end: heads.size(3) })));
    };
    const { k: ofKeys, v: ofValues } = this.errors[layer];
    return this.attendPlainly(layer, q, erring(k, ofKeys), erring(v, ofValues), settings);
  }
}

/**
 * How far logits of a text may be from those of f32 where the cache is in int8: [T, V], one row behind the other.
 *
 * A key or value is rounded to the nearest step of its channel: it is off by at most half a step, by anything below it
 * as likely. Errors drawn so, which are added to keys and values in f32, move the logits as rounding does; the bound is
 * 5 standard deviations of what they do. A token errs alike wherever it stands: what a text repeats is rounded alike.
 * @param read what is to be bounded of the logits, [T, V] -> [T, V]. @default themselves
 */
export async function int8Bounds(
  model: CausalLM,
  ids: readonly number[],
  read: (logits: Tensor<"f32">) => Tensor<"f32"> = (logits) => logits,
): Promise<Float64Array> {
  const { cacheLimit = ids.length } = model;
  const bounds = await boundsOf(model, ids, read);
  // up to its limit a text is run by itself, as if nothing came after it
  if (cacheLimit < ids.length) bounds.set(await boundsOf(model, ids.slice(0, cacheLimit), read));
  return bounds;
}

async function boundsOf(
  model: CausalLM,
  ids: readonly number[],
  read: (logits: Tensor<"f32">) => Tensor<"f32">,
): Promise<Float64Array> {
  const { numLayers, numKeyHeads, headDim } = model.cacheShape;
  const { length } = ids;
  const width = cachedHeadDim(headDim);
  const scales = new CacheScales(model);
  await scales.update();
  const inputIds = i32([...ids], [1, length]);
  const context = { positions: positionsOf([0], length), embeddings: null };
  // steps that keys and values of each token are off by: [2 layers, K, V, Dh]
  const run = compile((steps: Tensor<"f32">) => {
    const errorOf = (part: number, scale: Tensor<"f32">) =>
      mul(gather(slice(steps, { axis: 0, start: part, end: part + 1 }), i32([...ids], [length]), 2), scale);
    const errors = Array.from({ length: numLayers }, (_, i) => {
      const { k, v } = scales.of(i);
      return { k: errorOf(2 * i, k), v: errorOf(2 * i + 1, v) };
    });
    const cache = new ErringCache(zeros([1, numKeyHeads, length, width]), length, errors);
    return read(allLogits(causalDecoder(model), inputIds, cache, context));
  });
  const shape = [2 * numLayers, numKeyHeads, model.config.vocabSize, width];
  const count = shape.reduce((a, b) => a * b, 1);
  const logitsOf = async (step: () => number) =>
    (await run(tensor(Float32Array.from({ length: count }, step), { shape }))).take();
  const exact = await logitsOf(() => 0);
  const random = randomNumbers(1);
  const variances = new Float64Array(exact.length);
  for (let draw = 0; draw < DRAWS; draw++) {
    const erring = await logitsOf(() => random() - 0.5);
    for (const [i, logit] of erring.entries()) variances[i] += (logit - exact[i]) ** 2 / DRAWS;
  }
  run.dispose();
  scales.dispose();
  return variances.map((variance) => DEVIATIONS * Math.sqrt(variance));
}
