// @ts-check
/**
 * The device worker: owns ONNX Runtime, its sessions and all tensors. It runs in a thread of its own because
 * onnxruntime-node computes synchronously and would block the event loop of the program that uses Kindling.
 * Plain JavaScript, so that it starts without a TypeScript loader. The protocol is described in protocol.ts.
 */
import { parentPort, workerData } from "node:worker_threads";

/** @typedef {import("./protocol.ts").Request} Request */
/** @typedef {import("onnxruntime-node").Tensor} OrtTensor */

const port = /** @type {import("node:worker_threads").MessagePort} */ (parentPort);
const ort = await import("onnxruntime-node").catch((cause) => {
  throw new Error(`onnxruntime-node cannot be loaded: ${cause.message}`);
});

/** @type {Map<number, OrtTensor>} */
const buffers = new Map();
/** @type {Map<number, import("onnxruntime-node").InferenceSession>} */
const sessions = new Map();

const constructors = /** @type {const} */ ({
  float32: Float32Array,
  float16: Uint16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
});

/** @param {keyof typeof constructors} type @param {readonly number[]} shape @param {any} [data] */
function makeTensor(type, shape, data) {
  const count = shape.reduce((a, b) => a * b, 1);
  return new ort.Tensor(/** @type {any} */ (type), data ?? new constructors[type](count), shape);
}

/** @param {number} id */
function bufferOf(id) {
  const tensor = buffers.get(id);
  if (!tensor) throw new Error(`buffer ${id} was disposed`);
  return tensor;
}

/** @type {{ [K in Request["kind"]]: (request: Extract<Request, { kind: K }>) => any }} */
const handlers = {
  async compile({ executable, model, options }) {
    sessions.set(executable, await ort.InferenceSession.create(model, { logSeverityLevel: 3, ...workerData.sessionOptions, ...options }));
  },
  async run({ executable, inputs, hostInputs, outputs, newOutputs }) {
    const session = sessions.get(executable);
    if (!session) throw new Error("this compiled graph was disposed");
    /** @type {Record<string, OrtTensor>} */
    const feeds = {};
    let nextHost = 0;
    session.inputNames.forEach((name, i) => {
      if (inputs[i] !== 0) feeds[name] = bufferOf(inputs[i]);
      else {
        const { type, shape, data } = hostInputs[nextHost++];
        feeds[name] = makeTensor(type, shape, data);
      }
    });
    /** @type {Record<string, OrtTensor>} */
    const fetches = {};
    /** @type {any[]} */
    const data = [];
    session.outputNames.forEach((name, i) => {
      const made = newOutputs.get(i);
      const tensor = made ? makeTensor(made.type, made.shape) : bufferOf(outputs[i]);
      if (made && outputs[i] !== 0) buffers.set(outputs[i], tensor);
      if (outputs[i] === 0) data[i] = tensor.data;
      fetches[name] = tensor;
    });
    const started = performance.now();
    await session.run(feeds, fetches);
    return { computeMs: performance.now() - started, data };
  },
  upload({ buffer, type, shape, data }) {
    buffers.set(buffer, makeTensor(type, shape, data));
  },
  read({ buffer }) {
    const { data } = bufferOf(buffer);
    return /** @type {Float32Array} */ (data).slice();
  },
  free({ buffers: ids }) {
    for (const id of ids) buffers.delete(id);
  },
  async release({ executable }) {
    const session = sessions.get(executable);
    sessions.delete(executable);
    await session?.release();
  },
  async endProfiling({ executable }) {
    sessions.get(executable)?.endProfiling();
  },
};

/** Requests are served strictly in order, since later ones rely on the buffers that earlier ones fill. */
let queue = Promise.resolve();
port.on("message", (/** @type {Request} */ request) => {
  queue = queue.then(async () => {
    try {
      const handler = /** @type {(request: Request) => any} */ (handlers[request.kind]);
      const result = await handler(request);
      // numbers that go back were made for the answer: they are handed over, not copied
      const arrays = request.kind === "read" ? [result] : request.kind === "run" ? result.data : [];
      port.postMessage({ id: request.id, result }, [...new Set(arrays.filter(Boolean).map((/** @type {Float32Array} */ array) => array.buffer))]);
    } catch (cause) {
      port.postMessage({ id: request.id, error: cause instanceof Error ? cause.message : String(cause) });
    }
  });
});
