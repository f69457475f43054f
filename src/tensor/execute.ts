import { type DType, GraphError, type HalfArray, type HostArray } from "../base/index.ts";
import { ConstantOp, Graph, type Node, PlaceholderOp, topologicalOrder, type Value } from "../ir/index.ts";
import { type Argument, Device, type DeviceBuffer, type Executable } from "../runtime/index.ts";
import { DataOp } from "./tensor.ts";
import { initializeVariables, type Variable, VariableOp } from "./variable.ts";

/** The device that computes unless another is named; started at the first use. */
let shared: Device | undefined;

export function defaultDevice(): Device {
  shared ??= new Device();
  return shared;
}

/** Makes `device` the one that computes from now on. */
export function setDefaultDevice(device: Device | undefined): void {
  shared = device;
}

/** The leaves of a graph that hold data of their own, in the order they are met. */
export function capturedLeaves(outputs: readonly Value[]): Node[] {
  return topologicalOrder(outputs).filter(({ op }) => op instanceof VariableOp || op instanceof DataOp);
}

/** The variables among leaves. */
export function variablesOf(leaves: readonly Node[]): Variable[] {
  return leaves.flatMap(({ op }) => (op instanceof VariableOp ? [op.variable] : []));
}

/** What a run passes for a captured leaf. */
export function argumentOf({ op }: Node): Argument {
  if (op instanceof VariableOp) return op.variable.buffer;
  if (op instanceof DataOp)
    return op.buffer ?? { data: op.host as HostArray, shape: op.type.shape as readonly number[] };
  throw new GraphError({
    where: "run",
    expected: "a leaf that holds data",
    received: op.name,
    fix: "do not read a tensor inside the function that is being traced",
  });
}

interface HostData {
  dtype: DType;
  shape: readonly number[];
  data: HostArray | HalfArray;
}

/**
 * Computes values and leaves the results on the device; host data is uploaded. Values run one after another, so that
 * the intermediate results of only one are in memory; equal graphs are compiled once.
 */
export async function materialize(items: readonly (Value | HostData)[], device?: Device): Promise<DeviceBuffer[]> {
  const kept: Executable[] = [];
  try {
    const buffers: DeviceBuffer[] = [];
    for (const item of items) {
      if ("data" in item) {
        const to = device ?? defaultDevice();
        await to.picked; // until then it would keep a copy of what it is given
        buffers.push(to.upload(item.dtype, item.shape, item.data as never));
      } else buffers.push((await runOnce([item], device, false, kept))[0] as DeviceBuffer);
    }
    return buffers;
  } finally {
    for (const executable of kept) Device.of(executable).release(executable);
  }
}

/**
 * Computes values in one run and leaves the results on the device. @throws RuntimeError when they will not fit into
 * memory together
 */
export async function computeTogether(
  values: readonly Value[],
  device: Device = defaultDevice(),
): Promise<DeviceBuffer[]> {
  return (await runOnce(values, device, false)) as DeviceBuffer[];
}

/** Computes values in one run and reads the numbers. */
export async function readValues(values: readonly Value[], device?: Device): Promise<HostArray[]> {
  const waiting = values.filter((value) => hostDataOf(value) === undefined && bufferOf(value.node) === undefined);
  const computed = waiting.length > 0 ? await runOnce(waiting, device, true) : [];
  let next = 0;
  return Promise.all(
    values.map(async (value) => {
      return hostDataOf(value) ?? bufferOf(value.node)?.read() ?? (computed[next++] as HostArray);
    }),
  );
}

/** Where the numbers of a leaf are on a device. */
function bufferOf({ op }: Node): DeviceBuffer | undefined {
  if (op instanceof VariableOp) return op.variable.isInitialized ? op.variable.buffer : undefined;
  return op instanceof DataOp ? op.buffer : undefined;
}

/** Numbers of leaves that need no run. */
function hostDataOf(value: Value): HostArray | undefined {
  const { op } = value.node;
  if (op instanceof ConstantOp) return op.data.slice();
  return op instanceof DataOp ? op.host?.slice() : undefined;
}

/**
 * Runs the graph of some values, on a device or where their numbers are. The executable is released at once, or added
 * to `kept` for the caller to release.
 */
async function runOnce(
  values: readonly Value[],
  on: Device | undefined,
  toHost: boolean,
  kept?: Executable[],
): Promise<(HostArray | DeviceBuffer)[]> {
  const leaves = capturedLeaves(values);
  // without a device named, where the numbers are
  const stored = leaves.map(bufferOf).find((buffer) => buffer !== undefined);
  const device = on ?? (stored ? Device.of(stored) : defaultDevice());
  await initializeVariables(variablesOf(leaves), device);
  const foreign = topologicalOrder(values).find(
    ({ op }) => op instanceof PlaceholderOp && !leaves.some((leaf) => leaf.op === op),
  );
  if (foreign) argumentOf(foreign);
  const executable = device.compile(
    new Graph(
      leaves.map((leaf) => leaf.outputs[0]),
      values,
    ),
    { hostOutputs: toHost ? values.map((_, i) => i) : [] },
  );
  try {
    const into = new Map(toHost ? values.map((_, i) => [i, "host"] as const) : []);
    const { outputs, done } = executable.run(leaves.map(argumentOf), into);
    await executable.ready;
    const { data } = await done;
    return outputs.map((buffer, i) => buffer ?? (data[i] as HostArray));
  } finally {
    if (kept) kept.push(executable);
    else device.release(executable);
  }
}
