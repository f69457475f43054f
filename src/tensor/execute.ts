import type { HostArray } from "../base/index.ts";
import { ConstantOp, Graph, PlaceholderOp, topologicalOrder, type Value } from "../ir/index.ts";
import { Device, DeviceBuffer, type Executable } from "../runtime/index.ts";
import { foreignLeafError, type HostData, Leaf, type Source } from "./leaf.ts";
import { calls } from "./queue.ts";

/** The device that computes unless another is named; started at the first use. */
let shared: Device | undefined;

/** The device that computes unless another is named: a `Device` with its defaults, started at the first use. */
export function defaultDevice(): Device {
  shared ??= new Device();
  return shared;
}

/** Makes `device` the one that computes from now on. */
export function setDefaultDevice(device: Device | undefined): void {
  shared = device;
}

/** The leaves of a graph that hold data of their own, in the order they are met. */
export function capturedLeaves(outputs: readonly Value[]): Leaf[] {
  return topologicalOrder(outputs).flatMap(({ op }) => (op instanceof Leaf ? [op] : []));
}

/**
 * Gives leaves what they lack for a run; undefined when they lack nothing. What is to be computed for several leaves is
 * computed with one wait, and by calls that begin together once.
 */
export function prepareLeaves(leaves: readonly Leaf[], on?: Device): Promise<void> | undefined {
  return leaves.some(({ lack }) => lack !== undefined) ? prepare(leaves, on) : undefined;
}

async function prepare(leaves: readonly Leaf[], on?: Device): Promise<void> {
  for (;;) {
    const lacking = leaves.filter((leaf) => leaf.lack !== undefined); // one may have been set anew meanwhile
    if (lacking.length === 0) return;
    const unseen = lacking.filter((leaf) => !(leaf.lack instanceof Promise) && !underWay.has(leaf));
    if (unseen.length > 0) {
      const placed = placeAll(unseen, on).finally(() => {
        for (const leaf of unseen) underWay.delete(leaf);
      });
      for (const leaf of unseen) underWay.set(leaf, placed);
    }
    await Promise.all(lacking.map((leaf) => underWay.get(leaf) ?? leaf.lack));
  }
}

/** Leaves whose first numbers are being put on a device. */
const underWay = new WeakMap<Leaf, Promise<void>>();

async function placeAll(leaves: readonly Leaf[], on?: Device): Promise<void> {
  const lacks = leaves.map(({ lack }) => lack as Value | HostData);
  await materialize(lacks, on, (buffer, i) => leaves[i].place(lacks[i], buffer));
}

/**
 * Computes values and leaves the results on the device; host data is uploaded. Values run one after another, so that
 * the intermediate results of only one are in memory; equal graphs are compiled once.
 * @param onBuffer is told of each, so that what it was made of can go before the next is made
 */
export async function materialize(
  items: readonly (Value | HostData)[],
  device?: Device,
  onBuffer: (buffer: DeviceBuffer, index: number) => void = () => {},
): Promise<DeviceBuffer[]> {
  const kept: Executable[] = [];
  try {
    const buffers: DeviceBuffer[] = [];
    for (const [i, item] of items.entries()) {
      if ("data" in item) {
        const to = device ?? defaultDevice();
        await to.picked; // until then it would keep a copy of what it is given
        buffers.push(to.upload(item.dtype, item.shape, item.data as never));
      } else buffers.push((await runOnce([item], device, kept))[0]);
      onBuffer(buffers[i], i);
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
  return runOnce(values, device);
}

/** How numbers are read. */
export interface ReadOptions {
  /** The device that computes what is not computed yet. @default where the numbers are that it is computed from */
  on?: Device;
  /** Nobody reads them after this: numbers of results are not copied. @default false */
  isTaken?: boolean;
}

/**
 * Computes values in one run and reads the numbers. What depends on state has its turn among the calls that change it.
 * @throws the error of a run that should have made the numbers, or state that they depend on
 */
export async function readValues(
  values: readonly Value[],
  { on, isTaken = false }: ReadOptions = {},
): Promise<HostArray[]> {
  const leaves = capturedLeaves(values);
  const hasTurn = leaves.some(({ isState, isDisposed }) => isState || isDisposed);
  let begunCount = Number.POSITIVE_INFINITY;
  let sources: readonly Source[] = [];
  const begin = () => {
    if (hasTurn) begunCount = calls.begunCount;
    sources = leaves.flatMap((leaf) => leaf.sources);
    return startReading(values, on, isTaken);
  };
  /** Those who failed to make these numbers: what began later does not matter to who reads them. */
  const failures = async () => {
    await Promise.allSettled(sources.map(({ end }) => end));
    return leaves.flatMap((leaf) => leaf.sources).filter(({ place }) => place <= begunCount);
  };
  let read: HostArray[];
  try {
    const begun = hasTurn ? calls.add(begin) : begin();
    if (begun instanceof Promise) for (const leaf of leaves) leaf.awaitReading(begun);
    const { numbers } = await begun;
    read = await numbers;
  } catch (cause) {
    throw firstFailure(await failures()) ?? cause;
  }
  const failure = firstFailure((await failures()).filter((run) => run.hasUntoldFailure));
  if (failure) throw failure;
  return read;
}

function firstFailure(runs: readonly Source[]): Error | undefined {
  for (const run of runs) {
    const failure = run.takeFailure();
    if (failure) return failure;
  }
}

/** Numbers that are on their way, as an object: who waits for the start does not wait for them. */
interface Reading {
  numbers: Promise<HostArray[]>;
}

function startReading(values: readonly Value[], on: Device | undefined, isTaken: boolean): Reading | Promise<Reading> {
  const computed = values.filter(({ node: { op } }) => !(op instanceof ConstantOp || op instanceof Leaf));
  const inputs = computed.length > 0 ? capturedLeaves(computed) : [];
  const device = () => on ?? deviceOf([...inputs, ...needed]); // numbers on the host need none
  const needed = values.flatMap(({ node: { op } }) => (op instanceof Leaf && !op.isOnHost ? [op] : []));
  const start = (): Reading => {
    const run = computed.length > 0 ? startRun(computed, inputs, device(), true) : undefined;
    const direct = values.map((value) => readLeaf(value, isTaken));
    const numbers = Promise.all([run?.finished, ...direct]).then(([results = [], ...read]) => {
      let next = 0;
      return read.map((data) => (data ?? results[next++]) as HostArray);
    });
    numbers.catch(() => {}); // thrown to whoever awaits it
    return { numbers };
  };
  const leaves = [...inputs, ...needed];
  const prepared = leaves.length > 0 ? prepareLeaves(leaves, device()) : undefined;
  return prepared ? prepared.then(start) : start();
}

/** A copy of the numbers of a leaf; of a result on the host that is `isTaken`, its numbers as they are. */
function readLeaf({ node: { op } }: Value, isTaken: boolean): HostArray | Promise<HostArray> | undefined {
  if (op instanceof ConstantOp) return op.data.slice();
  if (!(op instanceof Leaf)) return undefined;
  if (op.isOnHost) return isTaken && !op.isState ? op.host : op.host?.slice();
  const input = op.argument();
  return input instanceof DeviceBuffer ? input.read() : input.data.slice();
}

/** Where the numbers of leaves are, or else the device that computes. */
function deviceOf(leaves: readonly Leaf[]): Device {
  for (const { buffer } of leaves) if (buffer) return Device.of(buffer);
  return defaultDevice();
}

/**
 * Runs the graph of some values, on a device or where their numbers are. The executable is released at once, or added
 * to `kept` for the caller to release.
 */
async function runOnce(values: readonly Value[], on: Device | undefined, kept?: Executable[]): Promise<DeviceBuffer[]> {
  const leaves = capturedLeaves(values);
  const device = on ?? deviceOf(leaves);
  await prepareLeaves(leaves, device);
  return (await startRun(values, leaves, device, false, kept).finished) as DeviceBuffer[];
}

/** Starts a run of a graph whose leaves lack nothing. */
function startRun(
  values: readonly Value[],
  leaves: readonly Leaf[],
  device: Device,
  toHost: boolean,
  kept?: Executable[],
): { finished: Promise<(HostArray | DeviceBuffer)[]> } {
  const foreign = topologicalOrder(values).find(({ op }) => op instanceof PlaceholderOp && !(op instanceof Leaf));
  if (foreign) throw foreignLeafError((foreign.op as PlaceholderOp).label);
  const inputs = leaves.map(({ value }) => value);
  const executable = device.compile(new Graph(inputs, values), {
    hostOutputs: toHost ? values.map((_, i) => i) : [],
  });
  const release = () => {
    if (kept) kept.push(executable);
    else device.release(executable);
  };
  try {
    const into = new Map(toHost ? values.map((_, i) => [i, "host"] as const) : []);
    const run = executable.run(
      leaves.map((leaf) => leaf.argument()),
      into,
    );
    const finished = executable.ready
      .then(() => run.done)
      .then(({ data }) => run.outputs.map((buffer, i) => buffer ?? (data[i] as HostArray)))
      .finally(release);
    return { finished };
  } catch (cause) {
    release();
    throw cause;
  }
}
