// @ts-check
import { channelBlockOf, createBackend, pickProvider } from "./backend.mjs";

/**
 * Answers requests one after another. Sends first which device was picked.
 * @param {any} ort the module onnxruntime-node or onnxruntime-web
 * @param {readonly import("./protocol.ts").Candidate[]} candidates
 * @param {(answer: import("./protocol.ts").Message, transfer: ArrayBuffer[]) => void} send
 * @returns {Promise<(request: import("./protocol.ts").ToBackend) => void>} takes requests
 */
export async function serve(ort, candidates, send) {
  const { candidate, failures } =
    candidates.length > 1 || candidates[0].isUncertain
      ? await pickProvider(ort, candidates)
      : { candidate: candidates[0], failures: [] };
  const channelBlock = candidate ? await channelBlockOf(ort, candidate.config) : 0;
  send({ picked: candidate?.type, failures, channelBlock }, []);
  if (!candidate) return () => {}; // nothing is asked of a device that is not there
  return answerInOrder((callHost) => createBackend(ort, candidate.config, callHost), send);
}

/**
 * @typedef {import("./protocol.ts").HostCall} HostCall
 * @typedef {import("./protocol.ts").HostData} HostData
 * @typedef {import("./protocol.ts").Request} Request
 */

/**
 * Gives requests to a backend, each when the one before it is answered.
 * @param {(callHost: (call: HostCall) => Promise<HostData[]>) => (request: Request) => Promise<any>} makeBackend
 * @param {(answer: import("./protocol.ts").Message, transfer: ArrayBuffer[]) => void} send
 * @param {(request: Request) => boolean} isBeside whether a request waits for none before it, and none for it
 * @returns {(request: import("./protocol.ts").ToBackend) => void} takes requests
 */
export function answerInOrder(makeBackend, send, isBeside = () => false) {
  /** @type {Map<number, { resolve: (outputs: any) => void, reject: (cause: Error) => void }>} */
  const hostCalls = new Map();
  let nextCall = 1;
  const handle = makeBackend((call) => {
    const number = nextCall++;
    // registered first: beside the caller, the answer comes before `send` returns
    const outputs = new Promise((resolve, reject) => hostCalls.set(number, { resolve, reject }));
    send({ hostCall: number, ...call }, []);
    return outputs;
  });

  /** Requests are served strictly in order, since later ones rely on the buffers that earlier ones fill. */
  let queue = Promise.resolve();
  return (request) => {
    if ("hostCall" in request) {
      const call = hostCalls.get(request.hostCall);
      hostCalls.delete(request.hostCall);
      if (request.error !== undefined) call?.reject(new Error(request.error));
      else call?.resolve(request.outputs);
      return;
    }
    if (isBeside(request)) void answer(request);
    else queue = queue.then(() => answer(request));
  };

  /** @param {Request} request */
  async function answer(request) {
    try {
      const result = await handle(request);
      // numbers that go back were made for the answer: they are handed over, not copied
      const arrays = request.kind === "read" ? [result] : request.kind === "run" ? result.data : [];
      send({ id: request.id, result }, [
        ...new Set(arrays.filter(Boolean).map((/** @type {Float32Array} */ array) => array.buffer)),
      ]);
    } catch (cause) {
      send({ id: request.id, error: cause instanceof Error ? cause.message : String(cause) }, []);
    }
  }
}
