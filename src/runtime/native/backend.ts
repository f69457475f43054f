import type { HostArray } from "../../base/index.ts";
import { claimMemory, releasePages } from "../../files/index.ts";
import { REORDER } from "../backend.mjs";
import type { CompileRequest, HostCall, HostData, Request, RunRequest, RunResult, Stage } from "../protocol.ts";
import { Buffers, type Progress } from "./buffers.ts";
import type { OrtLibrary } from "./library.ts";
import { MemoryKeeper } from "./memory.ts";
import {
  copyOf,
  type HostStage,
  type ModelStage,
  type Program,
  ProgramRun,
  programOf,
  type RunContext,
} from "./run.ts";
import { NativeSession, type NativeSessionOptions, RunOptions } from "./session.ts";
import { arrayFor, NativeValue } from "./value.ts";
import { WeightSets } from "./weights.ts";
import { Widener } from "./widener.ts";

type Model = Extract<Stage, { model: Uint8Array }>;

/** ONNX Runtime's name for the list of optimizers that it leaves out. */
const DISABLED = "optimization.disable_specified_optimizers";

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
  private readonly buffers = new Buffers();
  private readonly programs = new Map<number, Promise<Program>>();
  /** The end of the last graph that was to be compiled. */
  private compiling: Promise<unknown> = Promise.resolve();
  private readonly weights: WeightSets;
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
    this.weights = new WeightSets(options.ort);
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
    if (request.kind === "upload" && !request.stored) this.buffers.keep(request.buffer, this.valueFor(request));
    return request;
  }

  /** A tensor for numbers: a copy; or mapped and handed over numbers as they are, for the first who brings them. */
  private valueFor({ type, shape, data }: Pick<HostData, "type" | "shape" | "data">): NativeValue {
    if (claimMemory(data)) return NativeValue.over(this.ort, type, shape, data);
    this.copied(data);
    return copyOf(this.ort, { type, shape, data });
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
        return this.buffers.keep(
          request.buffer,
          await this.widener.widen(request.stored, request.shape, request.data as Uint16Array),
        );
      case "read":
        return this.copied(this.buffers.valueOf(request.buffer).read());
      case "zeros": {
        const { type, shape } = request;
        return this.buffers.keep(request.buffer, NativeValue.over(this.ort, type, shape, arrayFor(type, shape)));
      }
      case "view":
        return this.buffers.keep(request.buffer, this.buffers.target(request.of).rows(request.row, request.shape));
      case "copy":
        return this.buffers.copy(request.moves);
      case "free":
        return this.buffers.free(request.buffers);
      case "release":
        return this.release(request.executable);
      case "endProfiling":
        for (const stage of (await this.programs.get(request.executable))?.stages ?? [])
          if ("session" in stage) stage.session.endProfiling();
    }
  }

  private async findChannelBlock(): Promise<number> {
    try {
      const session = await NativeSession.create(this.ort, REORDER, { threads: 1, config: {} });
      const x = NativeValue.over(this.ort, "float32", [1, 4, 1, 1], new Float32Array(4));
      const outputs = new BigUint64Array(1);
      await session.run(BigUint64Array.of(x.pointer), outputs, this.runOptions);
      const y = NativeValue.adopt(this.ort, outputs[0]);
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
    if (state === undefined) return;
    if (state === "under way") this.runOptions.terminate();
    this.runs.set(id, "cancelled");
  }

  /** Frees everything, when what has begun has ended. */
  async dispose(): Promise<void> {
    await this.channelBlock;
    for (const executable of [...this.programs.keys()]) await this.release(executable);
    await this.widener.dispose();
    this.buffers.freeAll();
    await this.memory.dispose();
    this.runOptions.dispose();
  }

  /** Runs of it wait for its end, and so does the next graph; everything else goes on. */
  private async compile(request: CompileRequest): Promise<void> {
    const program = this.compiling.then(() => this.programFor(request));
    this.programs.set(request.executable, program);
    this.compiling = program.catch(() => {});
    await program;
  }

  private async programFor(request: CompileRequest): Promise<Program> {
    const { stages, options } = request;
    const compiled: (ModelStage | HostStage)[] = [];
    try {
      for (const stage of stages)
        compiled.push(
          "model" in stage ? await this.compileModel(stage, options.profileFilePrefix as string | undefined) : stage,
        );
    } catch (cause) {
      for (const stage of compiled) if ("session" in stage) this.discard(stage);
      throw cause;
    }
    // what compiling a model with weights has used in between is as large as they are
    const constants = stages.flatMap((stage) => ("model" in stage ? (stage.constants ?? []) : []));
    for (const { data } of constants) releasePages(data); // the kernels have them in an order of their own
    if (constants.length > 0) await this.ort.trim();
    return programOf(compiled, request);
  }

  private async compileModel(stage: Model, profilePrefix: string | undefined): Promise<ModelStage> {
    const { model, inputs, outputs, isOptimized, optimizedPath, idleOptimizers, constants = [] } = stage;
    const { threads, config } = this.options;
    const options: NativeSessionOptions = {
      ...{ threads, isOptimized, optimizedPath, profilePrefix },
      config: { ...config, [DISABLED]: [config[DISABLED], ...(idleOptimizers ?? [])].join(";") },
    };
    const weights = constants.length > 0 ? this.weights.share(constants) : undefined;
    try {
      const initializers = new Map(constants.map(({ name, data }) => [name, weights?.values.get(data) as NativeValue]));
      const session = await NativeSession.create(this.ort, model, {
        ...options,
        initializers,
        prepacked: weights?.prepacked,
      });
      return { session, inputs, outputs, weights };
    } catch (cause) {
      if (weights) this.weights.leave(weights);
      throw cause;
    }
  }

  private discard({ session, weights }: ModelStage): void {
    session.dispose();
    if (weights) this.weights.leave(weights);
  }

  private async release(executable: number): Promise<void> {
    const program = await this.programs.get(executable)?.catch(() => undefined);
    this.programs.delete(executable);
    this.memory.expect();
    for (const stage of program?.stages ?? []) if ("session" in stage) this.discard(stage);
  }

  private async run(request: RunRequest & { id: number }): Promise<RunResult> {
    const program = await this.programs.get(request.executable)?.catch(() => undefined); // who compiles it is told
    const progress: Progress = { isReady: false, hasStarted: false };
    this.memory.runBegins();
    try {
      if (!program) throw new Error("this compiled graph was disposed");
      return await new ProgramRun(program, request, this.contextOf(request), progress).run();
    } catch (cause) {
      this.buffers.markTorn(request, cause as Error, progress);
      throw cause;
    } finally {
      this.memory.runEnds();
      this.runs.delete(request.id);
      this.runOptions.reset();
    }
  }

  private contextOf({ id }: { id: number }): RunContext {
    return {
      ort: this.ort,
      buffers: this.buffers,
      options: this.runOptions,
      callHost: this.options.callHost,
      countCopied: (bytes) => {
        this.copiedBytes += bytes;
      },
      proceed: (when) => {
        if (this.runs.get(id) === "cancelled") throw new Error(`it was cancelled ${when}`);
        this.runs.set(id, "under way");
      },
    };
  }
}
