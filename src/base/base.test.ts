import { expect, test } from "vitest";
import {
  checkOptions,
  DataError,
  fromBfloat16Bits,
  fromFloat16Bits,
  listedNames,
  narrow,
  nearest,
  roundHalfToEven,
  toBfloat16Bits,
  toFloat16Bits,
  widenToF32,
} from "./index.ts";

/** The f16 nearest to a number, by arithmetic. */
function nearestFloat16(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (magnitude >= 65520) return sign | 0x7c00; // halfway between the largest finite value and the next power rounds up
  if (magnitude < 2 ** -14) return sign | roundHalfToEven(magnitude * 2 ** 24); // subnormal: multiples of 2^-24
  const exponent = Math.floor(Math.log2(magnitude));
  const safeExponent = 2 ** exponent > magnitude ? exponent - 1 : exponent;
  const mantissa = roundHalfToEven((magnitude / 2 ** safeExponent - 1) * 1024);
  return sign | (((safeExponent + 15) << 10) + mantissa); // a mantissa of 1024 carries into the exponent, as it should
}

/** What the bits of an f16 stand for, by arithmetic. */
function float16Value(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const [exponent, mantissa] = [(bits >> 10) & 0x1f, bits & 0x3ff];
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

test("16-bit floats round to nearest, ties to even", () => {
  for (const [value, bits] of [
    [1, 0x3c00],
    [-2, 0xc000],
    [65504, 0x7bff],
    [65520, 0x7c00],
    [2 ** -24, 1],
    [0.1, 0x2e66],
    [2049, 0x6800],
    [2051, 0x6802],
  ]) {
    expect(toFloat16Bits(value)).toBe(bits);
  }
  for (let bits = 0; bits < 0x7c00; bits += 7) expect(toFloat16Bits(fromFloat16Bits(bits))).toBe(bits);
  for (let bits = 0; bits < 0x7f80; bits += 7) expect(toBfloat16Bits(fromBfloat16Bits(bits))).toBe(bits);
  expect(toBfloat16Bits(1.00390625)).toBe(0x3f80);
  expect(fromFloat16Bits(toFloat16Bits(Number.NaN))).toBeNaN();
});

test("the nearest known word is found", () => {
  expect(nearest("learningrate", ["learningRate", "seed"])).toBe("learningRate");
  expect(nearest("xyzzy", ["learningRate", "seed"])).toBeUndefined();
});

test.each([
  ["a file", "none", "check the path", "w: expected a file; received none. Fix: check the path."],
  ["a file", "none", 'did you mean "x"?', 'w: expected a file; received none. Fix: did you mean "x"?'],
  ["room", "The disk is full.", "Make room.", "w: expected room; received The disk is full. Fix: Make room."],
  ["names as a.b.", "[1, 2...", "cut it …", "w: expected names as a.b.; received [1, 2... Fix: cut it …"],
])("an error has each full stop once: %s, %s, %s", (expected, received, fix, message) => {
  expect(new DataError({ where: "w", expected, received, fix }).message).toBe(message);
});

test("an error lists a few names, and of many the nearest", () => {
  expect(listedNames("x", ["b", "a"])).toBe("b, a");
  const many = [..."abcdefghijk"].map((letter) => `${letter}${letter}`);
  expect(listedNames("kk", many)).toBe("kk, aa, bb, cc, dd, ee, ff, gg and 3 others");
  const options = () => checkOptions("here", { nothingLikeIt: 1 }, many, "look for it");
  expect(options).toThrow(/one of the options .* and 3 others; received "nothingLikeIt"\. Fix: look for it\.$/);
  expect(() => checkOptions("here", { x: 1 }, ["y1234"])).toThrow(/Fix: remove "x"\.$/);
});

test("floats of 16 bits, many at once, are as one by one, and as by arithmetic", () => {
  const codes = Uint16Array.from({ length: 2 ** 16 }, (_, code) => code);
  const bf16 = widenToF32("bf16", codes);
  const f16 = widenToF32("f16", codes);
  expect(bf16.every((number, code) => Object.is(number, fromBfloat16Bits(code)))).toBe(true);
  expect(f16.every((number, code) => Object.is(number, fromFloat16Bits(code)))).toBe(true);
  expect(f16.every((number, code) => Object.is(number, float16Value(code)))).toBe(true);

  // every number of 16 bits, what is halfway to the next, and their neighbours in f32
  const around = [...f16, ...bf16].flatMap((number, i, all) => {
    const middle = Math.fround((number + all[i + 1]) / 2);
    return [number, middle, middle * (1 + 2 ** -23), middle * (1 - 2 ** -23)];
  });
  const numbers = Float32Array.from([
    ...around,
    2 ** -24,
    2 ** -25,
    3 * 2 ** -26,
    65519.996,
    65520,
    -65520,
    3.4e38,
    1e-45,
  ]);
  const wrong = (dtype: "f16" | "bf16", plain: (x: number) => number) => {
    const narrowed = narrow(dtype, numbers);
    return [...numbers].filter((number, i) => narrowed[i] !== plain(number));
  };
  expect(wrong("f16", toFloat16Bits)).toEqual([]);
  expect(wrong("f16", nearestFloat16)).toEqual([]);
  expect(wrong("bf16", toBfloat16Bits)).toEqual([]);
});
