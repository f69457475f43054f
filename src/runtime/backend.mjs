// @ts-check
import { widen } from "../base/half.mjs";
import { nodeModel } from "./node-model.mjs";

/**
 * The part of a device that holds ONNX Runtime, its sessions and all tensors. In Node it lives in a worker thread, in a
 * page beside the caller. Plain JavaScript, so that a worker starts without a TypeScript loader. The protocol is in
 * protocol.ts.
 */

/** @typedef {import("./protocol.ts").Request} Request */
/** @typedef {import("./protocol.ts").PlainRequest} PlainRequest */
/** @typedef {Extract<Request, { kind: "run" }>} RunRequest */
/** @typedef {import("./protocol.ts").BackendConfig} BackendConfig */
/** @typedef {import("onnxruntime-node").Tensor} OrtTensor */
/** @typedef {import("onnxruntime-node").InferenceSession} OrtSession */
/** @typedef {{ session: OrtSession, inputs: number[], outputs: number[] }} ModelStage */
/** @typedef {{ host: true, inputs: number[], outputs: number[] }} HostStage */
/** @typedef {{ stages: (ModelStage | HostStage)[], results: readonly number[], inputCount: number }} Program */

const constructors = /** @type {const} */ ({
  float32: Float32Array,
  float16: Uint16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
});

/** ONNX: TensorProto.DataType of the types above. */
const typeCodes = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9, float16: 10 };

/** @param {keyof typeof constructors} type @param {readonly number[]} shape @param {any} [data] */
function zeros(type, shape, data) {
  return data ?? new constructors[type](shape.reduce((a, b) => a * b, 1));
}

/**
 * Settings of a session in which more of ONNX Runtime's optimizers are left out. @param {any} extra @param {readonly
 * string[]} names
 */
const withoutOptimizers = (extra, names) => ({
  ...extra,
  optimization: {
    ...extra?.optimization,
    disable_specified_optimizers: [extra?.optimization?.disable_specified_optimizers, ...names].join(";"),
  },
});

/**
 * @param {any} ort the module onnxruntime-node or onnxruntime-web
 * @param {BackendConfig} config
 * @param {(call: import("./protocol.ts").HostCall) => Promise<import("./protocol.ts").HostData[]>} callHost computes a
 *   host stage
 * @returns {(request: Request) => Promise<any>}
 */
export function createBackend(ort, config, callHost) {
  /** @type {Map<number, OrtTensor>} */
  const buffers = new Map();
  /** @type {Map<number, Program>} */
  const programs = new Map();
  /** @type {Map<string, Promise<OrtSession>>} */
  const movers = new Map();
  const isRemote = config.location !== "cpu";

  /**
   * bfloat16, which the JavaScript API has not, becomes float32.
   * @param {any} type @param {readonly number[]} shape @param {any} [data] @returns {OrtTensor}
   */
  const makeTensor = (type, shape, data) =>
    type === "bfloat16"
      ? makeTensor("float32", shape, data && widen("bf16", data))
      : new ort.Tensor(type, zeros(type, shape, data), shape);

  /** @param {OrtTensor} tensor in the program's memory */
  const copyOf = ({ type, dims, data }) => makeTensor(type, dims, /** @type {any} */ (data).slice());

  /** @param {number} id */
  function bufferOf(id) {
    const tensor = buffers.get(id);
    if (!tensor) throw new Error(`buffer ${id} was disposed`);
    return tensor;
  }

  /**
   * Memory on a GPU belongs to the session that made it: a session is released only when its last tensor is gone.
   * @type {Map<OrtTensor, OrtSession>}
   */
  const makers = new Map();
  /** @type {Map<OrtSession, { tensors: number, isDone: boolean }>} */
  const debts = new Map();

  /** @param {OrtTensor} tensor @param {OrtSession} session */
  function registerMaker(tensor, session) {
    if (tensor.location === "cpu") return tensor;
    const debt = debts.get(session) ?? { tensors: 0, isDone: false };
    debt.tensors++;
    debts.set(session, debt);
    makers.set(tensor, session);
    return tensor;
  }

  /** @param {OrtTensor | undefined} tensor */
  async function discard(tensor) {
    if (!tensor || tensor.location === "cpu") return;
    tensor.dispose();
    const session = makers.get(tensor);
    makers.delete(tensor);
    const debt = session && debts.get(session);
    if (debt && --debt.tensors === 0 && debt.isDone) await close(session);
  }

  /** @param {OrtSession} session */
  async function close(session) {
    const debt = debts.get(session);
    if (debt && debt.tensors > 0) debt.isDone = true;
    else {
      debts.delete(session);
      await session.release();
    }
  }

  /** Where a tensor's numbers are. @param {OrtTensor} tensor @param {"cpu" | "gpu-buffer"} location */
  async function moved(tensor, location) {
    if (tensor.location === location || tensor.size === 0) return tensor;
    const key = `${tensor.type} ${location}`;
    let mover = movers.get(key);
    if (!mover) {
      const model = nodeModel({ type: typeCodes[/** @type {keyof typeof typeCodes} */ (tensor.type)] });
      mover = ort.InferenceSession.create(model, {
        ...config.sessionOptions,
        logSeverityLevel: 4,
        preferredOutputLocation: location,
      });
      movers.set(key, /** @type {Promise<OrtSession>} */ (mover));
    }
    const session = /** @type {OrtSession} */ (await mover);
    const { y } = await session.run({ x: tensor });
    return registerMaker(y, session);
  }

  /**
   * Numbers of a tensor; f16 as its bits, which some browsers hold in an array type of their own. @param {OrtTensor}
   * tensor
   */
  async function dataOf(tensor) {
    const near = await moved(tensor, "cpu");
    const data = /** @type {any} */ (near.data);
    const plain =
      near.type === "float16" && !(data instanceof Uint16Array)
        ? new Uint16Array(data.buffer, data.byteOffset, data.length)
        : data;
    return plain;
  }

  /** @param {number} id @param {OrtTensor} tensor */
  async function keep(id, tensor) {
    const old = buffers.get(id);
    buffers.set(id, tensor);
    if (old !== tensor) await discard(old);
  }

  /**
   * The tensors of a program's inputs.
   * @param {Program} program @param {RunRequest} request
   */
  function takeInputs({ inputCount }, { inputs, hostInputs }) {
    let nextHost = 0;
    return Array.from({ length: inputCount }, (_, i) => {
      if (inputs[i] !== 0) return bufferOf(inputs[i]);
      const { type, shape, data } = hostInputs[nextHost++];
      return makeTensor(type, shape, data);
    });
  }

  /**
   * For each slot that a model writes and that is a result: the tensor to write it into. None where the device makes
   * new tensors in each run.
   * @param {Program} program @param {RunRequest} request
   */
  function targetsOfResults({ stages, results }, { outputs, newOutputs }) {
    /** @type {Map<number, OrtTensor>} */
    const targets = new Map();
    if (!config.canPreallocate) return targets;
    const isWritten = new Set(stages.flatMap((stage) => ("session" in stage ? stage.outputs : [])));
    for (const [i, slot] of results.entries()) {
      if (!isWritten.has(slot) || targets.has(slot)) continue;
      const type = newOutputs.get(i);
      const tensor = type ? makeTensor(type.type, type.shape) : bufferOf(outputs[i]);
      if (type && outputs[i] !== 0) buffers.set(outputs[i], tensor);
      targets.set(slot, tensor);
    }
    return targets;
  }

  /**
   * @param {ModelStage} stage @param {OrtTensor[]} slots @param {Map<number, OrtTensor>} targets
   */
  async function runModel({ session, inputs, outputs }, slots, targets) {
    const feeds = Object.fromEntries(session.inputNames.map((name, i) => [name, slots[inputs[i]]]));
    const fetches = Object.fromEntries(session.outputNames.map((name, i) => [name, targets.get(outputs[i]) ?? null]));
    const results = await session.run(feeds, fetches);
    session.outputNames.forEach((name, i) => {
      slots[outputs[i]] = targets.get(outputs[i]) ?? registerMaker(results[name], session);
    });
  }

  /** @param {HostStage} stage @param {number} index @param {OrtTensor[]} slots @param {RunRequest} request */
  async function runOnHost({ inputs, outputs }, index, slots, { id, executable }) {
    const operands = await Promise.all(
      inputs.map(async (slot) => ({
        type: /** @type {any} */ (slots[slot].type),
        shape: slots[slot].dims,
        data: (await dataOf(slots[slot])).slice(),
      })),
    );
    const results = await callHost({ run: id, executable, stage: index, inputs: operands });
    results.forEach(({ type, shape, data }, i) => {
      slots[outputs[i]] = makeTensor(type, shape, data.slice());
    });
  }

  /**
   * A run: results are written into the buffers that exist where the device can do that, and take their places when all
   * stages have run otherwise.
   * @param {Program} program @param {RunRequest} request
   */
  async function runProgram(program, request) {
    const { stages, results, inputCount } = program;
    const { outputs } = request;
    const slots = takeInputs(program, request);
    const targets = targetsOfResults(program, request);
    const started = performance.now();
    for (const [index, stage] of stages.entries()) {
      if ("session" in stage) await runModel(stage, slots, targets);
      else await runOnHost(stage, index, slots, request);
    }
    const computeMs = performance.now() - started;
    /** @type {any[]} */
    const data = [];
    /** @type {Set<OrtTensor>} */
    const kept = new Set(targets.values());
    const isTarget = (/** @type {number} */ i) => targets.has(results[i]) && results.indexOf(results[i]) === i;
    for (const [i, slot] of results.entries()) {
      if (outputs[i] === 0) data[i] = isTarget(i) ? slots[slot].data : (await dataOf(slots[slot])).slice();
    }
    // the inputs' tensors are needed until here, since an output may take the place of one
    for (const [i, slot] of results.entries()) {
      if (outputs[i] === 0 || isTarget(i)) continue;
      // memory that runs write over belongs to one buffer
      const isShared = config.canPreallocate && (slot < inputCount || kept.has(slots[slot]));
      const tensor = isShared ? copyOf(slots[slot]) : slots[slot];
      kept.add(tensor);
      await keep(outputs[i], tensor);
    }
    for (const tensor of slots.slice(inputCount)) if (tensor && !kept.has(tensor)) await discard(tensor);
    return { computeMs, data };
  }

  /** @param {Extract<import("./protocol.ts").Stage, { model: any }>} stage */
  const optionsFor = ({ remoteOutputs, cpuNodes, isOptimized, optimizedPath, idleOptimizers = [] }) => ({
    logSeverityLevel: 4,
    ...config.sessionOptions,
    ...(config.isWebGpu && cpuNodes.length > 0
      ? { executionProviders: [{ name: "webgpu", forceCpuNodeNames: cpuNodes }] }
      : {}),
    ...(isRemote
      ? { preferredOutputLocation: Object.fromEntries(remoteOutputs.map((name) => [name, config.location])) }
      : {}),
    ...(isOptimized ? { graphOptimizationLevel: "disabled" } : {}),
    ...(idleOptimizers.length > 0 ? { extra: withoutOptimizers(config.sessionOptions.extra, idleOptimizers) } : {}),
    ...(optimizedPath ? { optimizedModelFilePath: optimizedPath } : {}),
  });

  /** @type {{ [K in PlainRequest["kind"]]: (request: Extract<Request, { kind: K }>) => any }} */
  const handlers = {
    async compile({ executable, stages, results, inputCount, options }) {
      /** @type {(ModelStage | HostStage)[]} */
      const compiledStages = [];
      try {
        for (const stage of stages) {
          if (!("model" in stage)) {
            compiledStages.push(stage);
            continue;
          }
          const session = await ort.InferenceSession.create(stage.model, { ...optionsFor(stage), ...options });
          compiledStages.push({ session, inputs: stage.inputs, outputs: stage.outputs });
        }
      } catch (cause) {
        for (const stage of compiledStages) if ("session" in stage) await stage.session.release();
        throw cause;
      }
      programs.set(executable, { stages: compiledStages, results, inputCount });
    },
    run(request) {
      const program = programs.get(request.executable);
      if (!program) throw new Error("this compiled graph was disposed");
      return runProgram(program, request);
    },
    async upload({ buffer, type, shape, data, stored }) {
      const tensor = makeTensor(type, shape, stored ? widen(stored, /** @type {Uint16Array} */ (data)) : data);
      await keep(buffer, isRemote ? await moved(tensor, config.location) : tensor);
    },
    async read({ buffer }) {
      return (await dataOf(bufferOf(buffer))).slice();
    },
    async free({ buffers: ids }) {
      for (const id of ids) {
        const tensor = buffers.get(id);
        buffers.delete(id);
        await discard(tensor);
      }
    },
    async release({ executable }) {
      const program = programs.get(executable);
      programs.delete(executable);
      for (const stage of program?.stages ?? []) if ("session" in stage) await close(stage.session);
    },
    endProfiling({ executable }) {
      for (const stage of programs.get(executable)?.stages ?? []) if ("session" in stage) stage.session.endProfiling();
    },
  };
  return async (request) => {
    const handle = handlers[/** @type {PlainRequest["kind"]} */ (request.kind)];
    if (!handle) throw new Error(`no ${request.kind} here: the device does not share memory`);
    return /** @type {(request: Request) => any} */ (handle)(request);
  };
}

/**
 * Runs a model of one node on zeros and gives the result's shape. @param {any} ort @param {BackendConfig} config @param
 * {Uint8Array} model @param {number[]} shape
 */
async function tryNode(ort, config, model, shape) {
  const session = await ort.InferenceSession.create(model, { ...config.sessionOptions, logSeverityLevel: 4 });
  const { y } = await session.run({ x: new ort.Tensor("float32", zeros("float32", shape), shape) });
  await session.release();
  return y.dims;
}

/**
 * Finds out which of some execution providers works here, by running a small model on each.
 * @param {any} ort
 * @param {readonly import("./protocol.ts").Candidate[]} candidates in order of preference
 */
export async function pickProvider(ort, candidates) {
  const failures = [];
  // a provider that a build does not have is left out without a word
  const names = ort.listSupportedBackends?.().map((/** @type {{ name: string }} */ { name }) => name);
  for (const candidate of candidates) {
    try {
      if (names && !names.includes(candidate.config.provider))
        throw new Error(`ONNX Runtime has no ${candidate.config.provider} on this platform`);
      await tryNode(ort, candidate.config, nodeModel({ type: typeCodes.float32 }), [1]);
      return { candidate, failures };
    } catch (cause) {
      failures.push({ type: candidate.type, reason: cause instanceof Error ? cause.message : String(cause) });
    }
  }
  return { candidate: undefined, failures };
}

/** A node whose result tells how many channels a block has. */
export const REORDER = nodeModel({ type: typeCodes.float32, opType: "ReorderInput", domain: "com.microsoft.nchwc" });

/**
 * How many channels the CPU's convolutions keep beside one another (8 or 16), or 0 where they have no such layout.
 * @param {any} ort @param {BackendConfig} config
 */
export async function channelBlockOf(ort, config) {
  if (config.provider !== "cpu") return 0;
  try {
    const [, block] = await tryNode(ort, config, REORDER, [1, 4, 1, 1]);
    return block === 8 || block === 16 ? block : 0;
  } catch {
    return 0; // ONNX Runtime has no kernels for it on this processor
  }
}
