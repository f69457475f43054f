import {
  type DType,
  type HostArray,
  hostArrayFrom,
  narrow,
  OptionError,
  RuntimeError,
  ShapeError,
  toNumbers,
  widenToF32,
} from "../base/index.ts";
import { evaluateSize, type Graph, isStatic, type Node, type Size, type TensorType } from "../ir/index.ts";
import { referenceOf } from "../lower/index.ts";
import type { Device } from "./device.ts";
import { Profile } from "./profile.ts";
import { type HostData, ortTypes, type ProfileFile, type RunRequest, type RunResult } from "./protocol.ts";

/**
 * Tensor data that lives on a device. Free it with `dispose`; forgotten ones are freed when they are garbage collected.
 */
export class DeviceBuffer {
  readonly device: Device;
  readonly id: number;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Whether the worker has it: a request that makes it was sent. @internal */
  isFilled = false;
  private isDisposed = false;

  constructor(device: Device, id: number, dtype: DType, shape: readonly number[]) {
    this.device = device;
    this.id = id;
    this.dtype = dtype;
    this.shape = shape;
    device.watch(this);
  }

  /** A copy of the numbers, row-major. */
  async read(): Promise<HostArray> {
    const data = await this.device.request<HostArray>({ kind: "read", buffer: this.id });
    return fromBoundary(this.dtype, data);
  }

  dispose(): void {
    if (this.isDisposed) return;
    this.isDisposed = true;
    this.device.free(this);
  }
}

/** Numbers as they cross into the worker: bf16 widened to f32. */
export function toBoundary(dtype: DType, data: HostArray): HostArray {
  return dtype === "bf16" ? widenToF32(dtype, data) : data;
}

function fromBoundary(dtype: DType, data: HostArray): HostArray {
  return dtype === "bf16" ? narrow(dtype, data as Float32Array) : data;
}

/** What a run is given for each input of the graph. */
export type Argument = DeviceBuffer | { data: HostArray; shape: readonly number[] };

export interface RunSettings {
  /** Ends the run, where the backend can: it fails with the signal's reason then. */
  signal?: AbortSignal;
  /** See RunRequest. @default false */
  keepsPartialState?: boolean;
}

/** A graph that was compiled for a device. */
export class Executable {
  readonly device: Device;
  readonly graph: Graph;
  readonly id: number;
  /** For each output that replaces state: whether it is written over the input's memory. */
  readonly inPlace: ReadonlyMap<number, number>;
  readonly ready: Promise<unknown>;
  /** Shapes of the outputs that have no symbolic size. */
  private readonly outputShapes: readonly (readonly number[] | undefined)[];

  /** Nodes that are computed here and not on the device, by the number of their stage. */
  private readonly hostNodes: ReadonlyMap<number, Node>;
  private readonly profileFile?: ProfileFile;

  constructor(
    device: Device,
    {
      graph,
      hostNodes,
      profileFile,
    }: { graph: Graph; hostNodes: ReadonlyMap<number, Node>; profileFile?: ProfileFile },
    id: number,
    inPlace: ReadonlyMap<number, number>,
    ready: Promise<unknown>,
  ) {
    this.device = device;
    this.graph = graph;
    this.hostNodes = hostNodes;
    this.profileFile = profileFile;
    this.id = id;
    this.inPlace = inPlace;
    this.ready = ready;
    this.outputShapes = graph.outputs.map(({ shape }) => (isStatic(shape) ? shape : undefined));
  }

  /**
   * Starts a run. Outputs go into the buffers given in `into`, by output index; "host" brings the numbers back with the
   * answer; the others go into new buffers. Returns the buffers at once: the device works in order.
   */
  run(
    inputs: readonly Argument[],
    into: ReadonlyMap<number, DeviceBuffer | "host"> = new Map(),
    { signal, keepsPartialState }: RunSettings = {},
  ): { outputs: (DeviceBuffer | undefined)[]; done: Promise<RunResult> } {
    const symbols = bindSymbols(this.graph.inputs, inputs);
    const { outputShapes } = this;
    const hostInputs: HostData[] = [];
    const inputIds = Int32Array.from(inputs, (input, i) => {
      if (input instanceof DeviceBuffer) return this.checkedId(input);
      const { dtype } = this.graph.inputs[i];
      hostInputs.push({ type: ortTypes[dtype], shape: input.shape, data: toBoundary(dtype, input.data) });
      return 0;
    });
    const newOutputs: RunRequest["newOutputs"] = new Map();
    const outputs = this.graph.outputs.map(({ dtype, shape }, i) => {
      const target = into.get(i);
      if (target instanceof DeviceBuffer) this.checkedId(target);
      const isNew = !(target instanceof DeviceBuffer) || !target.isFilled;
      if (!isNew) return target;
      const sizes =
        target instanceof DeviceBuffer
          ? target.shape
          : (outputShapes[i] ?? shape.map((size) => evaluateSize(size, symbols)));
      newOutputs.set(i, { type: ortTypes[dtype], shape: sizes });
      if (target === "host") return undefined;
      const buffer = target ?? this.device.allocate(dtype, sizes);
      buffer.isFilled = true;
      return buffer;
    });
    const outputIds = Int32Array.from(outputs, (buffer) => buffer?.id ?? 0);
    const request: RunRequest = {
      kind: "run",
      executable: this.id,
      inputs: inputIds,
      hostInputs,
      outputs: outputIds,
      newOutputs,
      keepsPartialState,
    };
    const done = this.device.request<RunResult>(request, signal).then((result) => ({
      computeMs: result.computeMs,
      data: this.graph.outputs.map(({ dtype }, i) => result.data[i] && fromBoundary(dtype, result.data[i])),
    }));
    done.catch(() => {}); // reported to whoever awaits it, which may be after something else that fails
    return { outputs, done };
  }

  /** The number of a buffer here. @throws RuntimeError for another device's, whose numbers mean other tensors */
  private checkedId({ device, id }: DeviceBuffer): number {
    if (device === this.device) return id;
    throw new RuntimeError({
      where: "run",
      expected: "tensors and variables of the device that computes",
      received: "one that lives on another device",
      fix: "use one device for all, or carry its numbers over: variable.set(await variable.read())",
    });
  }

  /** Computes a host stage. */
  computeOnHost(stage: number, inputs: readonly HostData[]): HostData[] {
    const node = this.hostNodes.get(stage) as Node;
    const operands = inputs.map(({ shape, data }, i) => ({
      shape,
      numbers: toNumbers(node.inputs[i].dtype, fromBoundary(node.inputs[i].dtype, data)),
    }));
    return referenceOf(node, operands).map(({ shape, data }, i) => {
      const { dtype } = node.outputs[i];
      return { type: ortTypes[dtype], shape, data: toBoundary(dtype, hostArrayFrom(dtype, data)) };
    });
  }

  /** Ends the measuring and gives what was measured. Needs `profile` when compiled, and works once. */
  async profile(): Promise<Profile> {
    if (!this.profileFile) {
      throw new OptionError({
        where: "profile",
        expected: "a function compiled with profile: true",
        received: "one without",
        fix: "compile(fn, { profile: true })",
      });
    }
    await this.device.request({ kind: "endProfiling", executable: this.id });
    return new Profile((await this.profileFile.read()).flatMap((text) => Profile.parse(text).events));
  }

  dispose(): void {
    // a device that failed has nothing to free
    this.device.request({ kind: "release", executable: this.id }).catch(() => {});
  }
}

/** Values of the symbols, read off the shapes of the arguments. @throws ShapeError when an argument does not fit. */
function bindSymbols(types: readonly TensorType[], inputs: readonly Argument[]): Map<string, number> {
  const symbols = new Map<string, number>();
  for (let i = 0; i < types.length; i++) {
    const { shape } = types[i];
    const actual = inputs[i].shape;
    let fits = shape.length === actual.length;
    // plain loops: a training step has hundreds of inputs, nearly all of fixed shape
    for (let axis = 0; fits && axis < shape.length; axis++) fits = sizeFits(shape[axis], actual[axis], symbols);
    if (!fits) {
      throw new ShapeError({
        where: `input ${i} of a compiled function`,
        expected: `shape [${shape.join(", ")}]`,
        received: `[${actual.join(", ")}]`,
        fix: "pass a tensor of the shape the function was compiled for",
      });
    }
  }
  return symbols;
}

/** Whether a size may be `actual`; a symbol met for the first time takes it as its value. */
function sizeFits(size: Size, actual: number, symbols: Map<string, number>): boolean {
  if (typeof size === "number") return size === actual;
  const isSymbol = size.terms.size === 1 && size.terms.get(size.text) === 1;
  if (isSymbol && !symbols.has(size.text)) symbols.set(size.text, actual);
  return evaluateSize(size, symbols) === actual;
}
