// @ts-check
/** The workloads of the benchmark, and a GPT-2 of 124 M parameters. */
import { gptSizes } from "../../../bench/gpt-sizes.mjs";
import { gpt, workloads } from "../../../bench/workloads.mjs";
import { isSmallest } from "./part.mjs";

const gpt2 = { vocab: 50257, width: 768, heads: 12, layers: 12, batch: 4, context: 512 };
const smallestGpt = { vocab: 65, width: 16, heads: 2, layers: 1, batch: 2, context: 16 };
const gpts = { ...gptSizes, gpt2 };

/** @param {string} name @param {{ precision?: "f32" | "f16", profile?: boolean }} options */
export function workloadOf(name, options) {
  if (name in gpts) return gpt(isSmallest ? smallestGpt : gpts[/** @type {keyof typeof gpts} */ (name)], options);
  return workloads[/** @type {"lstm"} */ (name)]({ ...options, isSmallest });
}

/** Runs a step and waits for its result. @param {ReturnType<typeof workloadOf>} workload */
export async function stepOf({ data, step }) {
  const run = /** @type {(...args: any[]) => Promise<import("../../../dist/tensor/index.js").Tensor>} */ (step);
  const result = await run(...data());
  if (result.shape.length === 0) return result.item();
  await result.toArray(); // a whole tensor is read: the run must have ended
  result.dispose();
}
