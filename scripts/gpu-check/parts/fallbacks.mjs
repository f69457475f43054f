// @ts-check
/** What of a step is left to the CPU on the card, and which kernels take how long there. */
import { Device } from "../../../dist/runtime/index.js";
import { setDefaultDevice } from "../../../dist/tensor/index.js";
import { provider, report, textOf } from "./part.mjs";
import { stepOf, workloadOf } from "./workload.mjs";

/** @type {Record<string, object>} */
const result = {};
for (const name of ["gpt-M", "bert", "resnet18", "lstm"]) {
  for (const precision of /** @type {const} */ (["f32", "f16"])) {
    const device = new Device({ type: provider });
    setDefaultDevice(device);
    try {
      const workload = workloadOf(name, { profile: true, precision });
      for (let i = 0; i < 3; i++) await stepOf(workload);
      const profile = (await workload.profile()).lastRuns(1, 3);
      const fallbacks = profile.fallbacks().map((row) => `${row.name} x${row.calls}`);
      const copies = profile.rows("operator").filter((row) => row.name.startsWith("Memcpy"));
      result[`${name} ${precision}`] = {
        fallbacks,
        copies: copies.map((row) => `${row.name} x${row.calls}, ${(row.outputBytes / 1e6).toFixed(2)} MB`),
        kernels: profile.rows("operator").slice(0, 15),
      };
    } catch (cause) {
      result[`${name} ${precision}`] = { failure: textOf(cause) };
    }
    report(result);
    await device.close();
  }
}
report({ ...result, isComplete: true });
