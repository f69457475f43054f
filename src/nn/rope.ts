import { nearest, OptionError } from "../ir/index.ts";
import { cast, cos, mul, reshape, sin, type Tensor, tensor } from "../tensor/index.ts";

/** Rotary position embedding as config.json has it: `rope_parameters`, or `rope_theta` and `rope_scaling` in older files. */
export interface RopeParameters {
  /** How longer contexts than those of pretraining are reached. @default "default", that is not */
  rope_type?: "default" | "linear" | "dynamic" | "llama3" | "yarn";
  /** Base of the wavelengths. @default 10000 */
  rope_theta?: number;
  /** Part of each head's features that turns. @default 1 */
  partial_rotary_factor?: number;
  /** How many times longer the context becomes. @default 1 */
  factor?: number;
  /** Context of pretraining. @default the model's */
  original_max_position_embeddings?: number;
  /** llama3: wavelengths longer than original / low are stretched, those shorter than original / high are left. */
  low_freq_factor?: number;
  high_freq_factor?: number;
  /** yarn: factor on cosines and sines. @default 0.1 ln(factor) + 1 */
  attention_factor?: number | null;
  mscale?: number;
  mscale_all_dim?: number;
  /** yarn: turns within the original context above which features are left, and below which they are stretched. @default 32 and 1 */
  beta_fast?: number;
  beta_slow?: number;
  /** yarn: whether the bounds are rounded outward to whole features. @default true */
  truncate?: boolean;
}

const types = ["default", "linear", "dynamic", "llama3", "yarn"] as const;
const known = new Set<string>([
  "rope_type",
  "type",
  "rope_theta",
  "partial_rotary_factor",
  "factor",
  "original_max_position_embeddings",
  "low_freq_factor",
  "high_freq_factor",
  "attention_factor",
  "mscale",
  "mscale_all_dim",
  "beta_fast",
  "beta_slow",
  "truncate",
]);

/**
 * The angles by which `rotaryEmbedding` turns pairs of features of queries and keys; they grow with the position.
 * Su et al. 2021, arXiv:2104.09864.
 * "dynamic" is the default up to the model's context length, which is the longest that a model here takes.
 */
export class RotaryEmbedding {
  /** Angle of each pair at position 1. */
  readonly inverseFrequencies: readonly number[];
  /** Factor on cosines and sines. */
  readonly attentionFactor: number;

  /** @throws OptionError for a type that is not known, or parameters that would change the result and are not used */
  constructor(headDim: number, maxPositionEmbeddings: number, parameters: RopeParameters = {}) {
    const { rope_type: type = "default", rope_theta: base = 10000, partial_rotary_factor: part = 1, factor = 1 } = parameters;
    const unknown = Object.keys(parameters).find((key) => !known.has(key));
    if (!types.includes(type) || unknown) {
      const near = unknown ? nearest(unknown, [...known]) : nearest(type, types);
      throw new OptionError({
        where: "rope_parameters",
        expected: unknown ? `some of ${[...known].join(", ")}` : `a rope_type of ${types.join(", ")}`,
        received: unknown ?? String(type),
        fix: near ? `did you mean "${near}"?` : "this scaling is not supported",
      });
    }
    const width = Math.floor(headDim * part);
    const plain = Array.from({ length: Math.floor(width / 2) }, (_, i) => base ** ((-2 * i) / width));
    const original = parameters.original_max_position_embeddings ?? maxPositionEmbeddings;
    this.attentionFactor = type === "yarn" ? yarnAttentionFactor(parameters) : 1;
    if (type === "linear") this.inverseFrequencies = plain.map((frequency) => frequency / factor);
    else if (type === "llama3") this.inverseFrequencies = plain.map((frequency) => llama3(frequency, original, parameters));
    else if (type === "yarn") this.inverseFrequencies = yarn(plain, width, base, original, parameters);
    else this.inverseFrequencies = plain;
  }

  /** Cosines and sines at positions, i32 [..., T] -> [..., T, 1, R / 2] each: for heads as [B, T, H, Dh]. */
  angles(positions: Tensor<"i32">): { cos: Tensor<"f32">; sin: Tensor<"f32"> } {
    const column = reshape(cast(positions, "f32"), [...positions.shape, 1, 1]);
    const angles = mul(column, tensor(Float32Array.from(this.inverseFrequencies)));
    return { cos: mul(cos(angles), this.attentionFactor), sin: mul(sin(angles), this.attentionFactor) };
  }
}

/** Llama 3.1: long wavelengths are stretched, short ones left, those between blended. arXiv:2407.21783 */
function llama3(frequency: number, original: number, { factor = 1, low_freq_factor: low = 1, high_freq_factor: high = 4 }: RopeParameters): number {
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength > original / low) return frequency / factor;
  if (wavelength < original / high) return frequency;
  const smooth = (original / wavelength - low) / (high - low);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

/** YaRN: features that turn often within the original context are left, those that turn rarely are stretched. Peng et al. 2023, arXiv:2309.00071. */
function yarn(plain: readonly number[], width: number, base: number, original: number, parameters: RopeParameters): number[] {
  const { factor = 1, beta_fast: fast = 32, beta_slow: slow = 1, truncate = true } = parameters;
  const featureOf = (turns: number) => (width * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(base));
  const [first, last] = truncate ? [Math.floor(featureOf(fast)), Math.ceil(featureOf(slow))] : [featureOf(fast), featureOf(slow)];
  const from = Math.max(first, 0);
  const to = Math.min(last, width - 1);
  const span = from === to ? 0.001 : to - from;
  return plain.map((frequency, i) => {
    const stretched = Math.min(1, Math.max(0, (i - from) / span));
    return frequency * (1 - stretched) + (frequency / factor) * stretched;
  });
}

function yarnAttentionFactor({ factor = 1, attention_factor: given, mscale, mscale_all_dim: mscaleAll }: RopeParameters): number {
  if (given !== undefined && given !== null) return given;
  const scaleOf = (m: number) => (factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1);
  return mscale && mscaleAll ? scaleOf(mscale) / scaleOf(mscaleAll) : scaleOf(1);
}
