import type { HostArray } from "../../base/index.ts";
import type { OrtType } from "../protocol.ts";
import type { OrtLibrary, Pointer } from "./library.ts";

/** How the elements of each type are held in memory, 16-bit floats as their bits, and ONNX's number of the type. */
const elements: Readonly<
  Record<OrtType, { array: new (buffer: ArrayBuffer) => HostArray; bytes: number; code: number }>
> = {
  float32: { array: Float32Array, bytes: 4, code: 1 },
  uint8: { array: Uint8Array, bytes: 1, code: 2 },
  int8: { array: Int8Array, bytes: 1, code: 3 },
  int32: { array: Int32Array, bytes: 4, code: 6 },
  int64: { array: BigInt64Array, bytes: 8, code: 7 },
  bool: { array: Uint8Array, bytes: 1, code: 9 },
  float16: { array: Uint16Array, bytes: 2, code: 10 },
  bfloat16: { array: Uint16Array, bytes: 2, code: 16 },
};
const typeOfCode = new Map(Object.entries(elements).map(([type, { code }]) => [code, type as OrtType]));

/** A tensor of ONNX Runtime (OrtValue), with its memory. */
export class NativeValue {
  readonly type: OrtType;
  readonly shape: readonly number[];
  readonly byteLength: number;
  readonly pointer: Pointer;
  private readonly ort: OrtLibrary;
  /** The array in whose memory the tensor is; kept so that it is not collected. */
  private readonly array?: HostArray;
  private isDisposed = false;

  private constructor(ort: OrtLibrary, type: OrtType, shape: readonly number[], pointer: Pointer, array?: HostArray) {
    this.ort = ort;
    this.type = type;
    this.shape = shape;
    this.pointer = pointer;
    this.array = array;
    this.byteLength = countOf(shape) * elements[type].bytes;
  }

  /** New memory with unknown contents, freed by `dispose`. */
  static allocate(ort: OrtLibrary, type: OrtType, shape: readonly number[]): NativeValue {
    const sizes = BigInt64Array.from(shape, BigInt);
    return new NativeValue(
      ort,
      type,
      shape,
      ort.make("CreateTensorAsOrtValue", ort.allocator, sizes, shape.length, elements[type].code),
    );
  }

  /** A tensor in the memory of an array: neither is a copy of the other. */
  static over(ort: OrtLibrary, type: OrtType, shape: readonly number[], array: HostArray): NativeValue {
    const sizes = BigInt64Array.from(shape, BigInt);
    const pointer = ort.make(
      "CreateTensorWithDataAsOrtValue",
      ort.cpuMemory,
      array,
      array.byteLength,
      sizes,
      shape.length,
      elements[type].code,
    );
    return new NativeValue(ort, type, shape, pointer, array);
  }

  /** Rows of the first axis, in this tensor's memory: it must outlive them. */
  rows(start: number, shape: readonly number[]): NativeValue {
    const width = countOf(shape.slice(1));
    return NativeValue.over(
      this.ort,
      this.type,
      shape,
      this.data.subarray(start * width, start * width + countOf(shape)),
    );
  }

  /** A tensor that a run has made. */
  static adopt(ort: OrtLibrary, pointer: Pointer): NativeValue {
    const info = ort.make("GetTensorTypeAndShape", pointer);
    const code = new Int32Array(1);
    ort.call("GetTensorElementType", info, code);
    const sizes = new BigInt64Array(Number(ort.make("GetDimensionsCount", info)));
    ort.call("GetDimensions", info, sizes, sizes.length);
    ort.call("ReleaseTensorTypeAndShapeInfo", info);
    const type = typeOfCode.get(code[0]);
    if (type === undefined) throw new Error(`a result of ONNX's element type ${code[0]}, which Kindling does not have`);
    return new NativeValue(ort, type, Array.from(sizes, Number), pointer);
  }

  /** The numbers where they are: not to be kept, as `dispose` frees them. */
  get data(): HostArray {
    if (this.array) return this.array;
    const { array } = elements[this.type];
    if (this.byteLength === 0) return new array(new ArrayBuffer(0));
    return new array(this.ort.view(this.ort.make("GetTensorMutableData", this.pointer), this.byteLength));
  }

  /** A copy of the numbers. */
  read(): HostArray {
    return this.data.slice();
  }

  dispose(): void {
    if (this.isDisposed) return;
    this.isDisposed = true;
    this.ort.call("ReleaseValue", this.pointer);
  }
}

/** An array of zeros for the elements of a type. */
export function arrayFor(type: OrtType, shape: readonly number[]): HostArray {
  return new elements[type].array(new ArrayBuffer(countOf(shape) * elements[type].bytes));
}

/** ONNX's number of an element type. */
export const codeOf = (type: OrtType): number => elements[type].code;

const countOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
