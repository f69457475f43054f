import { OptionError } from "../base/index.ts";
import type { CausalLM } from "../models/index.ts";
import { cachedHeadDim, type LayerScales, RoomCache } from "../nn/index.ts";
import {
  abs,
  type CompiledFunction,
  compile,
  defaultDevice,
  max,
  maximum,
  mul,
  type Tensor,
  tensor,
  Variable,
  zeros,
} from "../tensor/index.ts";
import { causalDecoder, positionsOf } from "./causal-decoder.ts";
import { i32 } from "./decoder-runner.ts";
import type { CacheDTypeName, ChannelScales } from "./device-cache.ts";
import { ModelWatch } from "./engine/model-watch.ts";

/** Tokens that the ranges of channels are seen over. */
const SEEN_TOKENS = 512;
/**
 * How far beyond what was seen a channel may reach before it is cut: what is cut costs more than wider steps do. The
 * perplexity of SmolLM2-135M on 4096 tokens of a novel rises by 5.2, 1.3, 0.7, 0.4 and 0.13 % with 1, 1.25, 1.5, 2, 3.
 */
const MARGIN = 3;
/** The last step above 0. */
const MOST_STEPS = 127;
/** The least that a channel is taken to reach, as those that are always 0: no step is 0. */
const LEAST_RANGE = 1e-6;

/**
 * What a step of each channel of an int8 cache stands for: a multiple of the largest magnitude that the channel reaches
 * over a text of tokens from all over the vocabulary, in 127 steps. So they follow from the model alone, not from what
 * is asked first; adapters are not measured. Numbers beyond are cut.
 */
export class CacheScales implements ChannelScales {
  private readonly model: CausalLM;
  private readonly watch: ModelWatch;
  private readonly layers: readonly { k: Variable<"f32">; v: Variable<"f32"> }[];
  private measure: CompiledFunction<[ids: Tensor<"i32">], Tensor<"i32">> | undefined;
  /** The last calls of `update`, one after another. */
  private updates: Promise<void> = Promise.resolve();
  private isMeasured = false;

  constructor(model: CausalLM) {
    const { numLayers, numKeyHeads, headDim } = model.cacheShape;
    this.model = model;
    this.watch = new ModelWatch(model);
    const shape = [1, numKeyHeads, 1, cachedHeadDim(headDim)];
    const variable = (name: string) =>
      new Variable({ name, dtype: "f32", shape }, new Float32Array(shape[1] * shape[3]).fill(1));
    this.layers = Array.from({ length: numLayers }, (_, i) => ({
      k: variable(`cache.${i}.k.scale`),
      v: variable(`cache.${i}.v.scale`),
    }));
  }

  /** Of a layer, for a function being traced. */
  of(layer: number): LayerScales {
    const { k, v } = this.layers[layer];
    return { k: k.value, v: v.value };
  }

  /**
   * Measures what there is no measure of yet: of the weights and layers that the model has now. What was cached by
   * others is not good any more then.
   * @throws OptionError on a device other than the CPU
   */
  update(): Promise<void> {
    const update = this.updates.then(() => this.updateNow());
    this.updates = update.catch(() => {});
    return update;
  }

  private async updateNow(): Promise<void> {
    if (this.watch.hasOtherLayers()) {
      this.watch.takeLayers();
      this.forget();
    }
    if (this.watch.hasOtherWeights()) this.isMeasured = false;
    if (this.isMeasured) return;
    await requireCpu();
    this.measure ??= this.compile();
    this.isMeasured = true;
    try {
      (await this.measure(tensor(seenTokens(this.model)))).dispose();
    } catch (cause) {
      this.isMeasured = false;
      throw cause;
    }
  }

  private compile(): CompiledFunction<[ids: Tensor<"i32">], Tensor<"i32">> {
    const { numLayers, numKeyHeads, headDim } = this.model.cacheShape;
    const decoder = causalDecoder(this.model);
    const { length } = seenTokens(this.model);
    return compile((ids: Tensor<"i32">) => {
      const empty = zeros([1, numKeyHeads, length, cachedHeadDim(headDim)]);
      const layers = Array.from({ length: numLayers }, () => ({ k: empty, v: empty }));
      const cache = new RoomCache(layers, { lengths: i32([length - 1], [1]), total: i32([length], [1]) });
      decoder.hidden(ids.reshape([1, length]), cache, { positions: positionsOf([0], length), embeddings: null });
      cache.layers.forEach(({ k, v }, i) => {
        for (const [part, seen] of Object.entries({ k, v }) as ["k" | "v", Tensor<"f32">][]) {
          const range = maximum(max(abs(seen), { axes: [0, 2], keepDims: true }), LEAST_RANGE);
          this.layers[i][part].assign(mul(range, MARGIN / MOST_STEPS));
        }
      });
      return ids;
    });
  }

  private forget(): void {
    this.measure?.dispose();
    this.measure = undefined;
    this.isMeasured = false;
  }

  dispose(): void {
    this.measure?.dispose();
    for (const { k, v } of this.layers) {
      k.dispose();
      v.dispose();
    }
  }
}

/** What a cache of a dtype needs: scales in int8, and otherwise none. */
export const scalesOf = (model: CausalLM, cacheDtype: CacheDTypeName): CacheScales | undefined =>
  cacheDtype === "int8" ? new CacheScales(model) : undefined;

/** Tokens from all over the vocabulary, the same each time: steps of the golden ratio fall nowhere twice soon. */
function seenTokens({ config }: CausalLM): Int32Array {
  const length = Math.min(SEEN_TOKENS, config.maxPositionEmbeddings);
  return Int32Array.from({ length }, (_, i) => Math.floor(((i * GOLDEN_RATIO) % 1) * config.vocabSize));
}

const GOLDEN_RATIO = (1 + Math.sqrt(5)) / 2;

async function requireCpu(): Promise<void> {
  const { type } = await defaultDevice().picked;
  if (type === "cpu") return;
  throw new OptionError({
    where: "cacheDtype",
    expected: "int8 on the CPU alone, in Node: the kernels of other devices have no cache of 8 bits",
    received: `int8 on ${type}`,
    fix: 'choose "f16", or a device of type "cpu"',
  });
}
