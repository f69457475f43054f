/** One adapter of several. */
import { checkOptions, DataError, OptionError } from "../base/index.ts";
import type { StateTensor } from "../nn/index.ts";
import { type Adapter, type LayerPart, widened } from "./adapter.ts";
import { type LoraConfig, scalingOf } from "./lora-config.ts";
import { sizesOf } from "./targets.ts";

/** An adapter, and how much of it. */
export interface WeightedAdapter {
  adapter: Adapter;
  /** Factor of its updates, which may be negative. */
  weight: number;
}

/** How adapters are combined. */
export interface CombineOptions {
  /**
   * "cat" gives the weighted sum of the updates, at a rank that is the sum of all; "linear" adds up A and B by
   * themselves, weighted by the roots, at the rank that all must have: a rough approximation. @default "cat"
   */
  kind?: "cat" | "linear";
}

/** A and B of a layer in one of the adapters, with the factor of their product. */
interface Share {
  a: StateTensor;
  b: StateTensor;
  factor: number;
}

/**
 * Makes one LoRA adapter of several of the same model, as peft's add_weighted_adapter does.
 * @throws OptionError for no adapters, and with "linear" for other ranks; DataError for adapters of other kinds, and
 *   for DoRA, biases of B, and weights that take the place of the model's
 *
 * @example
 * // const both = combineAdapters([{ adapter: sql, weight: 0.7 }, { adapter: haiku, weight: 0.3 }]);
 * // applyAdapter(model, both);
 */
export function combineAdapters(parts: readonly WeightedAdapter[], options: CombineOptions = {}): Adapter<LoraConfig> {
  checkOptions("combineAdapters", options, ["kind"]);
  const { kind = "cat" } = options;
  if (
    parts.length === 0 ||
    (kind !== "cat" && kind !== "linear") ||
    parts.some(({ weight }) => !Number.isFinite(weight))
  )
    throw new OptionError({
      where: "combineAdapters",
      expected: 'adapters with weights that are numbers, and a kind of "cat" or "linear"',
      received: `${parts.length} adapters, weights ${parts.map(({ weight }) => weight).join(", ")}, kind ${kind}`,
      fix: "give one adapter or more",
    });
  const shares = new Map<string, Share[]>();
  for (const { adapter, weight } of parts) {
    const config = requirePlain(adapter);
    for (const [path, layer] of adapter.layers) {
      const { a, b } = layer as Record<LayerPart, StateTensor>;
      const { rank, alpha } = sizesOf(path, config);
      const factor = weight * scalingOf(config, rank, alpha);
      shares.set(path, [...(shares.get(path) ?? []), { a, b, factor }]);
    }
  }
  const combine = kind === "cat" ? concatenated : added;
  const layers = new Map([...shares].map(([path, layer]) => [path, combine(path, layer)]));
  return {
    name: parts.map(({ adapter: { name }, weight }) => `${weight} ${name}`).join(" + "),
    config: combinedConfig(parts[0].adapter.config as LoraConfig, layers),
    layers,
    replaced: new Map(),
  };
}

/** The updates are scaled already, so that alpha is the rank of each layer. */
function combinedConfig(
  { baseModel, taskType, dropout }: LoraConfig,
  layers: ReadonlyMap<string, Pick<Share, "a">>,
): LoraConfig {
  const ranks = new Map([...layers].map(([path, { a }]) => [path, a.shape[0]]));
  const rank = Math.max(...ranks.values());
  const others = [...ranks].filter(([, lower]) => lower !== rank);
  const pattern = Object.fromEntries(others.map(([path, lower]) => [path.replaceAll(".", "\\."), lower]));
  return {
    ...{
      type: "LORA",
      rank,
      alpha: rank,
      rankPattern: pattern,
      alphaPattern: pattern,
      targetModules: [...ranks.keys()],
    },
    ...{ baseModel, taskType, dropout, useRslora: false, useDora: false, loraBias: false, bias: "none" },
    ...{ excludeModules: null, layersToTransform: null, layersPattern: null, modulesToSave: null },
  };
}

/** A below one another, with their factors, and B beside one another. */
function concatenated(_: string, shares: readonly Share[]): { a: StateTensor; b: StateTensor } {
  const rank = shares.reduce((sum, { a }) => sum + a.shape[0], 0);
  const [width, height] = [shares[0].a.shape[1], shares[0].b.shape[0]];
  const [a, b] = [new Float32Array(rank * width), new Float32Array(height * rank)];
  let row = 0;
  for (const { a: shareA, b: shareB, factor } of shares) {
    const count = shareA.shape[0];
    a.set(
      widened(shareA).map((x) => factor * x),
      row * width,
    );
    const numbers = widened(shareB); // [F, r]
    for (let n = 0; n < height; n++) b.set(numbers.subarray(n * count, (n + 1) * count), n * rank + row);
    row += count;
  }
  return { a: { dtype: "f32", shape: [rank, width], data: a }, b: { dtype: "f32", shape: [height, rank], data: b } };
}

/** Sums of A and of B, each with the root of its factor, whose sign goes to A. */
function added(path: string, shares: readonly Share[]): { a: StateTensor; b: StateTensor } {
  const [first] = shares;
  const other = shares.find(({ a }) => a.shape[0] !== first.a.shape[0]);
  if (other)
    throw new OptionError({
      where: `combineAdapters, ${path}`,
      expected: `rank ${first.a.shape[0]} of all adapters`,
      received: String(other.a.shape[0]),
      fix: 'use { kind: "cat" }',
    });
  const sum = (part: "a" | "b"): StateTensor => {
    const data = new Float32Array(first[part].data.length);
    for (const share of shares) {
      const root = Math.sqrt(Math.abs(share.factor)) * (part === "a" ? Math.sign(share.factor) : 1);
      widened(share[part]).forEach((x, i) => {
        data[i] += root * x;
      });
    }
    return { dtype: "f32", shape: first[part].shape, data };
  };
  return { a: sum("a"), b: sum("b") };
}

/** @throws DataError for an adapter that is more than updates of layers by a product */
function requirePlain({ name, config, replaced, layers }: Adapter): LoraConfig {
  const isPlain = config.type === "LORA" && !config.useDora && !config.loraBias;
  if (isPlain && replaced.size === 0) return config;
  const what =
    config.type !== "LORA" ? config.type : replaced.size > 0 ? "weights of the model anew" : "DoRA or lora_bias";
  throw new DataError({
    where: `combineAdapters, ${name}`,
    expected: "LoRA adapters that are updates of layers alone",
    received: `${what}, in ${layers.size} layers`,
    fix: "merge such an adapter into the model, and apply the others to that",
  });
}
