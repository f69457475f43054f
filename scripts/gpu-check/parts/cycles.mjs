// @ts-check
/** Compile, run and dispose, 500 times on one device: what stays of the memory. */
import { Device } from "../../../dist/runtime/index.js";
import { compile, grad, matmul, normal, randomKey, sum, tanh } from "../../../dist/tensor/index.js";
import { cardMemory, isSmallest, provider, report } from "./part.mjs";

const CYCLES = isSmallest ? 5 : 500;
const WIDTH = isSmallest ? 16 : 1024;
const device = new Device({ type: provider });
/** @type {{ cycle: number, cardMiB?: number, residentMiB: number }[]} */
const memory = [];
const started = performance.now();
for (let cycle = 1; cycle <= CYCLES; cycle++) {
  const rows = 8 + (cycle % 7); // other shapes, so that nothing is compiled already
  const x = normal(randomKey(cycle), [rows, WIDTH]);
  const step = compile(
    (/** @type {typeof x} */ a) => {
      const loss = sum(tanh(matmul(a, a, { transposeB: true })));
      return grad(loss, [a])[0];
    },
    { device },
  );
  const result = step(x);
  await result.toArray();
  result.dispose();
  x.dispose();
  step.dispose();
  if (cycle === 20 || cycle % Math.ceil(CYCLES / 5) === 0) {
    const residentMiB = Math.round(process.memoryUsage().rss / 2 ** 20);
    memory.push({ cycle, cardMiB: await cardMemory(), residentMiB });
    report({ cycles: cycle, msEach: (performance.now() - started) / cycle, memory });
  }
}
report({ cycles: CYCLES, msEach: (performance.now() - started) / CYCLES, memory, isComplete: true });
await device.close();
