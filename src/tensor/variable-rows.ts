import { type DType, GraphError, hostArrayFrom, nextTurn, RuntimeError } from "../base/index.ts";
import type { Device, DeviceBuffer } from "../runtime/index.ts";
import { defaultDevice, prepareLeaves } from "./execute.ts";
import { Leaf } from "./leaf.ts";
import { calls } from "./queue.ts";
import type { Tensor } from "./tensor.ts";
import { initializeVariables, Variable } from "./variable.ts";

/** Which rows a `VariableRows` can be. */
export interface VariableRowsOptions {
  /** For messages. @default "rows" */
  name?: string;
  /** Their number, or a name such as "R" where it differs: functions are compiled once for all then. */
  count: number | string;
  /** As those of the variable, for the axes after the first. */
  symbolicSizes: readonly (string | null)[];
}

/**
 * Some rows of another variable, in its memory: functions that are compiled once read and write now these rows, now
 * those. For devices that share memory (`Device.sharesMemory`).
 */
export class VariableRows<D extends DType> extends Variable<D> {
  override readonly keepsBuffer = true;
  private readonly of: Variable<D>;

  constructor(of: Variable<D>, { name = "rows", count, symbolicSizes }: VariableRowsOptions) {
    const [length, names] = typeof count === "string" ? [0, [count]] : [count, [null]];
    const shape = [length, ...of.shape.slice(1).map((size, i) => (symbolicSizes[i] ? 0 : size))];
    const zeros = new Array(shape.reduce((a, b) => a * b, 1)).fill(0); // what it is comes with `show`
    super(
      { name, dtype: of.dtype, shape, symbolicSizes: [...names, ...symbolicSizes] },
      hostArrayFrom(of.dtype, zeros),
    );
    this.of = of;
  }

  /** From now on it is these rows of the variable, which must be there. */
  show(start: number, count: number, device: Device = defaultDevice()): void {
    const point = () => void this.replaceBuffer(this.of.buffer.rows(start, count));
    const { of } = this;
    calls.add(() =>
      of.isInitialized ? point() : initializeVariables([of as unknown as Variable], device).then(point),
    );
  }

  /** Its memory is that of the other variable. */
  override dispose(): void {}
}

/** A box of numbers of a variable, or of a run's result, that another variable takes; of one dtype and as many axes. */
export interface CopiedBox {
  from: Variable | Tensor;
  to: Variable;
  /** Where the box begins in each, by axis. */
  fromStart: readonly number[];
  toStart: readonly number[];
  /** By axis. */
  size: readonly number[];
}

/** Copies parts of variables into others, on a device that shares memory. It has its turn among the calls. */
export async function copyBoxes(boxes: readonly CopiedBox[], device: Device = defaultDevice()): Promise<void> {
  if (boxes.length === 0) return;
  const leaves = [...new Set(boxes.flatMap(({ from, to }) => [leafOf(from), leafOf(to)]))];
  await calls.add(async () => {
    await prepareLeaves(leaves, device);
    for (const { to } of boxes) to.countChange();
    const sent: DeviceBuffer[] = []; // small results are on the host
    const bufferOf = (x: Variable | Tensor): DeviceBuffer => {
      const { buffer, host } = leafOf(x);
      if (buffer) return buffer;
      if (!host) throw disposed();
      sent.push(device.upload(x.dtype, x.shape as readonly number[], host as never));
      return sent[sent.length - 1];
    };
    device.copy(boxes.map(({ from, to, ...places }) => ({ ...places, from: bufferOf(from), to: to.buffer })));
    for (const buffer of sent) buffer.dispose();
  });
}

/** The leaf of a variable, or of the result of a run. @throws GraphError for what is still to be computed */
function leafOf(x: Variable | Tensor): Leaf {
  const { op } = x.ir.node;
  if (op instanceof Leaf) return op;
  throw new GraphError({
    where: "copyBoxes",
    expected: "variables, and results of compiled functions",
    received: "a tensor that is not computed yet",
    fix: "make it by a function passed to compile",
  });
}

const disposed = () =>
  new RuntimeError({
    where: "copyBoxes",
    expected: "results of runs that are there",
    received: "one that was disposed of",
    fix: "copy it before",
  });

/** What of variables stays when they get another shape. */
export interface ResizeOptions {
  /** Boxes of numbers, which are in both shapes. @default all that is in both */
  kept?: readonly { start: readonly number[]; size: readonly number[] }[];
  /** @default the shared one */
  device?: Device;
}

/**
 * Gives variables of one shape another one, of as many axes: what is kept stays where it is, and all else is 0. On a
 * device that shares memory, which takes none for what nothing is written to.
 * @throws RuntimeError when the memory is not there; nothing is changed then
 */
export async function resizeVariables(
  variables: readonly Variable[],
  shape: readonly number[],
  { kept, device = defaultDevice() }: ResizeOptions = {},
): Promise<void> {
  await calls.add(async () => {
    await initializeVariables(variables, device);
    const resized = await device.zeros(
      variables.map(({ stored }) => stored),
      shape,
    );
    const whole = {
      start: shape.map(() => 0),
      size: shape.map((length, axis) => Math.min(length, variables[0].shape[axis])),
    };
    for (const [i, variable] of variables.entries()) {
      const { buffer: from } = variable;
      const places = (kept ?? [whole]).map(({ start, size }) => ({ fromStart: start, toStart: start, size }));
      device.copy(places.map((place) => ({ from, to: resized[i], ...place })));
      variable.replaceBuffer(resized[i])?.dispose();
      await nextTurn(); // what else the program has to do
    }
  });
}
