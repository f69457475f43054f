import { nearest, OptionError, withinLimit } from "../base/index.ts";
import { cast, cos, greaterEqual, max, mul, reshape, sin, type Tensor, tensor, where } from "../tensor/index.ts";

/**
 * Rotary position embedding as config.json has it: `rope_parameters`, or `rope_theta` and `rope_scaling` in older
 * files.
 */
export interface RopeParameters {
  /** How longer contexts than those of pretraining are reached. @default "default", that is not */
  rope_type?: "default" | "linear" | "dynamic" | "llama3" | "yarn" | "longrope";
  /** Base of the wavelengths. @default 10000 */
  rope_theta?: number;
  /** Part of each head's features that turns. @default 1 */
  partial_rotary_factor?: number;
  /**
   * How many times longer the context becomes. @default 1; of yarn and longrope the model's context over that of
   * pretraining
   */
  factor?: number | null;
  /** longrope: what each wavelength is multiplied by, up to the context of pretraining. */
  short_factor?: readonly number[];
  /** longrope: what each wavelength is multiplied by in runs that reach beyond the context of pretraining. */
  long_factor?: readonly number[];
  /** Context of pretraining. @default the model's */
  original_max_position_embeddings?: number;
  /** llama3: wavelengths longer than the original context divided by this are stretched. @default 1 */
  low_freq_factor?: number;
  /** llama3: wavelengths shorter than the original context divided by this are left as they are. @default 4 */
  high_freq_factor?: number;
  /** yarn: factor on cosines and sines. @default 0.1 ln(factor) + 1 */
  attention_factor?: number | null;
  /**
   * yarn: with mscale_all_dim, the factor is (0.1 mscale ln(factor) + 1) / (0.1 mscale_all_dim ln(factor) + 1), as in
   * DeepSeek-V3.
   */
  mscale?: number;
  /** yarn: see mscale. */
  mscale_all_dim?: number;
  /** yarn: features that turn more often than this within the original context are left. @default 32 */
  beta_fast?: number | null;
  /** yarn: features that turn less often than this within the original context are stretched. @default 1 */
  beta_slow?: number | null;
  /** yarn: whether the bounds are rounded outward to whole features. @default true */
  truncate?: boolean;
}

const types = ["default", "linear", "dynamic", "llama3", "yarn", "longrope"] as const;
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
  "short_factor",
  "long_factor",
]);

/**
 * The angles by which `rotaryEmbedding` turns pairs of features of queries and keys; they grow with the position.
 * Su et al. 2021, arXiv:2104.09864.
 * "dynamic" is the default up to the model's context length, which is the longest that a model here takes.
 */
export class RotaryEmbedding {
  /** Angle of each pair at position 1. */
  readonly inverseFrequencies: readonly number[];
  /** longrope: those of runs that reach beyond `switchLength` positions. */
  readonly longInverseFrequencies?: readonly number[];
  /** longrope: the context of pretraining. Keys cached in a shorter run do not fit a longer one. */
  readonly switchLength?: number;
  /** Factor on cosines and sines. */
  readonly attentionFactor: number;

  /**
   * @param headDim width of a head, Dh
   * @param maxPositionEmbeddings the longest text that the model takes
   * @throws OptionError for a type that is not known, or parameters that would change the result and are not used
   */
  constructor(headDim: number, maxPositionEmbeddings: number, parameters: RopeParameters = {}) {
    const { rope_type: type = "default", rope_theta: base = 10000, partial_rotary_factor: part = 1 } = parameters;
    checkParameters(type, parameters);
    if (!(part >= 0 && part <= 1)) {
      const fix = "correct partial_rotary_factor, or the rotary dimensions, which are those of a head at most";
      throw new OptionError({
        where: "RotaryEmbedding",
        expected: "a part from 0 to 1 of each head",
        received: String(part),
        fix,
      });
    }
    const width = withinLimit("rotaryWidth", Math.floor(headDim * part), "RotaryEmbedding", "numbers of a head");
    const plain = Array.from({ length: Math.ceil(width / 2) }, (_, i) => base ** ((-2 * i) / width));
    const original = parameters.original_max_position_embeddings ?? maxPositionEmbeddings;
    const isStretched = type === "yarn" || type === "longrope";
    const factor = parameters.factor ?? (isStretched ? maxPositionEmbeddings / original : 1);
    const scaling = { ...parameters, factor };
    this.attentionFactor =
      type === "yarn"
        ? yarnAttentionFactor(scaling)
        : type === "longrope"
          ? longAttentionFactor(factor, original, parameters)
          : 1;
    this.inverseFrequencies = plain;
    if (type === "linear") this.inverseFrequencies = plain.map((frequency) => frequency / factor);
    else if (type === "llama3")
      this.inverseFrequencies = plain.map((frequency) => llama3(frequency, original, scaling));
    else if (type === "yarn") this.inverseFrequencies = yarn(plain, width, base, original, scaling);
    else if (type === "longrope") {
      const { short_factor: short = [], long_factor: long = [] } = parameters;
      this.inverseFrequencies = stretched(plain, short, "short_factor");
      this.longInverseFrequencies = stretched(plain, long, "long_factor");
      this.switchLength = original;
    }
  }

  /**
   * Cosines and sines at positions: i32 [..., T] -> [..., T, 1, R / 2] each, with R the features of a head that turn:
   * for heads as [B, T, H, Dh]. longrope chooses by the largest position of all rows, as transformers does, or with
   * `isByRow` (false by default) of each row: a text is then the same beside a longer one.
   */
  angles(positions: Tensor<"i32">, { isByRow = false } = {}): { cos: Tensor<"f32">; sin: Tensor<"f32"> } {
    const column = reshape(cast(positions, "f32"), [...positions.shape, 1, 1]);
    const angles = mul(column, this.frequenciesFor(positions, isByRow));
    return { cos: mul(cos(angles), this.attentionFactor), sin: mul(sin(angles), this.attentionFactor) };
  }

  /** [R / 2], or of longrope by row [..., 1, 1, R / 2] */
  private frequenciesFor(positions: Tensor<"i32">, isByRow: boolean): Tensor<"f32"> {
    const usual = tensor(Float32Array.from(this.inverseFrequencies));
    if (!this.longInverseFrequencies) return usual;
    const farthest = isByRow ? max(positions, { axes: -1, keepDims: true }) : max(positions);
    const shape = isByRow ? [...farthest.shape, 1, 1] : [];
    const isLong = greaterEqual(reshape(farthest, shape), this.switchLength as number);
    return where(isLong, tensor(Float32Array.from(this.longInverseFrequencies)), usual) as Tensor<"f32">;
  }
}

function checkParameters(type: (typeof types)[number], parameters: RopeParameters): void {
  const unknown = Object.keys(parameters).find((key) => !known.has(key));
  if (types.includes(type) && !unknown) return;
  const near = unknown ? nearest(unknown, [...known]) : nearest(String(type), types);
  throw new OptionError({
    where: "rope_parameters",
    expected: unknown ? `some of ${[...known].join(", ")}` : `a rope_type of ${types.join(", ")}`,
    received: unknown ?? String(type),
    fix: near ? `did you mean "${near}"?` : "this scaling is not supported",
  });
}

/** LongRoPE: each wavelength has a factor of its own. Ding et al. 2024, arXiv:2402.13753. */
function stretched(plain: readonly number[], factors: readonly number[], name: string): number[] {
  if (Array.isArray(factors) && factors.length === plain.length)
    return plain.map((frequency, i) => frequency / factors[i]);
  throw new OptionError({
    where: `rope_parameters, ${name}`,
    expected: `${plain.length} numbers`,
    received: JSON.stringify(factors).slice(0, 60),
    fix: "correct the config",
  });
}

function longAttentionFactor(
  factor: number,
  original: number,
  { attention_factor: attentionFactor }: RopeParameters,
): number {
  return attentionFactor ?? (factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original)));
}

type Scaled = RopeParameters & { factor: number };

/** Llama 3.1: long wavelengths are stretched, short ones left, those between blended. arXiv:2407.21783 */
function llama3(
  frequency: number,
  original: number,
  { factor, low_freq_factor: low = 1, high_freq_factor: high = 4 }: Scaled,
): number {
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength > original / low) return frequency / factor;
  if (wavelength < original / high) return frequency;
  const smooth = (original / wavelength - low) / (high - low);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

/**
 * YaRN: features that turn often within the original context are left, those that turn rarely are stretched. Peng et
 * al. 2023, arXiv:2309.00071.
 */
function yarn(plain: readonly number[], width: number, base: number, original: number, parameters: Scaled): number[] {
  const { factor, truncate = true } = parameters;
  const [fast, slow] = [parameters.beta_fast || 32, parameters.beta_slow || 1];
  const featureOf = (turns: number) => (width * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(base));
  const [first, last] = truncate
    ? [Math.floor(featureOf(fast)), Math.ceil(featureOf(slow))]
    : [featureOf(fast), featureOf(slow)];
  const from = Math.max(first, 0);
  const to = Math.min(last, width - 1);
  const span = from === to ? 0.001 : to - from;
  return plain.map((frequency, i) => {
    const stretched = Math.min(1, Math.max(0, (i - from) / span));
    return frequency * (1 - stretched) + (frequency / factor) * stretched;
  });
}

function yarnAttentionFactor({
  factor,
  attention_factor: attentionFactor,
  mscale,
  mscale_all_dim: mscaleAll,
}: Scaled): number {
  if (attentionFactor !== undefined && attentionFactor !== null) return attentionFactor;
  const scaleOf = (m: number) => (factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1);
  return mscale && mscaleAll ? scaleOf(mscale) / scaleOf(mscaleAll) : scaleOf(1);
}
