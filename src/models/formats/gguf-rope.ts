/** Rotary positions in the metadata of GGUF files. */

import { DataError, OptionError } from "../../base/index.ts";
import { GgufFloat, type GgufWritable } from "../../files/index.ts";
import { type RopeParameters, RotaryEmbedding } from "../../nn/index.ts";
import { ropeTensors } from "./gguf-tensors.ts";

/** What is read of a file: its settings by key, and factors of wavelengths by the name of their tensor. */
export interface RopeSource {
  path: string;
  /** A number among the settings, or what to take otherwise. @throws DataError for a value of another type */
  number<T>(key: string, otherwise: T): number | T;
  /** A text among the settings, or what to take otherwise. @throws DataError for a value of another type */
  text<T>(key: string, otherwise: T): string | T;
  factors: ReadonlyMap<string, Float32Array>;
}

/** What wavelengths are computed from besides their own settings. */
export interface RopeSizes {
  headDim: number;
  maxPositionEmbeddings: number;
}

const DEFAULT_THETA = 10000;

/** rope_parameters of all layers, or of those that see everything. @throws DataError for a scaling that is not known */
export function ropeFromGguf(source: RopeSource, sizes: RopeSizes, isPartial: boolean): RopeParameters {
  const { path, number } = source;
  const width = number("rope.dimension_count", sizes.headDim);
  if (!Number.isInteger(width) || width < 1 || width > sizes.headDim || (!isPartial && width !== sizes.headDim)) {
    const expected = isPartial ? `from 1 to ${sizes.headDim} features` : `${sizes.headDim}, all features of a head`;
    throw new DataError({
      where: `${path}, rope.dimension_count`,
      expected,
      received: String(width),
      fix: "load the original model instead",
    });
  }
  const rope: RopeParameters = {
    rope_type: "default",
    rope_theta: number("rope.freq_base", DEFAULT_THETA),
    ...(isPartial && { partial_rotary_factor: width / sizes.headDim }),
  };
  return { ...rope, ...scalingFrom(source, sizes, rope) };
}

function scalingFrom(source: RopeSource, sizes: RopeSizes, rope: RopeParameters): RopeParameters {
  const { number, text, factors } = source;
  const long = factors.get(ropeTensors.long);
  const short = factors.get(ropeTensors.short);
  const original = number("rope.scaling.original_context_length", undefined);
  const attention = number("rope.scaling.attn_factor", undefined);
  if (long && short) {
    return {
      rope_type: "longrope",
      long_factor: decimals(long),
      short_factor: decimals(short),
      ...(original !== undefined && { original_max_position_embeddings: original }),
      ...(attention !== undefined && { attention_factor: attention }),
    };
  }
  const divisors = factors.get(ropeTensors.factors);
  if (divisors) return dividedFrequencies(source, divisors, sizes, rope, original);
  const type = text("rope.scaling.type", "linear"); // llama.cpp's default, which with a factor of 1 is none
  // the second is of older files
  const factor = number("rope.scaling.factor", undefined) ?? number("rope.scale_linear", 1);
  if (type === "none" || (type === "linear" && (factor === 1 || factor === 0))) return {};
  // what is not known is refused by RotaryEmbedding
  if (type !== "yarn") return { rope_type: type as RopeParameters["rope_type"], factor };
  const [fast, slow] = [
    number("rope.scaling.yarn_beta_fast", undefined),
    number("rope.scaling.yarn_beta_slow", undefined),
  ];
  return {
    rope_type: "yarn",
    factor,
    ...(original !== undefined && { original_max_position_embeddings: original }),
    ...(attention !== undefined &&
      attention !== 1 && { attention_factor: shortestDecimal(Math.fround(attention * yarnAttention(factor))) }),
    ...(fast !== undefined && { beta_fast: fast }),
    ...(slow !== undefined && { beta_slow: slow }),
  };
}

/**
 * By which YaRN multiplies cosines and sines; llama.cpp multiplies its attn_factor by that. arXiv:2309.00071, section
 * 3.4
 */
const yarnAttention = (factor: number) => 0.1 * Math.log(factor) + 1;

/** What Llama 3.1 to 3.3 have; the factor on long wavelengths is the largest. */
const LLAMA3 = { rope_type: "llama3", low_freq_factor: 1, high_freq_factor: 4 } as const;
const LLAMA3_CONTEXT = 8192;

/** A factor that each frequency is divided by: Llama 3's scaling where it is that, otherwise the factors themselves. */
function dividedFrequencies(
  { path }: RopeSource,
  divisors: Float32Array,
  sizes: RopeSizes,
  rope: RopeParameters,
  original: number | undefined,
): RopeParameters {
  const factor = Math.max(...divisors);
  for (const context of [original, LLAMA3_CONTEXT]) {
    if (context === undefined) continue;
    const scaling = { ...LLAMA3, factor, original_max_position_embeddings: context };
    const expected = ropeDivisors({ ...rope, ...scaling }, sizes);
    if (
      divisors.length === expected.length &&
      divisors.every((divisor, i) => Math.abs(expected[i] - divisor) < 1e-3 * divisor)
    )
      return scaling;
  }
  if (!divisors.every((divisor) => Number.isFinite(divisor) && divisor > 0)) {
    const received = `${[...divisors.slice(0, 4)]}, ...`;
    throw new DataError({
      where: `${path}, ${ropeTensors.factors}`,
      expected: "factors above 0",
      received,
      fix: "the file is damaged: fetch it again",
    });
  }
  const list = decimals(divisors);
  return {
    rope_type: "longrope",
    long_factor: list,
    short_factor: list,
    attention_factor: 1,
    original_max_position_embeddings: sizes.maxPositionEmbeddings,
  };
}

/** Numbers of f32 as the shortest decimals that stand for them. */
const decimals = (numbers: Iterable<number>): number[] => Array.from(numbers, shortestDecimal);
/** The shortest decimal that stands for a number of f32: 1e-5 for 0.000009999999747378752. */
export function shortestDecimal(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const rounded = Number(value.toPrecision(digits));
    if (Math.fround(rounded) === value) return rounded;
  }
  return value;
}

/** What Llama 3's scaling divides each frequency by. */
function ropeDivisors(rope: RopeParameters, { headDim, maxPositionEmbeddings }: RopeSizes): Float32Array {
  const frequencies = (parameters: RopeParameters) =>
    new RotaryEmbedding(headDim, maxPositionEmbeddings, parameters).inverseFrequencies;
  const scaled = frequencies(rope);
  return Float32Array.from(
    frequencies({ rope_theta: rope.rope_theta, partial_rotary_factor: rope.partial_rotary_factor }),
    (plain, i) => plain / scaled[i],
  );
}

/**
 * Settings, and factors of wavelengths by the name of their tensor. @throws OptionError for a scaling that llama.cpp
 * has no place for
 */
export function ropeToGguf(
  rope: RopeParameters,
  sizes: RopeSizes,
): { settings: Record<string, GgufWritable>; factors: Map<string, Float32Array> } {
  const {
    rope_type: type = "default",
    partial_rotary_factor: part = 1,
    original_max_position_embeddings: context,
  } = rope;
  const settings: Record<string, GgufWritable> = {
    "rope.dimension_count": Math.floor(sizes.headDim * part),
    "rope.freq_base": new GgufFloat(rope.rope_theta ?? DEFAULT_THETA),
  };
  const factors = new Map<string, Float32Array>();
  const original = { "rope.scaling.original_context_length": context ?? sizes.maxPositionEmbeddings };
  if (type === "linear" || type === "yarn") {
    Object.assign(settings, { "rope.scaling.type": type, "rope.scaling.factor": new GgufFloat(factorOf(rope, sizes)) });
    if (type === "yarn") Object.assign(settings, original, yarnSettings(rope, sizes));
  } else if (type === "llama3") {
    Object.assign(settings, original);
    factors.set(ropeTensors.factors, ropeDivisors(rope, sizes));
  } else if (type === "longrope") {
    const { attentionFactor } = new RotaryEmbedding(sizes.headDim, sizes.maxPositionEmbeddings, rope);
    Object.assign(settings, original, { "rope.scaling.attn_factor": new GgufFloat(attentionFactor) });
    factors.set(ropeTensors.long, Float32Array.from(rope.long_factor ?? []));
    factors.set(ropeTensors.short, Float32Array.from(rope.short_factor ?? []));
  } else if (type !== "default") {
    const expected = "rotary positions of type default, linear, yarn, llama3 or longrope";
    throw new OptionError({ where: "saveGguf", expected, received: type, fix: "save the model as safetensors" });
  }
  return { settings, factors };
}

/** How many times longer the context becomes; YaRN's may follow from the two contexts. */
function factorOf(
  { rope_type: type, factor, original_max_position_embeddings: original }: RopeParameters,
  { maxPositionEmbeddings }: RopeSizes,
): number {
  return factor ?? (type === "yarn" && original ? maxPositionEmbeddings / original : 1);
}

function yarnSettings(
  rope: RopeParameters,
  { headDim, maxPositionEmbeddings }: RopeSizes,
): Record<string, GgufWritable> {
  if (rope.truncate === false) {
    const fix = "save the model as safetensors";
    throw new OptionError({
      where: "saveGguf",
      expected: "YaRN's bounds rounded to whole features",
      received: "truncate: false",
      fix,
    });
  }
  const { attentionFactor } = new RotaryEmbedding(headDim, maxPositionEmbeddings, rope);
  const extra = attentionFactor / yarnAttention(factorOf(rope, { headDim, maxPositionEmbeddings }));
  return {
    ...(Math.abs(extra - 1) > 1e-6 && { "rope.scaling.attn_factor": new GgufFloat(extra) }),
    ...(rope.beta_fast && { "rope.scaling.yarn_beta_fast": new GgufFloat(rope.beta_fast) }),
    ...(rope.beta_slow && { "rope.scaling.yarn_beta_slow": new GgufFloat(rope.beta_slow) }),
  };
}
