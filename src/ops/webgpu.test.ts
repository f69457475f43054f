/** The golden files again, on the WebGPU provider, where there is an adapter: a GPU, or one in software. */
import { readdirSync } from "node:fs";
import { afterAll, describe, test } from "vitest";
import { Device } from "../runtime/index.ts";
import { opTable } from "../testing/op-table.ts";
import { testOp } from "../testing/test-op.ts";

/** Of each op: making shaders in software takes a quarter of a second a case. More in npm run test:slow. */
const CASES = Number(process.env.KINDLING_WEBGPU_CASES ?? 1);

const device = new Device({ type: "webgpu" });
const failure: string | undefined = await device.picked.then(
  () => undefined,
  (cause) => cause.message,
);
afterAll(() => device.close());

if (failure) test.skip(`WebGPU: ${failure}`);
else {
  describe("WebGPU", () => {
    for (const name of readdirSync(new URL("../../golden/ops/", import.meta.url)).map((file) =>
      file.replace(".json", ""),
    )) {
      if (opTable[name])
        testOp(name, { ...opTable[name], device: () => device, finiteDifferences: false, firstCases: CASES });
    }
  });
}
