// @ts-check
/** 16-bit floats as f32, for the host and for the worker that owns the device: hence in JavaScript. */

/** @type {Uint32Array | undefined} */
let float16Table;

/**
 * All elements of a 16-bit float array as f32. As bits, since a NaN that passes through JavaScript loses what it carries.
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
  float16Table ??= makeTable();
  for (let i = 0; i < stored.length; i++) bits[i] = float16Table[stored[i]];
  return out;
}

/** The f32 bits of every f16. */
function makeTable() {
  const view = new DataView(new ArrayBuffer(4));
  return Uint32Array.from({ length: 2 ** 16 }, (_, code) => {
    const [sign, exponent, mantissa] = [(code & 0x8000) << 16, (code >> 10) & 0x1f, code & 0x3ff];
    if (exponent === 0x1f) return (sign | 0x7f800000 | (mantissa << 13)) >>> 0;
    if (exponent > 0) return (sign | ((exponent + 112) << 23) | (mantissa << 13)) >>> 0;
    view.setFloat32(0, mantissa * 2 ** -24);
    return (sign | view.getUint32(0)) >>> 0;
  });
}
