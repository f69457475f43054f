import type { HostArray } from "../../base/index.ts";
import type { CompileRequest, HostCall, HostData, RunRequest, RunResult, Stage } from "../protocol.ts";
import type { Buffers, Progress } from "./buffers.ts";
import type { OrtLibrary } from "./library.ts";
import type { NativeSession, RunOptions } from "./session.ts";
import { arrayFor, NativeValue } from "./value.ts";
import type { SharedWeights } from "./weights.ts";

/** A part of a program for ONNX Runtime. */
export interface ModelStage {
  session: NativeSession;
  inputs: readonly number[];
  outputs: readonly number[];
  /** The constants it shares with other sessions. */
  weights?: SharedWeights;
}
export type HostStage = Extract<Stage, { host: true }>;

/** A compiled graph: stages that pass values in numbered slots, of which the first are the program's inputs. */
export interface Program extends Pick<CompileRequest, "results" | "inputCount"> {
  stages: readonly (ModelStage | HostStage)[];
  /** Results that a model writes where they belong, by their index. */
  direct: readonly number[];
  /** The others, which are copied: of the host, inputs, and what is a result twice. */
  copied: readonly number[];
  /** Memory of results that is used again, by their index, and the part of it that was the last run's. */
  arrays: Map<number, { memory: HostArray; array: HostArray }>;
}

export function programOf(stages: Program["stages"], { results, inputCount }: CompileRequest): Program {
  const written = new Set(stages.flatMap((stage) => ("session" in stage ? stage.outputs : [])));
  const isDirect = (slot: number, i: number) => written.has(slot) && results.indexOf(slot) === i;
  const indices = [...results.keys()];
  return {
    stages,
    results,
    inputCount,
    direct: indices.filter((i) => isDirect(results[i], i)),
    copied: indices.filter((i) => !isDirect(results[i], i)),
    arrays: new Map(),
  };
}

/** What a run needs of its device. */
export interface RunContext {
  ort: OrtLibrary;
  buffers: Buffers;
  options: RunOptions;
  /** Called when the inputs are there, and after each computation on the host. @throws Error when it was cancelled */
  proceed(when: string): void;
  callHost(call: HostCall): Promise<HostData[]>;
  /** Counts numbers that are copied between the program's memory and the device's. */
  countCopied(bytes: number): void;
}

/**
 * A run of a program. Results are written by the stages that make them into the buffers that exist and into the arrays
 * that go back: state is updated where it is, with or without computations on the host in between.
 */
export class ProgramRun {
  private readonly program: Program;
  private readonly request: RunRequest & { id: number };
  private readonly context: RunContext;
  private readonly progress: Progress;
  private readonly slots: NativeValue[] = [];
  /** Tensors of this run alone. */
  private readonly scratch: NativeValue[] = [];
  private readonly data: (HostArray | undefined)[];
  /** For each slot that a model writes and that is a result: the tensor to write it into. */
  private readonly targets: (NativeValue | undefined)[] = [];
  private computeMs = 0;

  constructor(program: Program, request: RunRequest & { id: number }, context: RunContext, progress: Progress) {
    this.program = program;
    this.request = request;
    this.context = context;
    this.progress = progress;
    this.data = new Array(request.outputs.length);
  }

  async run(): Promise<RunResult> {
    try {
      this.takeInputs();
      this.progress.isReady = true;
      this.context.proceed("before it began");
      for (const i of this.program.direct) this.targets[this.program.results[i]] = this.targetOf(i);
      for (const [index, stage] of this.program.stages.entries()) {
        if ("session" in stage) await this.runModel(stage);
        else await this.runOnHost(stage, index);
      }
      this.copyOtherResults();
      this.context.buffers.markWhole(this.request.outputs);
      return { computeMs: this.computeMs, data: this.data };
    } finally {
      for (const value of this.scratch) value.dispose();
    }
  }

  private takeInputs(): void {
    const { inputs, hostInputs } = this.request;
    let nextHost = 0;
    for (let i = 0; i < this.program.inputCount; i++)
      this.slots[i] = inputs[i] !== 0 ? this.context.buffers.valueOf(inputs[i]) : this.over(hostInputs[nextHost++]);
  }

  /** A tensor in the memory of an array that nobody changes during the run. */
  private over({ type, shape, data }: HostData): NativeValue {
    const value = NativeValue.over(this.context.ort, type, shape, data);
    this.scratch.push(value);
    return value;
  }

  private targetOf(index: number): NativeValue {
    const { buffers, ort } = this.context;
    const id = this.request.outputs[index];
    const type = this.request.newOutputs.get(index);
    if (id === 0 && type) {
      const array = this.arrayOf(index, type);
      this.data[index] = array;
      return this.over({ ...type, data: array });
    }
    if (type) buffers.keep(id, NativeValue.allocate(ort, type.type, type.shape));
    return buffers.target(id);
  }

  /** Where the numbers of a result come back. */
  private arrayOf(index: number, { type, shape }: Omit<HostData, "data">): HostArray {
    if (!this.request.reusesArrays) return arrayFor(type, shape);
    const { arrays } = this.program;
    const count = shape.reduce((a, b) => a * b, 1);
    const known = arrays.get(index);
    if (known?.array.length === count) return known.array;
    const memory = known && known.memory.length >= count ? known.memory : arrayFor(type, shape);
    const array = memory.subarray(0, count);
    arrays.set(index, { memory, array });
    return array;
  }

  private async runModel(stage: ModelStage): Promise<void> {
    const { inputs, outputs, session } = stage;
    const { slots, targets } = this;
    const from = new BigUint64Array(inputs.length);
    for (let i = 0; i < inputs.length; i++) from[i] = slots[inputs[i]].pointer;
    const to = new BigUint64Array(outputs.length);
    for (let i = 0; i < outputs.length; i++) to[i] = targets[outputs[i]]?.pointer ?? 0n;
    if (this.writesState(stage)) this.progress.hasStarted = true;
    const started = performance.now();
    await session.run(from, to, this.context.options);
    this.computeMs += performance.now() - started;
    for (let i = 0; i < outputs.length; i++) {
      const target = targets[outputs[i]];
      slots[outputs[i]] = target ?? NativeValue.adopt(this.context.ort, to[i]);
      if (!target) this.scratch.push(slots[outputs[i]]);
    }
  }

  /** Whether a stage writes over inputs of the program; of a program of one stage that is taken to be so. */
  private writesState(stage: ModelStage): boolean {
    const { program, request } = this;
    if (program.stages.length === 1) return true;
    const isInput = (i: number) => request.outputs[i] !== 0 && request.inputs.includes(request.outputs[i]);
    return program.direct.some((i) => stage.outputs.includes(program.results[i]) && isInput(i));
  }

  private async runOnHost(stage: HostStage, index: number): Promise<void> {
    const { id, executable } = this.request;
    const inputs = stage.inputs.map((slot) => {
      const { type, shape } = this.slots[slot];
      return { type, shape, data: this.read(this.slots[slot]) };
    });
    const outputs = await this.context.callHost({ run: id, executable, stage: index, inputs });
    this.context.proceed("while it waited for the host");
    outputs.forEach((output, i) => {
      this.slots[stage.outputs[i]] = this.over(output);
    });
  }

  private copyOtherResults(): void {
    const { program, request, context } = this;
    const copies = new Map<number, NativeValue>();
    for (const i of program.copied) {
      const value = this.slots[program.results[i]];
      if (request.outputs[i] === 0) this.data[i] = this.read(value);
      else copies.set(request.outputs[i], copyOf(context.ort, value));
    }
    // only now: a copy may take the place of a tensor that another is a copy of
    for (const [id, copy] of copies) context.buffers.keep(id, copy);
  }

  private read(value: NativeValue): HostArray {
    this.context.countCopied(value.byteLength);
    return value.read();
  }
}

/** A tensor of its own with the same numbers. */
export function copyOf(ort: OrtLibrary, { type, shape, data }: Pick<HostData, "type" | "shape" | "data">): NativeValue {
  const value = NativeValue.allocate(ort, type, shape);
  if (data.length > 0) value.data.set(data as never);
  return value;
}
