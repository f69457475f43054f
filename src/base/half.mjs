// @ts-check
/** 16-bit floats, for the host and for the worker that owns the device: hence in JavaScript. */

/** @type {Uint32Array | undefined} */
let float16Table;

/** The f32 bits of every f16. */
function float16Bits() {
  if (float16Table) return float16Table;
  const view = new DataView(new ArrayBuffer(4));
  float16Table = Uint32Array.from({ length: 2 ** 16 }, (_, code) => {
    const [sign, exponent, mantissa] = [(code & 0x8000) << 16, (code >> 10) & 0x1f, code & 0x3ff];
    if (exponent === 0x1f) return (sign | 0x7f800000 | (mantissa << 13)) >>> 0;
    if (exponent > 0) return (sign | ((exponent + 112) << 23) | (mantissa << 13)) >>> 0;
    view.setFloat32(0, mantissa * 2 ** -24);
    return (sign | view.getUint32(0)) >>> 0;
  });
  return float16Table;
}

/**
 * All elements of a 16-bit float array as f32. As bits, since a NaN that passes through JavaScript loses what it
 * carries.
 * @param {"f16" | "bf16"} dtype
 * @param {Uint16Array} stored
 * @returns {Float32Array<ArrayBuffer>}
 */
export function widen(dtype, stored) {
  const out = new Float32Array(stored.length);
  const bits = new Uint32Array(out.buffer);
  if (dtype === "bf16") {
    for (let i = 0; i < stored.length; i++) bits[i] = stored[i] << 16;
    return out;
  }
  const table = float16Bits();
  for (let i = 0; i < stored.length; i++) bits[i] = table[stored[i]];
  return out;
}

/**
 * All elements rounded to f16 or bf16, to the nearest and of two as near to the even one.
 * @param {"f16" | "bf16"} dtype
 * @param {Float32Array} data
 * @returns {Uint16Array<ArrayBuffer>}
 */
export function narrow(dtype, data) {
  const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
  const out = new Uint16Array(data.length);
  const narrowBits = dtype === "bf16" ? narrowBfloat16 : narrowFloat16;
  for (let i = 0; i < out.length; i++) out[i] = narrowBits(bits[i]);
  return out;
}

const number = new Float32Array(1);
const numberBits = new Uint32Array(number.buffer);

/**
 * The number that 16 bits stand for in f16.
 * @param {number} bits
 */
export function fromFloat16Bits(bits) {
  numberBits[0] = float16Bits()[bits];
  return number[0];
}

/**
 * The number that 16 bits stand for in bf16.
 * @param {number} bits
 */
export function fromBfloat16Bits(bits) {
  numberBits[0] = bits << 16;
  return number[0];
}

/**
 * Bits of the f16 nearest to the f32 nearest to a number, as PyTorch makes one of a double.
 * @param {number} value
 */
export function toFloat16Bits(value) {
  number[0] = value;
  return narrowFloat16(numberBits[0]);
}

/**
 * Bits of the bf16 nearest to the f32 nearest to a number.
 * @param {number} value
 */
export function toBfloat16Bits(value) {
  number[0] = value;
  return narrowBfloat16(numberBits[0]);
}

const INFINITY_BITS = 0x7f800000;
/** 65520, halfway between the largest finite value of f16 and the next power of 2. */
const FLOAT16_OVERFLOW_BITS = 0x477ff000;
/** 2^-14, the smallest normal value of f16. */
const FLOAT16_NORMAL_BITS = 0x38800000;
/** What the exponent of f32 is larger by, in its place. */
const FLOAT16_BIAS_BITS = (127 - 15) << 23;

/**
 * Adding half of what is cut off, less one where the last bit that stays is even, carries where the number rounds up.
 * @param {number} bits
 */
function narrowBfloat16(bits) {
  if ((bits & 0x7fffffff) > INFINITY_BITS) return 0x7fc0;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** @param {number} bits */
function narrowFloat16(bits) {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > INFINITY_BITS) return 0x7e00;
  if (magnitude >= FLOAT16_OVERFLOW_BITS) return sign | 0x7c00;
  if (magnitude >= FLOAT16_NORMAL_BITS) {
    return sign | ((magnitude - FLOAT16_BIAS_BITS + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  // subnormal, a multiple of 2^-24: its integer is the mantissa with its leading 1, shifted
  const shift = 126 - (magnitude >>> 23);
  if (shift > 24) return sign;
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const kept = mantissa >>> shift;
  const rest = mantissa & (2 ** shift - 1);
  const half = 2 ** (shift - 1);
  return sign | (kept + (rest > half || (rest === half && kept & 1) ? 1 : 0));
}
