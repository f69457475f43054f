import type { HostArray } from "../../base/index.ts";
import { claimMapped } from "../../files/index.ts";
import { REORDER } from "../backend.mjs";
import type {
  CompileRequest,
  ConstantData,
  HostCall,
  HostData,
  Request,
  RunRequest,
  RunResult,
  Stage,
} from "../protocol.ts";
import { OrtError, type OrtLibrary } from "./library.ts";
import { MemoryKeeper } from "./memory.ts";
import { NativeSession, type NativeSessionOptions, PrepackedWeights, RunOptions } from "./session.ts";
import { arrayFor, NativeValue } from "./value.ts";
import { Widener } from "./widener.ts";

type Model = Extract<Stage, { model: Uint8Array }>;
type Host = Extract<Stage, { host: true }>;
interface ModelStage extends Pick<Model, "inputs" | "outputs"> {
  session: NativeSession;
  /** The constants it shares with other sessions. */
  weights?: SharedWeights;
}
interface Program extends Pick<CompileRequest, "results" | "inputCount"> {
  stages: (ModelStage | Host)[];
}

/** Constants that several sessions use: they are in memory once, and once more as the kernels want them. */
interface SharedWeights {
  values: Map<HostArray, NativeValue>;
  prepacked: PrepackedWeights;
  users: number;
}

type Run = RunRequest & { id: number };

/** How far a run has come. */
interface Progress {
  /** Its inputs are there. */
  isReady: boolean;
  /** It may have written outputs. */
  hasStarted: boolean;
}

/** Status of a run whose inputs a kernel refused, such as an index out of range. */
const INVALID_ARGUMENT = 2;

export interface NativeBackendOptions {
  ort: OrtLibrary;
  threads: number;
  /** Entries of ONNX Runtime's session configuration. */
  config: Readonly<Record<string, string>>;
  /** Computes a host stage. */
  callHost: (call: HostCall) => Promise<HostData[]>;
}

/** Sessions and tensors of a device on the CPU. Requests are those of protocol.ts, one after another. */
export class NativeBackend {
  private readonly ort: OrtLibrary;
  private readonly options: NativeBackendOptions;
  private readonly buffers = new Map<number, NativeValue>();
  /** Buffers whose contents a failed run has left undefined, and why. */
  private readonly torn = new Map<number, string>();
  private readonly programs = new Map<number, Program>();
  private readonly weights = new Map<HostArray, SharedWeights>();
  private readonly runOptions: RunOptions;
  /** Runs that are not answered yet, by the ids of their requests. */
  private readonly runs = new Map<number, "waiting" | "under way" | "cancelled">();
  private readonly memory: MemoryKeeper;
  private readonly widener: Widener;
  /**
   * How many channels the convolutions keep beside one another (8 or 16), or 0 where they have no such layout on this
   * processor.
   */
  readonly channelBlock: Promise<number>;
  /** Bytes that were copied between the program's memory and the device's. */
  copiedBytes = 0;

  constructor(options: NativeBackendOptions) {
    this.ort = options.ort;
    this.options = options;
    this.runOptions = new RunOptions(options.ort);
    this.memory = new MemoryKeeper(options.ort);
    this.widener = new Widener(options.ort, options);
    this.channelBlock = this.findChannelBlock();
  }

  /**
   * Takes what the request brings out of the sender's hands, so that its arrays may be changed. Called when a request
   * comes, before its turn.
   */
  receive(request: Request): Request {
    if (request.kind === "run") {
      this.runs.set(request.id, "waiting");
      return {
        ...request,
        hostInputs: request.hostInputs.map((input) => ({ ...input, data: this.copied(input.data.slice()) })),
      };
    }
    if (request.kind === "upload" && !request.stored) this.buffers.set(request.buffer, this.valueFor(request));
    return request;
  }

  /** A tensor for numbers: a copy, or a mapped part of a file as it is, for the first who brings it. */
  private valueFor({ type, shape, data }: Pick<HostData, "type" | "shape" | "data">): NativeValue {
    if (claimMapped(data)) return NativeValue.over(this.ort, type, shape, data);
    this.copied(data);
    return this.copyOf({ type, shape, data });
  }

  private copied(data: HostArray): HostArray {
    this.copiedBytes += data.byteLength;
    return data;
  }

  /** Serves a request and gives its result. */
  async handle(request: Request): Promise<unknown> {
    switch (request.kind) {
      case "compile":
        return this.compile(request);
      case "run":
        return this.run(request);
      case "upload":
        if (!request.stored) return; // `receive` has it
        this.copied(request.data);
        return this.keep(
          request.buffer,
          await this.widener.widen(request.stored, request.shape, request.data as Uint16Array),
        );
      case "read":
        return this.copied(this.valueOf(request.buffer).read());
      case "free":
        return this.free(request.buffers);
      case "release":
        return this.release(request.executable);
      case "endProfiling":
        for (const stage of this.programs.get(request.executable)?.stages ?? [])
          if ("session" in stage) stage.session.endProfiling();
    }
  }

  private async findChannelBlock(): Promise<number> {
    try {
      const session = await NativeSession.create(this.ort, REORDER, { threads: 1, config: {} });
      const x = NativeValue.over(this.ort, "float32", [1, 4, 1, 1], new Float32Array(4));
      const made = new BigUint64Array(1);
      await session.run(BigUint64Array.of(x.pointer), made, this.runOptions);
      const y = NativeValue.adopt(this.ort, made[0]);
      const [, block] = y.shape;
      for (const part of [x, y, session]) part.dispose();
      return block === 8 || block === 16 ? block : 0;
    } catch {
      return 0;
    }
  }

  /** Lets a run fail: one that is under way ends before its next node, one that waits does not begin. */
  cancel(id: number): void {
    const state = this.runs.get(id);
    if (state === "under way") this.runOptions.terminate();
    else if (state === "waiting") this.runs.set(id, "cancelled");
  }

  /** Frees everything, when what has begun has ended. */
  async dispose(): Promise<void> {
    await this.channelBlock;
    for (const executable of [...this.programs.keys()]) this.release(executable);
    await this.widener.dispose();
    this.free([...this.buffers.keys()]);
    await this.memory.dispose();
    this.runOptions.dispose();
  }

  private valueOf(id: number): NativeValue {
    const failure = this.torn.get(id);
    if (failure !== undefined) throw new Error(`the run that was to write this tensor failed: ${failure}`);
    const value = this.buffers.get(id);
    if (!value) throw new Error(`buffer ${id} was disposed`);
    return value;
  }

  private keep(id: number, value: NativeValue): void {
    this.buffers.get(id)?.dispose();
    this.buffers.set(id, value);
  }

  private free(ids: readonly number[]): void {
    for (const id of ids) {
      this.buffers.get(id)?.dispose();
      this.buffers.delete(id);
      this.torn.delete(id);
    }
  }

  private async compile({ executable, stages, results, inputCount, options }: CompileRequest): Promise<void> {
    const compiled: Program["stages"] = [];
    try {
      for (const stage of stages)
        compiled.push(
          "model" in stage ? await this.compileModel(stage, options.profileFilePrefix as string | undefined) : stage,
        );
    } catch (cause) {
      for (const stage of compiled) if ("session" in stage) this.discard(stage);
      throw cause;
    }
    this.programs.set(executable, { stages: compiled, results, inputCount });
    // what compiling a model with weights has used in between is as large as they are
    if (stages.some((stage) => "model" in stage && (stage.constants?.length ?? 0) > 0)) await this.ort.trim();
  }

  private async compileModel(stage: Model, profilePrefix: string | undefined): Promise<ModelStage> {
    const { model, inputs, outputs, isOptimized, optimizedPath, constants = [] } = stage;
    const { threads, config } = this.options;
    const options: NativeSessionOptions = { threads, config, isOptimized, optimizedPath, profilePrefix };
    const weights = constants.length > 0 ? this.share(constants) : undefined;
    try {
      const initializers = new Map(constants.map(({ name, data }) => [name, weights?.values.get(data) as NativeValue]));
      const session = await NativeSession.create(this.ort, model, {
        ...options,
        initializers,
        prepacked: weights?.prepacked,
      });
      return { session, inputs, outputs, weights };
    } catch (cause) {
      if (weights) this.leave(weights);
      throw cause;
    }
  }

  /** The tensors of a model's constants; models that have the first in common belong to one set. */
  private share(constants: readonly ConstantData[]): SharedWeights {
    const known = constants.map(({ data }) => this.weights.get(data)).find((weights) => weights !== undefined);
    const weights = known ?? { values: new Map(), prepacked: new PrepackedWeights(this.ort), users: 0 };
    weights.users++;
    for (const { type, shape, data } of constants) {
      if (weights.values.has(data)) continue;
      weights.values.set(data, NativeValue.over(this.ort, type, shape, data));
      this.weights.set(data, weights);
    }
    return weights;
  }

  private leave(weights: SharedWeights): void {
    if (--weights.users > 0) return;
    weights.prepacked.dispose();
    for (const [data, value] of weights.values) {
      value.dispose();
      if (this.weights.get(data) === weights) this.weights.delete(data);
    }
  }

  private discard({ session, weights }: ModelStage): void {
    session.dispose();
    if (weights) this.leave(weights);
  }

  private release(executable: number): void {
    const program = this.programs.get(executable);
    this.programs.delete(executable);
    this.memory.expect();
    for (const stage of program?.stages ?? []) if ("session" in stage) this.discard(stage);
  }

  private async run(request: Run): Promise<RunResult> {
    const program = this.programs.get(request.executable);
    const run: Progress = { isReady: false, hasStarted: false };
    this.memory.runBegins();
    try {
      if (!program) throw new Error("this compiled graph was disposed");
      const [first] = program.stages;
      if (program.stages.length === 1 && "session" in first) return await this.runModel(first.session, request, run);
      return await this.runStages(program, request, run);
    } catch (cause) {
      this.markTorn(request, cause as Error, run);
      throw cause;
    } finally {
      this.memory.runEnds();
      this.runs.delete(request.id);
      this.runOptions.reset();
    }
  }

  /** Called when the inputs of a run are there. @throws Error when it was cancelled while it waited */
  private begin({ id }: { id: number }, run: Progress): void {
    run.isReady = true;
    if (this.runs.get(id) === "cancelled") throw new Error("it was cancelled before it began");
    this.runs.set(id, "under way");
  }

  /**
   * After a failure, outputs with memory of their own do not have the contents that they should. State that is written
   * in place is whole when nothing ran, and when a kernel refused its inputs: all that may do so come before the first
   * that writes (lower/aliasing.ts). Where an input is torn, an output may be the state from before the run that tore
   * it, to which the sender goes back.
   */
  private markTorn(
    { inputs, outputs, newOutputs, keepsPartialState = false }: RunRequest,
    cause: Error,
    { isReady, hasStarted }: Progress,
  ): void {
    const isRefused = cause instanceof OrtError && cause.code === INVALID_ARGUMENT;
    const read = new Set(inputs);
    outputs.forEach((id, i) => {
      const isWhole = isReady ? read.has(id) && (!hasStarted || isRefused || keepsPartialState) : !newOutputs.has(i);
      if (id !== 0 && !isWhole) this.torn.set(id, cause.message);
    });
  }

  /**
   * The common case: one session, which writes its outputs into the buffers that exist and into the arrays that go
   * back.
   */
  private async runModel(session: NativeSession, request: Run, run: Progress): Promise<RunResult> {
    const { inputs, hostInputs, outputs, newOutputs } = request;
    const { ort } = this;
    const scratch: NativeValue[] = [];
    const scratchOver = ({ type, shape, data }: HostData) => {
      const value = NativeValue.over(ort, type, shape, data);
      scratch.push(value);
      return value.pointer;
    };
    try {
      let nextHost = 0;
      const from = new BigUint64Array(inputs.length);
      for (let i = 0; i < inputs.length; i++)
        from[i] = inputs[i] !== 0 ? this.valueOf(inputs[i]).pointer : scratchOver(hostInputs[nextHost++]);
      this.begin(request, run);
      const data: (HostArray | undefined)[] = new Array(outputs.length);
      const to = new BigUint64Array(outputs.length);
      for (let i = 0; i < outputs.length; i++) {
        const type = newOutputs.get(i);
        if (outputs[i] === 0 && type) {
          const array = arrayFor(type.type, type.shape);
          data[i] = array;
          to[i] = scratchOver({ ...type, data: array });
        } else {
          if (type) this.keep(outputs[i], NativeValue.allocate(ort, type.type, type.shape));
          to[i] = (this.buffers.get(outputs[i]) as NativeValue).pointer;
        }
      }
      run.hasStarted = true;
      const started = performance.now();
      await session.run(from, to, this.runOptions);
      for (const id of outputs) this.torn.delete(id);
      return { computeMs: performance.now() - started, data };
    } finally {
      for (const value of scratch) value.dispose();
    }
  }

  /** A program with host stages: each stage makes new tensors, and buffers change when all have run. */
  private async runStages({ stages, results, inputCount }: Program, request: Run, run: Progress): Promise<RunResult> {
    const { executable, inputs, hostInputs, outputs } = request;
    const borrowed = new Set<NativeValue>();
    const slots: NativeValue[] = [];
    const started = performance.now();
    try {
      let nextHost = 0;
      for (let i = 0; i < inputCount; i++) {
        if (inputs[i] !== 0) {
          slots[i] = this.valueOf(inputs[i]);
          borrowed.add(slots[i]);
        } else slots[i] = this.adopt(hostInputs[nextHost++]);
      }
      this.begin(request, run);
      for (const [index, stage] of stages.entries()) {
        const operands = stage.inputs.map((slot) => slots[slot]);
        const values =
          "session" in stage ? await this.runStage(stage, operands) : await this.callHost(executable, index, operands);
        values.forEach((value, i) => {
          slots[stage.outputs[i]] = value;
        });
      }
      const data: (HostArray | undefined)[] = results.map((slot, i) =>
        outputs[i] === 0 ? this.copied(slots[slot].read()) : undefined,
      );
      for (const [i, slot] of results.entries()) {
        if (outputs[i] === 0) continue;
        // a tensor that is an input, or another output, stays where it is
        const value = borrowed.has(slots[slot]) ? this.copyOf(slots[slot]) : slots[slot];
        borrowed.add(value);
        this.torn.delete(outputs[i]);
        this.keep(outputs[i], value);
      }
      return { computeMs: performance.now() - started, data };
    } finally {
      for (const value of slots) if (value && !borrowed.has(value)) value.dispose();
    }
  }

  /** A tensor in the memory of an array that nobody else uses: `receive` has copied those of a request. */
  private adopt({ type, shape, data }: HostData): NativeValue {
    return NativeValue.over(this.ort, type, shape, data);
  }

  /** A tensor of its own with the same numbers. */
  private copyOf({ type, shape, data }: Pick<HostData, "type" | "shape" | "data">): NativeValue {
    const value = NativeValue.allocate(this.ort, type, shape);
    if (data.length > 0) value.data.set(data as never);
    return value;
  }

  private async runStage({ session }: ModelStage, operands: readonly NativeValue[]): Promise<NativeValue[]> {
    const made = new BigUint64Array(session.outputNames.length);
    await session.run(
      BigUint64Array.from(operands, ({ pointer }) => pointer),
      made,
      this.runOptions,
    );
    return Array.from(made, (pointer) => NativeValue.adopt(this.ort, pointer));
  }

  private async callHost(executable: number, stage: number, operands: readonly NativeValue[]): Promise<NativeValue[]> {
    const inputs = operands.map((value) => ({ type: value.type, shape: value.shape, data: value.read() }));
    return (await this.options.callHost({ executable, stage, inputs })).map((output) => this.adopt(output));
  }
}
