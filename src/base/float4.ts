/** Numbers of 4 bits that stand for the places of a table, as bitsandbytes stores the weights of QLoRA. */

/** Tables of 16 numbers from -1 to 1. */
export type Float4Type = "nf4" | "fp4";

/**
 * What the 16 numbers stand for. "nf4": quantiles of the normal distribution, Dettmers et al. 2023, arXiv:2305.14314,
 * appendix E. "fp4": floats of a sign, two bits of exponent and one of mantissa, as bitsandbytes orders them.
 */
export const float4Levels: Readonly<Record<Float4Type, readonly number[]>> = {
  nf4: [
    -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
  ],
  fp4: [
    0, 0.0052083334885537624, 0.6666666865348816, 1, 0.3333333432674408, 0.5, 0.1666666716337204, 0.25, -0,
    -0.0052083334885537624, -0.6666666865348816, -1, -0.3333333432674408, -0.5, -0.1666666716337204, -0.25,
  ],
};

/** The two numbers of each byte, the high half first: [256, 2] */
export const float4Pairs = (type: Float4Type): number[] =>
  Array.from({ length: 512 }, (_, i) => float4Levels[type][i % 2 === 0 ? i >> 5 : (i >> 1) & 15]);
