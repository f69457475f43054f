import { type HostArray, OptionError, RuntimeError, ShapeError } from "../base/index.ts";
import { evaluateSize, type Graph, isStatic, type Size, type TensorType } from "../ir/index.ts";
import { fromBoundary } from "./boundary.ts";
import { DeviceBuffer } from "./buffer.ts";
import type { Connection } from "./connection.ts";
import { Profile } from "./profile.ts";
import { type HostData, ortTypes, type ProfileFile, type RunRequest, type RunResult } from "./protocol.ts";

/** What a run is given for each input of the graph. */
export type Argument = DeviceBuffer | { data: HostArray; shape: readonly number[] };

export interface RunSettings {
  /** Ends the run, where the backend can: it fails with the signal's reason then. */
  signal?: AbortSignal;
  /** See RunRequest. @default false */
  keepsPartialState?: boolean;
  /** See RunRequest. @default false */
  reusesArrays?: boolean;
}

export interface ExecutableParts {
  graph: Graph;
  /** By which requests name it. */
  id: number;
  /** For each output that replaces state: the input over whose memory it is written. */
  inPlace: ReadonlyMap<number, number>;
  /** The backend's answer to the request that compiles it. */
  ready: Promise<unknown>;
  /** Where runs are measured, when they are. */
  profileFile?: ProfileFile;
}

/** A graph that was compiled for a device. */
export class Executable {
  readonly graph: Graph;
  /** For each output that replaces state: the input over whose memory it is written. */
  readonly inPlace: ReadonlyMap<number, number>;
  readonly ready: Promise<unknown>;
  /** @internal */
  readonly connection: Connection;
  private readonly id: number;
  private readonly profileFile?: ProfileFile;
  /** Shapes of the outputs that have no symbolic size. */
  private readonly outputShapes: readonly (readonly number[] | undefined)[];

  constructor(connection: Connection, { graph, id, inPlace, ready, profileFile }: ExecutableParts) {
    this.connection = connection;
    this.graph = graph;
    this.id = id;
    this.inPlace = inPlace;
    this.ready = ready;
    this.profileFile = profileFile;
    this.outputShapes = graph.outputs.map(({ shape }) => (isStatic(shape) ? shape : undefined));
  }

  /**
   * Starts a run. Outputs go into the buffers given in `into`, by output index; "host" brings the numbers back with the
   * answer; the others go into new buffers. Returns the buffers at once: the device works in order.
   */
  run(
    inputs: readonly Argument[],
    into: ReadonlyMap<number, DeviceBuffer | "host"> = new Map(),
    { signal, keepsPartialState, reusesArrays }: RunSettings = {},
  ): { outputs: (DeviceBuffer | undefined)[]; done: Promise<RunResult> } {
    const symbols = bindSymbols(this.graph.inputs, inputs);
    const { outputShapes } = this;
    const hostInputs: HostData[] = [];
    const inputIds = Int32Array.from(inputs, (input, i) => {
      if (input instanceof DeviceBuffer) return this.checkedId(input);
      const { dtype } = this.graph.inputs[i];
      hostInputs.push({ type: ortTypes[dtype], shape: input.shape, data: input.data });
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
      const buffer = target ?? new DeviceBuffer(this.connection, dtype, sizes);
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
      reusesArrays,
    };
    const done = this.connection.request<RunResult>(request, signal).then((result) => ({
      computeMs: result.computeMs,
      data: this.graph.outputs.map(({ dtype }, i) => result.data[i] && fromBoundary(dtype, result.data[i])),
    }));
    done.catch(() => {}); // reported to whoever awaits it, which may be after something else that fails
    return { outputs, done };
  }

  /** The number of a buffer here. @throws RuntimeError for another device's, whose numbers mean other tensors */
  private checkedId({ connection, id }: DeviceBuffer): number {
    if (connection === this.connection) return id;
    throw new RuntimeError({
      where: "run",
      expected: "tensors and variables of the device that computes",
      received: "one that lives on another device",
      fix: "use one device for all, or carry its numbers over: variable.set(await variable.read())",
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
    await this.connection.request({ kind: "endProfiling", executable: this.id });
    return Profile.join((await this.profileFile.read()).map((text) => Profile.parse(text)));
  }

  /** Frees the compiled graph on the device; it cannot run any more. */
  dispose(): void {
    this.connection.release(this.id);
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
