// @ts-check
/** The time of a workload's step on the card in f32 and with products in f16, and the memory that it takes. */
import { Device } from "../../../dist/runtime/index.js";
import { setDefaultDevice } from "../../../dist/tensor/index.js";
import { args, cardMemory, isSmallest, median, provider, report, textOf } from "./part.mjs";
import { stepOf, workloadOf } from "./workload.mjs";

const [name] = args;
const WARM_UP_STEPS = 3;
const MOST_STEPS = isSmallest ? 2 : 50;
const MOST_MS = isSmallest ? 2000 : 3000;
const before = await cardMemory();

/** @param {"f32" | "f16"} precision */
async function measure(precision) {
  const device = new Device({ type: provider });
  setDefaultDevice(device);
  try {
    const workload = workloadOf(name, { precision });
    const started = performance.now();
    const loss = await stepOf(workload);
    const firstMs = performance.now() - started;
    for (let i = 1; i < WARM_UP_STEPS; i++) await stepOf(workload);
    const times = [];
    const begun = performance.now();
    while (times.length < MOST_STEPS && performance.now() - begun < MOST_MS) {
      const start = performance.now();
      await stepOf(workload);
      times.push(performance.now() - start);
    }
    const during = await cardMemory();
    return {
      ms: median(times),
      steps: times.length,
      firstMs,
      loss,
      cardMiB: during !== undefined && before !== undefined ? during - before : undefined,
      residentMiB: Math.round(process.memoryUsage().rss / 2 ** 20),
    };
  } catch (cause) {
    return { failure: textOf(cause) };
  } finally {
    await device.close();
  }
}

const f32 = await measure("f32");
report({ f32 });
const f16 = await measure("f16");
report({ f32, f16, isComplete: true });
