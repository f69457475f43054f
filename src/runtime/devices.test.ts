import { expect, test } from "vitest";
import { compile, mul, tensor } from "../tensor/index.ts";
import { Device } from "./index.ts";

test("auto takes something that works, and says what it left out and why", async () => {
  const device = new Device({ type: "auto" });
  const { type, failures } = await device.picked;
  expect(["cpu", "webgpu", "cuda", "coreml", "directml"]).toContain(type);
  for (const { reason } of failures) expect(reason.length).toBeGreaterThan(10);
  const double = compile((x: ReturnType<typeof tensor>) => mul(x, 2), { device });
  expect(await (await double(tensor([1, 2]))).toArray()).toEqual([2, 4]);
  await device.close();
});

test("a device that is absent is a clear error at its first use", async () => {
  const device = new Device({ type: process.platform === "darwin" ? "cuda" : "coreml" });
  const expected =
    /^device: expected (coreml|cuda) to be there; received (coreml|cuda): .*Fix: .*type "auto" or "cpu"/s;
  await expect(device.picked).rejects.toThrow(expected);
  await expect(compile((x: ReturnType<typeof tensor>) => mul(x, 2), { device }).run(tensor([1]))).rejects.toThrow(
    expected,
  );
  await device.close();
});

test("a type that does not exist here names those that do", () => {
  expect(() => new Device({ type: "wasm" })).toThrow(/"auto" or one of .*cpu; received "wasm"/);
  expect(() => new Device({ type: "webgpuu" as "webgpu" })).toThrow(/did you mean "webgpu"/);
});
