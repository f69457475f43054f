/** The cross-entropy by parts on WebGPU, where its loops are unrolled and lookups fail at nothing. */
import { afterAll, expect, test } from "vitest";
import { Device } from "../runtime/index.ts";
import { compile, grad, type Tensor, tensor } from "../tensor/index.ts";
import { expectClose } from "../testing/close.ts";
import { linearCrossEntropy } from "./index.ts";

const [cpu, gpu] = [new Device({ threads: 1 }), new Device({ type: "webgpu" })];
const isPresent = await gpu.picked.then(
  () => true,
  () => false,
);
afterAll(() => Promise.all([cpu.close(), gpu.close()]));

const waves = (rows: number, columns: number) =>
  tensor(
    Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(1 + 3 * i)),
    { shape: [rows, columns] },
  );

test.skipIf(!isPresent)("loss and gradients are the CPU's; a label that is no class makes the loss NaN", async () => {
  const step = (hidden: Tensor<"f32">, weight: Tensor<"f32">, targets: Tensor<"i32">) => {
    const loss = linearCrossEntropy(hidden, weight, targets, { chunk: 8, labelSmoothing: 0.1, logitSoftCap: 3 });
    return [loss, ...grad(loss, [hidden, weight])];
  };
  const [expected, actual] = [cpu, gpu].map((device) => compile(step, { device }));
  const inputs = [waves(5, 16), waves(17, 16)] as const;
  const labels = (last: number) => tensor(Int32Array.from([0, 16, -100, 8, last]));
  const [theirs, ours] = [await expected(...inputs, labels(7)), await actual(...inputs, labels(7))];
  for (const [i, each] of ours.entries()) expectClose(`result ${i}`, await each.read(), await theirs[i].read(), 2e-5);
  for (const label of [-1, 17]) expect(await (await actual(...inputs, labels(label)))[0].item()).toBeNaN();
});
