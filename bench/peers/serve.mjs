// @ts-check
/**
 * What the peers share: their arguments, and the protocol by which another program asks for steps (as in
 * ../torch/run.py). Requests: "step N" runs N steps and gives {"times_ms": [...]}; "memory" gives {"peakRssBytes": n};
 * "quit".
 */
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

/** --workload, --threads, --batch (another than the workload's own) and --backend. */
export function peerArguments() {
  /** @type {const} */
  const options = {
    workload: { type: "string" },
    threads: { type: "string" },
    batch: { type: "string" },
    backend: { type: "string" },
  };
  const { workload = "mlp", threads = "2", batch, backend } = parseArgs({ options }).values;
  return { workload, threads: Number(threads), batch: batch ? Number(batch) : undefined, backend };
}

/** Whole numbers below a limit. @param {number} length @param {number} limit */
export const integers = (length, limit) => Int32Array.from({ length }, () => Math.floor(Math.random() * limit));

/** Numbers from 0 to 1. @param {number} length */
export const uniforms = (length) => Float32Array.from({ length }, () => Math.random());

/** From the normal distribution. @param {number} length @param {number} [deviation] */
export const normals = (length, deviation = 1) =>
  Float32Array.from(
    { length },
    () => deviation * Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()),
  );

/**
 * Answers requests until "quit". `data` is made outside the time of the step it is for.
 * @template T
 * @param {object} ready what to say first: parameters, batch, version ...
 * @param {() => T} data
 * @param {(data: T) => void | Promise<unknown>} step
 */
export async function serve(ready, data, step) {
  /** @param {object} value */
  const answer = (value) => console.log(JSON.stringify(value));
  answer({ ready: true, ...ready });
  for await (const line of createInterface({ input: process.stdin })) {
    const [request, count] = line.split(" ");
    if (request === "step") {
      const times_ms = [];
      for (let i = 0; i < Number(count); i++) {
        const batch = data();
        const started = performance.now();
        await step(batch);
        times_ms.push(performance.now() - started);
      }
      answer({ times_ms });
    } else if (request === "memory") {
      answer({ peakRssBytes: process.resourceUsage().maxRSS * 1024 });
    } else {
      break;
    }
  }
  process.exit(0);
}
