/** Training on WebGPU in Node, where there is an adapter: the losses of the CPU, and state that stays on the GPU. */
import { afterAll, expect, test } from "vitest";
import { Device } from "./runtime/index.ts";
import { setDefaultDevice } from "./tensor/index.ts";
import { trainBoth } from "./testing/page/program.ts";

const [cpu, gpu] = [new Device({ threads: 1 }), new Device({ type: "webgpu" })];
const isPresent = await gpu.picked.then(
  () => true,
  () => false,
);
afterAll(async () => {
  setDefaultDevice(undefined);
  await Promise.all([cpu.close(), gpu.close()]);
});

test.skipIf(!isPresent)("an MLP and a GPT train with the losses of the CPU", { timeout: 240_000 }, async () => {
  setDefaultDevice(cpu);
  const expected = await trainBoth();
  setDefaultDevice(gpu);
  const found = await trainBoth();
  for (const name of ["mlp", "gpt"] as const) {
    for (const [i, loss] of expected[name].entries()) expect(Math.abs(found[name][i] - loss)).toBeLessThan(2e-4 * loss);
  }
});
