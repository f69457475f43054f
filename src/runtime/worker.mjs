// @ts-check
/**
 * The device in Node: a thread of its own, because onnxruntime-node computes synchronously and would block the event
 * loop of the program that uses Kindling.
 */
import { parentPort, workerData } from "node:worker_threads";
import { serve } from "./serve.mjs";

const port = /** @type {import("node:worker_threads").MessagePort} */ (parentPort);
const ort = await import("onnxruntime-node").catch((cause) => {
  throw new Error(`onnxruntime-node cannot be loaded: ${cause.message}`);
});
const receive = await serve(ort.default ?? ort, workerData.candidates, (answer, transfer) =>
  port.postMessage(answer, transfer),
);
port.on("message", receive);
