import { pullBack } from "../autodiff/index.ts";
import { substitute, type Value } from "../ir/index.ts";
import { evaluate, hostTensor, scalar, sum } from "../ops/index.ts";
import type { Device } from "../runtime/index.ts";
import { readValues } from "../tensor/execute.ts";
import { DataLeaf } from "../tensor/leaf.ts";
import { fromLeaf } from "../tensor/tensor.ts";
import { expectClose } from "./close.ts";
import { buildProgram, type RandomProgram } from "./random-graph.ts";

/** Errors of up to a dozen ops add up. */
const TOLERANCE = 2e-4;
/** Sines are good to 2^-11 on a GPU. */
export const GPU_TOLERANCE = 4e-3;

/**
 * Runs a random program and its gradients, and compares them with the plain reference; -> the largest error.
 * @throws Error when one is beyond the tolerance
 */
export async function checkProgram(
  program: RandomProgram,
  seed: number,
  { device, tolerance = TOLERANCE }: { device?: Device; tolerance?: number } = {},
): Promise<number> {
  const { inputs, outputs } = buildProgram(program);
  const numbers = inputs.map(({ shape }, i) =>
    Float32Array.from({ length: (shape as number[]).reduce((a, b) => a * b, 1) }, (_, j) =>
      Math.sin(seed + 1.7 * i + 2.3 * j + 0.1 * j * j),
    ),
  );
  const leaves = inputs.map(
    ({ shape }, i) => fromLeaf(new DataLeaf("f32", shape as number[], { host: numbers[i] })).ir,
  );
  const values = substitute(outputs, new Map(inputs.map((input, i) => [input, leaves[i]] as const)));
  const losses = values.map((value) => sum(value));
  const gradients = pullBack(
    losses,
    losses.map(() => scalar(1, "f32")),
    leaves,
  ).filter((gradient): gradient is Value => gradient !== undefined);
  const all = [...values, ...gradients];
  const plain = evaluate(all, new Map(leaves.map((leaf, i) => [leaf, hostTensor(leaf.shape, numbers[i])] as const)));
  const computed = await readValues(all, { on: device });
  const errors = computed.map((data, i) =>
    expectClose(i < values.length ? `output ${i}` : `gradient ${i - values.length}`, data, plain[i].data, tolerance),
  );
  return Math.max(0, ...errors);
}
