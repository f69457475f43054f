import { type DType, handOver } from "../base/index.ts";
import {
  abs,
  cast,
  constant,
  div,
  greater,
  max,
  mul,
  pad,
  reshape,
  slice,
  type Tensor,
  takeAlong,
  Variable,
  where,
} from "../tensor/index.ts";
import { dynamicMap, nearestCodes } from "./dynamic-map.ts";

/** A number that an optimizer keeps for each element of a parameter, or for a part of it. */
export interface StateSpec {
  shape: readonly number[];
  /** Whether it is never below 0: 8 bits then need no sign. */
  isUnsigned: boolean;
  /** What it is before the first step; not below 0. */
  initial: number;
}

/** Such a state as variables, and as the f32 tensor that formulas see. */
export interface StateStore {
  /** By what is appended to the state's name. */
  readonly variables: ReadonlyMap<string, Variable>;
  read(): Tensor<"f32">;
  write(next: Tensor<"f32">): void;
}

const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

function filled<D extends DType>(name: string, dtype: D, shape: readonly number[], value: number): Variable<D> {
  const numbers = dtype === "u8" ? new Uint8Array(sizeOf(shape)) : new Float32Array(sizeOf(shape));
  if (value !== 0) numbers.fill(value); // zeros take no memory until they are written
  handOver(numbers);
  return new Variable({ name, dtype, shape }, numbers as never);
}

/** Numbers of a block, which share a scale: the block size of the published code since 2023; 2048 in the paper. */
const BLOCK = 256;
/** What is smaller is kept in f32, as in the published code: it is most sensitive and saves nothing. */
const LEAST_8BIT_SIZE = 4096;

/** The store of a state: in f32, or in 8 bits where it is large. */
export function createStore(name: string, spec: StateSpec, bits: 8 | 32): StateStore {
  return bits === 8 && sizeOf(spec.shape) >= LEAST_8BIT_SIZE ? new BlockStore(name, spec) : plainStore(name, spec);
}

function plainStore(name: string, { shape, initial }: StateSpec): StateStore {
  const variable = filled(name, "f32", shape, initial);
  return {
    variables: new Map<string, Variable>([["", variable]]),
    read: () => variable.value,
    write: (next) => variable.assign(next),
  };
}

/**
 * State in 8 bits a number: each block of 256 is divided by its largest size, and what is left becomes the nearest
 * number of a `dynamicMap`. Formulas see f32; only what is kept between steps is rounded.
 */
class BlockStore implements StateStore {
  readonly variables: ReadonlyMap<string, Variable>;
  private readonly shape: readonly number[];
  private readonly codes: Variable<"u8">; //   [blocks, 256]
  private readonly scales: Variable<"f32">; // [blocks, 1]
  private readonly map: Tensor<"f32">; //     [256]
  private readonly isUnsigned: boolean;

  constructor(name: string, { shape, isUnsigned, initial }: StateSpec) {
    const blocks = Math.ceil(sizeOf(shape) / BLOCK);
    const map = dynamicMap(isUnsigned);
    this.shape = shape;
    this.isUnsigned = isUnsigned;
    this.codes = filled(`${name}.codes`, "u8", [blocks, BLOCK], map.length - 1); // 1, times the scale
    this.scales = filled(`${name}.scales`, "f32", [blocks, 1], initial);
    this.map = constant("f32", [map.length], map);
    this.variables = new Map<string, Variable>([
      [".codes", this.codes],
      [".scales", this.scales],
    ]);
  }

  read(): Tensor<"f32"> {
    const codes = reshape(cast(this.codes.value, "i32"), [-1]);
    const shares = reshape(takeAlong(this.map, codes), this.codes.shape); // faster than gather for single numbers
    return reshape(slice(reshape(mul(shares, this.scales.value), [-1]), { end: sizeOf(this.shape) }), this.shape);
  }

  write(next: Tensor<"f32">): void {
    const [blocks] = this.scales.shape;
    const missing = blocks * BLOCK - sizeOf(this.shape);
    const rows = reshape(pad(reshape(next, [-1]), [[0, missing]]), [blocks, BLOCK]);
    const scales = max(abs(rows), { axes: [1], keepDims: true }); // [blocks, 1]
    const shares = div(rows, where(greater(scales, 0), scales, 1));
    this.codes.assign(nearestCodes(shares, this.isUnsigned));
    this.scales.assign(scales);
  }
}
