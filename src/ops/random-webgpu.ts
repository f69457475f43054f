/**
 * Random numbers on WebGPU, with the bits of other devices. ONNX Runtime's provider there multiplies, divides and adds
 * integers of 32 bits without sign, but has no shifts and no exclusive or: those of many numbers are quotients and
 * lookups in a table. Keys and few numbers are computed in 64 bits, which the provider leaves to the CPU altogether: in
 * 32 bits it would take half of the operators, and each change of place waits for the card.
 */
import { isStatic, type Shape, sizeOf } from "../ir/index.ts";
import { i64Vector, type Lowering, ONNX_UINT32, ONNX_UINT64, onnxTypeCode } from "./lowering.ts";

/** The hash of random.ts: its rounds, its last shift, and by what counters are multiplied. */
export interface Hash {
  mix: readonly [{ shift: 16; factor: number }, { shift: 15; factor: number }];
  lastShift: number;
  spread: number;
}

/** So many numbers take the CPU less time than some 90 kernels take to be handed to a card, at 15 microseconds each. */
const FEW = 2 ** 15;
/** Numbers in a row of counters. */
const ROW = 4096;
/** The table of exclusive ors has those of numbers of 9 bits, in three digits. */
const DIGIT = 8;
const SIDE = DIGIT ** 3;
const BYTE = 256;
const HALF = 65536;
const WORD = 2 ** 32;

/** Integers from 0 to 2^32 - 1 in 64 bits, on the CPU. */
class Wide {
  private readonly graph: Lowering;
  constructor(graph: Lowering) {
    this.graph = graph;
  }
  private binary(opType: string, a: string, b: string): string {
    return this.graph.node(opType, [a, b]);
  }
  private cut = (x: string) => this.binary("BitwiseAnd", x, this.number(WORD - 1));
  constant = (shape: readonly number[], values: readonly number[]) =>
    this.graph.node("Cast", [this.graph.constant("i64", shape, values)], { to: ONNX_UINT64 });
  number = (value: number) => this.constant([], [value]);
  /** Of i32 numbers: their bits. */
  bitsOf = (x: string) => this.cut(this.graph.node("Cast", [x], { to: ONNX_UINT64 }));
  as = (x: string, to: number) => this.graph.node("Cast", [x], { to });
  at = (x: string, index: string) => this.graph.node("Gather", [x, index], { axis: 0 });
  add = (a: string, b: string) => this.cut(this.binary("Add", a, b));
  mul = (a: string, b: string) => this.cut(this.binary("Mul", a, b));
  xor = (a: string, b: string) => this.binary("BitwiseXor", a, b);
  and = (a: string, b: number) => this.binary("BitwiseAnd", a, this.number(b));
  shift = (a: string, places: string) => this.graph.node("BitShift", [a, places], { direction: "RIGHT" });
  hash(x: string, { mix, lastShift }: Hash): string {
    const xorShift = (h: string, places: number) => this.xor(h, this.shift(h, this.number(places)));
    const mixed = mix.reduce((h, { shift, factor }) => this.mul(xorShift(h, shift), this.number(factor)), x);
    return xorShift(mixed, lastShift);
  }
}

/** A new key of a key, i32[2], and a number, i32: both halves at once. */
export function lowerFoldOnWebGpu(
  graph: Lowering,
  [key, data]: readonly [string, string],
  salts: readonly number[],
  hash: Hash,
): string {
  const bits = new Wide(graph);
  const halves = bits.bitsOf(key);
  const others = bits.at(halves, i64Vector(graph, [1, 0]));
  const mixed = bits.hash(bits.mul(bits.bitsOf(data), bits.number(hash.spread)), hash);
  const salted = bits.xor(mixed, bits.constant([2], salts));
  const folded = bits.hash(bits.add(bits.hash(bits.add(halves, salted), hash), others), hash);
  return bits.as(folded, onnxTypeCode.i32);
}

/** Arithmetic of integers of 32 bits without sign. */
class Unsigned {
  private readonly graph: Lowering;
  constructor(graph: Lowering) {
    this.graph = graph;
  }
  private binary(opType: string, a: string, b: string | number): string {
    return this.graph.node(opType, [a, typeof b === "number" ? this.graph.unsigned(b) : b]);
  }
  add = (a: string, b: string | number) => this.binary("Add", a, b);
  sub = (a: string, b: string) => this.binary("Sub", a, b);
  mul = (a: string, b: number) => this.binary("Mul", a, b);
  div = (a: string, b: number) => this.binary("Div", a, b);
  /** What a table has at these places. */
  lookUp = (table: string, places: string) =>
    this.graph.node("Gather", [table, this.graph.node("Cast", [places], { to: onnxTypeCode.i32 })], { axis: 0 });
  /** A constant; numbers from 2^31 on are written as those of i32 with the same bits. */
  constant = (shape: readonly number[], values: readonly number[]) =>
    this.graph.node(
      "Cast",
      [
        this.graph.constant(
          "i32",
          shape,
          values.map((value) => value | 0),
        ),
      ],
      { to: ONNX_UINT32 },
    );
}

/** Uniform numbers in [0, 1), multiples of 2^-24, by the hash of random.ts. key: i32[2] */
export function lowerUniformOnWebGpu(graph: Lowering, key: string, shape: Shape, hash: Hash): string {
  const { mix, spread } = hash;
  const [{ factor: f }, { factor: g }] = mix;
  const u = new Unsigned(graph);
  const halves = new Wide(graph).bitsOf(key);
  const total = sizeOf(shape);
  if (typeof total === "number" && total <= FEW) return drawFew(graph, halves, shape, hash);
  const xors = exclusiveOrs(graph);
  const counters = spreadCounters(graph, halves, shape, spread);
  const first = u.mul(xorShift(u, xors, u.mul(xorShift(u, xors, counters, 16), f), 15), g);
  // the shift by 16 that ends the first hash undoes the one that begins the second: of both only the key's is left
  const keyed = xorKeyTimes(graph, first, halves, f);
  const second = u.mul(xorShift(u, xors, keyed, 15), g);
  // the last shift by 16 changes bits of the lower half, of which the upper 8 are wanted
  const upper = u.div(second, HALF);
  const aboveByte = u.mul(upper, BYTE);
  const places = u.add(u.mul(u.sub(u.div(second, BYTE), aboveByte), SIDE), u.div(upper, BYTE));
  const top = graph.node("Cast", [u.add(aboveByte, u.lookUp(xors, places))], { to: onnxTypeCode.f32 });
  const numbers = graph.node("Mul", [top, graph.constant("f32", [], [2 ** -24])]);
  if (typeof total !== "number" || total % ROW === 0)
    return graph.node("Reshape", [numbers, graph.sizes(shape)], { allowzero: 1 });
  const flat = graph.node("Reshape", [numbers, i64Vector(graph, [-1])]);
  const cut = graph.node("Slice", [flat, i64Vector(graph, [0]), i64Vector(graph, [total])]);
  return graph.node("Reshape", [cut, graph.sizes(shape)], { allowzero: 1 });
}

/** The numbers of the hash as random.ts has it, on the CPU. */
function drawFew(graph: Lowering, halves: string, shape: Shape, hash: Hash): string {
  const bits = new Wide(graph);
  const number = (value: number) => graph.constant("i64", [], [value]);
  const half = (index: number) => bits.at(halves, number(index));
  const counters = bits.as(graph.node("Range", [number(0), number(Number(sizeOf(shape))), number(1)]), ONNX_UINT64);
  const spread = bits.mul(bits.add(counters, half(0)), bits.number(hash.spread));
  const drawn = bits.hash(bits.xor(bits.hash(spread, hash), half(1)), hash);
  const top = bits.as(bits.shift(drawn, bits.number(8)), onnxTypeCode.f32);
  const numbers = graph.node("Mul", [top, graph.constant("f32", [], [2 ** -24])]);
  return graph.node("Reshape", [numbers, graph.sizes(shape)], { allowzero: 1 });
}

/**
 * a ^ b at place a * 512 + b, without sign: ONNX Runtime computes it when the session is made, once for all that is
 * drawn there, from the exclusive ors of digits.
 */
function exclusiveOrs(graph: Lowering): string {
  const digits = Array.from({ length: DIGIT ** 2 }, (_, i) => Math.floor(i / DIGIT) ^ (i % DIGIT));
  const parts = [0, 1, 2].map((place) => {
    const shape = new Array<number>(6).fill(1);
    shape[place] = shape[3 + place] = DIGIT;
    const scale = DIGIT ** (2 - place);
    return graph.constant(
      "i32",
      shape,
      digits.map((digit) => digit * scale),
    );
  });
  const table = parts.reduce((a, b) => graph.node("Add", [a, b]));
  const flat = graph.node("Reshape", [table, i64Vector(graph, [-1])]);
  return graph.node("Cast", [flat], { to: ONNX_UINT32 });
}

/** (key's first half + 0, 1, 2, ...) times `spread`, as rows; of a known count nothing as long is stored. */
function spreadCounters(graph: Lowering, halves: string, shape: Shape, spread: number): string {
  const u = new Unsigned(graph);
  const bits = new Wide(graph);
  const first = bits.at(halves, graph.constant("i64", [], [0]));
  const start = bits.as(bits.mul(first, bits.number(spread)), ONNX_UINT32);
  const count = sizeOf(shape);
  if (typeof count !== "number" || !isStatic(shape)) {
    const end = graph.node("Squeeze", [graph.node("Cast", [graph.sizes([count])], { to: onnxTypeCode.i32 })]);
    const counters = graph.node("Range", [graph.constant("i32", [], [0]), end, graph.constant("i32", [], [1])]);
    return u.add(u.mul(graph.node("Cast", [counters], { to: ONNX_UINT32 }), spread), start);
  }
  const steps = (length: number, step: number) => Array.from({ length }, (_, i) => Math.imul(i * step, spread));
  const rows = Math.ceil(count / ROW);
  const firsts = u.add(u.constant([rows, 1], steps(rows, ROW)), start);
  return u.add(firsts, u.constant([1, ROW], steps(ROW, 1)));
}

/** x ^ (x >> shift), for a shift of 15 or 16: the bits that the shifted ones meet are looked up in two parts. */
function xorShift(u: Unsigned, xors: string, x: string, shift: 15 | 16): string {
  const shifted = u.div(x, 2 ** shift);
  const met = 2 ** (32 - shift);
  const above = u.mul(shift === 16 ? shifted : u.div(x, met), met);
  const low = u.sub(x, above);
  const upperPlaces = u.add(u.mul(u.div(low, BYTE), SIDE), u.div(shifted, BYTE));
  const lowerPlaces = u.sub(u.add(u.mul(low, SIDE), shifted), u.mul(upperPlaces, BYTE));
  const changed = u.add(u.mul(u.lookUp(xors, upperPlaces), BYTE), u.lookUp(xors, lowerPlaces));
  return u.add(above, changed);
}

/** ((x ^ k) ^ (k >> 16)) times `factor`, of the key's second half k: by a table for each half of x. */
function xorKeyTimes(graph: Lowering, x: string, halves: string, factor: number): string {
  const [u, bits] = [new Unsigned(graph), new Wide(graph)];
  const half = bits.at(halves, graph.constant("i64", [], [1]));
  const mixed = bits.xor(half, bits.shift(half, bits.number(16)));
  const bytes = Array.from({ length: BYTE }, (_, i) => i);
  /** For each half of x: what its lower or upper byte contributes. */
  const contributions = (places: number, shape: readonly number[]) => {
    const byte = bits.and(bits.shift(mixed, bits.constant([2, 1, 1], [places, 16 + places])), BYTE - 1);
    const scales = [places, 16 + places].map((place) => Math.imul(2 ** place, factor) >>> 0);
    const scaled = bits.mul(bits.xor(byte, bits.constant(shape, bytes)), bits.constant([2, 1, 1], scales));
    return bits.as(scaled, ONNX_UINT32);
  };
  const table = graph.node("Reshape", [
    u.add(contributions(8, [1, BYTE, 1]), contributions(0, [1, 1, BYTE])), // [2, 256, 256]
    i64Vector(graph, [-1]),
  ]);
  const upper = u.div(x, HALF);
  const lower = u.sub(x, u.mul(upper, HALF));
  return u.add(u.lookUp(table, lower), u.lookUp(table, u.add(upper, HALF)));
}
