/** Random programs and their gradients: the runtime agrees with the plain reference. */
import fc from "fast-check";
import { afterAll, test } from "vitest";
import { pullBack } from "../autodiff/index.ts";
import { substitute, type Value } from "../ir/index.ts";
import { Device } from "../runtime/index.ts";
import { readValues } from "../tensor/execute.ts";
import { DataLeaf } from "../tensor/leaf.ts";
import { fromLeaf } from "../tensor/tensor.ts";
import { expectClose } from "../testing/close.ts";
import { buildProgram, type RandomProgram, randomProgram } from "../testing/random-graph.ts";
import { evaluate, hostTensor, scalar, sum } from "./index.ts";

/** Errors of up to a dozen ops add up. */
const TOLERANCE = 2e-4;

async function checkProgram(
  program: RandomProgram,
  seed: number,
  { device, tolerance = TOLERANCE }: { device?: Device; tolerance?: number } = {},
): Promise<void> {
  const { inputs, outputs } = buildProgram(program);
  const numbers = inputs.map(({ shape }, i) =>
    Float32Array.from({ length: (shape as number[]).reduce((a, b) => a * b, 1) }, (_, j) =>
      Math.sin(seed + 1.7 * i + 2.3 * j + 0.1 * j * j),
    ),
  );
  const leaves = inputs.map(
    ({ shape }, i) => fromLeaf(new DataLeaf("f32", shape as number[], { host: numbers[i] })).ir,
  );
  const given = new Map(inputs.map((input, i) => [input, leaves[i]] as const));
  const values = substitute(outputs, given);
  const losses = values.map((value) => sum(value));
  const gradients = pullBack(
    losses,
    losses.map(() => scalar(1, "f32")),
    leaves,
  ).filter((gradient): gradient is Value => gradient !== undefined);
  const all = [...values, ...gradients];
  const plain = evaluate(all, new Map(leaves.map((leaf, i) => [leaf, hostTensor(leaf.shape, numbers[i])] as const)));
  const computed = await readValues(all, device);
  for (const [i, data] of computed.entries()) {
    expectClose(i < values.length ? `output ${i}` : `gradient ${i - values.length}`, data, plain[i].data, tolerance);
  }
}

test("random programs and their gradients on the CPU", () =>
  fc.assert(
    fc.asyncProperty(randomProgram, fc.integer({ min: 0, max: 1000 }), (program, seed) => checkProgram(program, seed)),
    { numRuns: 150 },
  ));

const gpu = new Device({ type: "webgpu" });
const hasGpu = await gpu.picked.then(
  () => true,
  () => false,
);
afterAll(() => gpu.close());
/** Sines are good to 2^-11 on a GPU. */
const GPU_TOLERANCE = 4e-3;

test.skipIf(!hasGpu)("random programs and their gradients on WebGPU", { timeout: 300_000 }, () =>
  fc.assert(
    fc.asyncProperty(randomProgram, fc.integer({ min: 0, max: 1000 }), (program, seed) =>
      checkProgram(program, seed, { device: gpu, tolerance: GPU_TOLERANCE }),
    ),
    { numRuns: Number(process.env.KINDLING_WEBGPU_PROGRAMS ?? 8) },
  ),
);
