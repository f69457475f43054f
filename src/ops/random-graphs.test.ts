/** Random programs and their gradients: the runtime agrees with the plain reference. */
import fc from "fast-check";
import { afterAll, test } from "vitest";
import { Device } from "../runtime/index.ts";
import { checkProgram, GPU_TOLERANCE } from "../testing/check-program.ts";
import { randomProgram } from "../testing/random-graph.ts";

test("random programs and their gradients on the CPU", () =>
  fc.assert(
    fc.asyncProperty(randomProgram, fc.integer({ min: 0, max: 1000 }), async (program, seed) => {
      await checkProgram(program, seed);
    }),
    { numRuns: 150 },
  ));

const gpu = new Device({ type: "webgpu" });
const hasGpu = await gpu.picked.then(
  () => true,
  () => false,
);
afterAll(() => gpu.close());

test.skipIf(!hasGpu)("random programs and their gradients on WebGPU", { timeout: 300_000 }, () =>
  fc.assert(
    fc.asyncProperty(randomProgram, fc.integer({ min: 0, max: 1000 }), async (program, seed) => {
      await checkProgram(program, seed, { device: gpu, tolerance: GPU_TOLERANCE });
    }),
    { numRuns: Number(process.env.KINDLING_WEBGPU_PROGRAMS ?? 8) },
  ),
);
