import { expect, test } from "vitest";
import {
  compile,
  grad,
  maxPool,
  mul,
  normal,
  randomKey,
  remainder,
  sum,
  type Tensor,
  tanh,
  withScope,
} from "../tensor/index.ts";
import { Device, Profile } from "./index.ts";

const work = (x: Tensor<"f32">) => {
  const hidden = withScope("encoder", () => tanh(mul(x, 2)));
  const pooled = withScope("pool", () => maxPool(hidden, { kernelSize: 2 }));
  return grad(sum(pooled), [x])[0];
};

test("a profile has times and memory by op and by module, and makes a Chrome trace", async () => {
  const step = compile(work, { profile: true });
  const x = normal(randomKey(0), [2, 3, 64, 64]);
  for (let i = 0; i < 3; i++) await step(x);
  const profile = await step.profile();
  const ops = profile.rows("op").map(({ name }) => name);
  expect(ops).toEqual(expect.arrayContaining(["tanh", "maxPool", "indexAdd"]));
  expect(profile.rows("module").map(({ name }) => name)).toEqual(expect.arrayContaining(["encoder", "grad(pool)"]));
  expect(profile.rows("op").find(({ name }) => name === "tanh")).toMatchObject({
    calls: 3,
    outputBytes: 3 * 4 * 2 * 3 * 64 * 64,
  });
  const shares = profile.rows("operator").reduce((total, { share }) => total + share, 0);
  expect(shares).toBeCloseTo(1);
  expect(profile.table({ by: "module" })).toMatch(/^module +ms +share +calls +results MB\n/);
  expect(profile.fallbacks()).toEqual([]);
  const { traceEvents } = JSON.parse(profile.toChromeTrace());
  expect(traceEvents).toHaveLength(profile.events.length);
  expect(traceEvents[0]).toMatchObject({ ph: "X", pid: 1 });
});

test("a function that was not compiled for it has no profile", async () => {
  const step = compile((x: Tensor<"f32">) => mul(x, 2));
  await step(normal(randomKey(0), [2]));
  await expect(step.profile()).rejects.toThrow(/profile: true/);
});

test("what a GPU's provider leaves to the CPU is listed", { timeout: 120_000 }, async (context) => {
  const device = new Device({ type: "webgpu" });
  const isPresent = await device.picked.catch(() => undefined);
  if (!isPresent) return context.skip();
  const step = compile((x: Tensor<"f32">) => remainder(tanh(x), tanh(mul(x, 2))), { profile: true, device });
  await step(normal(randomKey(0), [4, 4]));
  const profile = await step.profile();
  expect(profile.fallbacks().map(({ name }) => name)).toContain("Mod");
  expect(profile.rows("operator").map(({ name }) => name)).toContain("Tanh");
  await device.close();
});

test("on WebGPU the times are those of the card's shaders, not of handing them over", () => {
  const node = (name: string, op_name: string, dur: number, provider = "WebGpuExecutionProvider") => ({
    cat: "Node",
    name: `${name}_kernel_time`,
    dur,
    args: { op_name, provider },
  });
  const shader = (name: string, dur: number) => ({ cat: "Api", name, dur });
  const run = [node("m/matmul/t1", "MatMul", 50), node("m/reshape/t2", "Reshape", 20), node("x", "MemcpyToHost", 700)];
  const onHost = node("m/scan/t3", "Gather", 90, "CPUExecutionProvider");
  const times = [1000, 2000, 3000, 5000].map((dur, i) => shader(`m/matmul/t1&MatMul&Program${i % 2}`, dur));
  const profile = Profile.parse(JSON.stringify([...run, onHost, ...run, ...times]));
  expect(profile.events.map(({ operator, durationMs }) => [operator, durationMs])).toEqual([
    ["MatMul", 3],
    ["Reshape", 0],
    ["MemcpyToHost", 0.7],
    ["Gather", 0.09],
    ["MatMul", 8],
    ["Reshape", 0],
    ["MemcpyToHost", 0.7],
  ]);
});

test("a file that is no profile is an error", () => {
  expect(() => Profile.parse("not json")).toThrow(/ONNX Runtime's profile/);
});
