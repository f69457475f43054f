import type { Move, RunRequest } from "../protocol.ts";
import { OrtError } from "./library.ts";
import type { NativeValue } from "./value.ts";

/** How far a run has come. */
export interface Progress {
  /** Its inputs are there. */
  isReady: boolean;
  /** It may have written over its inputs. */
  hasStarted: boolean;
}

/** Status of a run whose inputs a kernel refused, such as an index out of range. */
const INVALID_ARGUMENT = 2;

/** The tensors that outlive runs, by the sender's numbers, and which of them a failed run has left undefined. */
export class Buffers {
  private readonly values = new Map<number, NativeValue>();
  /** Buffers whose contents a failed run has left undefined, and why. */
  private readonly torn = new Map<number, string>();

  /** A tensor to read. @throws Error for one that was disposed, or that a failed run was to write */
  valueOf(id: number): NativeValue {
    const failure = this.torn.get(id);
    if (failure !== undefined) throw new Error(`the run that was to write this tensor failed: ${failure}`);
    return this.target(id);
  }

  /** A tensor to write over. @throws Error for one that was disposed */
  target(id: number): NativeValue {
    const value = this.values.get(id);
    if (!value) throw new Error(`buffer ${id} was disposed`);
    return value;
  }

  keep(id: number, value: NativeValue): void {
    this.values.get(id)?.dispose();
    this.values.set(id, value);
  }

  /** See Move. */
  copy(moves: readonly Move[]): void {
    for (const move of moves) copyBox(this.valueOf(move.from), this.target(move.to), move);
  }

  free(ids: Iterable<number>): void {
    for (const id of ids) {
      this.values.get(id)?.dispose();
      this.values.delete(id);
      this.torn.delete(id);
    }
  }

  freeAll(): void {
    this.free([...this.values.keys()]);
  }

  /** A run has written these. */
  markWhole(ids: Iterable<number>): void {
    for (const id of ids) this.torn.delete(id);
  }

  /**
   * After a failure, outputs with memory of their own do not have the contents that they should. State that is written
   * in place is whole when nothing ran, and when a kernel refused its inputs: all that may do so come before the first
   * that writes (lower/aliasing.ts). Where an input is torn, an output may be the state from before the run that tore
   * it, to which the sender goes back.
   */
  markTorn(request: RunRequest, cause: Error, { isReady, hasStarted }: Progress): void {
    const { inputs, outputs, newOutputs, keepsPartialState = false } = request;
    const isRefused = cause instanceof OrtError && cause.code === INVALID_ARGUMENT;
    const read = new Set(inputs);
    outputs.forEach((id, i) => {
      const isWhole = isReady ? read.has(id) && (!hasStarted || isRefused || keepsPartialState) : !newOutputs.has(i);
      if (id !== 0 && !isWhole) this.torn.set(id, cause.message);
    });
  }
}

/** Copies a box of numbers in stretches of memory, which are longer where its last axes are whole in both tensors. */
function copyBox(from: NativeValue, to: NativeValue, { fromStart, toStart, size }: Move): void {
  let axis = size.length - 1;
  let length = size[axis]; // of a stretch, from this axis on
  while (axis > 0 && size[axis] === from.shape[axis] && size[axis] === to.shape[axis]) length *= size[--axis];
  const [source, target] = [from.data, to.data];
  const stridesOf = ({ shape }: NativeValue) => shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));
  const [sourceStrides, targetStrides] = [stridesOf(from), stridesOf(to)];
  const offset = (starts: readonly number[], strides: readonly number[]) =>
    starts.reduce((sum, start, i) => sum + start * strides[i], 0);
  const visit = (depth: number, sourceAt: number, targetAt: number): void => {
    if (depth === axis) return void target.set(source.subarray(sourceAt, sourceAt + length) as never, targetAt);
    for (let i = 0; i < size[depth]; i++)
      visit(depth + 1, sourceAt + i * sourceStrides[depth], targetAt + i * targetStrides[depth]);
  };
  visit(0, offset(fromStart, sourceStrides), offset(toStart, targetStrides));
}
