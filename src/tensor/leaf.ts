import { type DType, GraphError, type HalfArray, type HostArray } from "../base/index.ts";
import { Node, PlaceholderOp, type Shape, type TensorType, type Value } from "../ir/index.ts";
import type { Argument, DeviceBuffer } from "../runtime/index.ts";
import { calls } from "./queue.ts";

/** Numbers on the host that are to be copied to a device. */
export interface HostData {
  dtype: DType;
  shape: readonly number[];
  data: HostArray | HalfArray;
}

/** A run that makes numbers of leaves. */
export interface Source {
  /** Settles when it has ended. */
  readonly end: Promise<void>;
  /** Its place among all runs in the order in which they began. */
  readonly place: number;
  /** Whether it has ended, and nobody needs to be told how. */
  readonly isOver: boolean;
  /** Whether it failed, and nobody was told. */
  readonly hasUntoldFailure: boolean;
  /** The error that it failed with, which counts as told from now on. */
  takeFailure(): Error | undefined;
}

/**
 * An end of a graph that holds numbers: data of the user, the state of a variable, the result of a run. This is all
 * that running a graph knows of them.
 */
export abstract class Leaf extends PlaceholderOp {
  /** What it is in graphs. */
  readonly value: Value;
  /** Whether runs change it, so that reading it has its turn among them. */
  abstract readonly isState: boolean;
  /** Whether its numbers are on the host. */
  abstract get isOnHost(): boolean;
  /** Its numbers on the host, where they are there; not a copy, but of 16 bits a wide one. */
  abstract get host(): HostArray | undefined;
  /** Its numbers on a device, where they are there. */
  abstract get buffer(): DeviceBuffer | undefined;
  /**
   * What it lacks until a run can take it: a value to be computed, numbers to be copied to the device, or the end of
   * another run.
   */
  abstract get lack(): Value | HostData | Promise<void> | undefined;
  /** Takes the numbers that it lacked; `lack` is what they were made of. */
  abstract place(lack: Value | HostData, buffer: DeviceBuffer): void;
  /** Runs that its numbers come from and that may have failed. */
  abstract get sources(): readonly Source[];
  /** Those who will read it and have not begun. */
  private readonly readings = new Set<Promise<unknown>>();
  /** Whether `dispose` was called: who reads it then is behind that, as for state. */
  isDisposed = false;

  constructor(label: string, type: TensorType) {
    super(label, type);
    this.value = new Node(this, [], {}, [type]).outputs[0];
  }

  /** Frees what a tensor of this leaf holds, behind the calls and readings made so far, which may use it. */
  dispose(): void {
    this.isDisposed = true;
    const before = [...this.readings];
    calls.add(() => {
      if (before.length === 0) this.free();
      else void Promise.allSettled(before).then(() => this.free());
    });
  }

  protected abstract free(): void;

  /** Notes who will read it: settles when that has begun. */
  awaitReading(begun: Promise<unknown>): void {
    this.readings.add(begun);
    const remove = () => this.readings.delete(begun);
    begun.then(remove, remove);
  }

  /** What a run is given for it, when it lacks nothing. */
  argument(): Argument {
    const { buffer, host } = this;
    if (buffer) return buffer;
    if (host) return { data: host, shape: this.type.shape as readonly number[] };
    throw foreignLeafError(this.label);
  }
}

export function foreignLeafError(label: string): GraphError {
  return new GraphError({
    where: "run",
    expected: "a leaf that holds data",
    received: label,
    fix: "do not read a tensor inside the function that is being traced",
  });
}

/** Data that is handed to the graph as an input when it runs: on the host or on a device. */
export class DataLeaf extends Leaf {
  readonly isState = false;
  readonly lack = undefined;
  readonly sources = [];
  readonly host: HostArray | undefined;
  readonly buffer: DeviceBuffer | undefined;

  constructor(dtype: DType, shape: Shape, { host, buffer }: { host?: HostArray; buffer?: DeviceBuffer }) {
    super("data", { dtype, shape });
    this.host = host;
    this.buffer = buffer;
  }

  get isOnHost(): boolean {
    return this.host !== undefined;
  }

  place(): void {}

  protected free(): void {
    this.buffer?.dispose();
  }
}
