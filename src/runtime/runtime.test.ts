import { availableParallelism } from "node:os";
import { afterAll, expect, test, vi } from "vitest";
import { Graph, placeholder } from "../ir/index.ts";
import { add, exp, matmul, mul, sub, sum } from "../ops/index.ts";
import { Device } from "./index.ts";

const device = new Device({ threads: 1 });
afterAll(() => device.close());

const graphOf = (scale: number) => {
  const x = placeholder("x", { dtype: "f32", shape: [64] });
  return new Graph([x], [sum(mul(exp(x), scale))]);
};

test("equal graphs share one executable until the last is released", () => {
  const before = device.compiledCount;
  const [a, b] = [device.compile(graphOf(2)), device.compile(graphOf(2))];
  expect(a).toBe(b);
  device.release(a);
  expect(device.compiledCount).toBe(before + 1);
  device.release(b);
  expect(device.compiledCount).toBe(before);
});

test("state is updated in place", async () => {
  const w = placeholder("w", { dtype: "f32", shape: [4] });
  const graph = new Graph([w], [sub(w, mul(w, 0.5))]);
  const executable = device.compile(graph, { updates: [{ input: 0, output: 0 }] });
  expect(executable.inPlace.get(0)).toBe(0);
  const buffer = device.upload("f32", [4], Float32Array.of(8, 16, 24, 32));
  for (let i = 0; i < 3; i++) executable.run([buffer], new Map([[0, buffer]]));
  expect(Array.from((await buffer.read()) as Float32Array)).toEqual([1, 2, 3, 4]);
  buffer.dispose();
  device.release(executable);
});

test("errors of the runtime reach the caller, and the device goes on", async () => {
  const executable = device.compile(graphOf(3));
  expect(() => executable.run([{ data: new Float32Array(3), shape: [3] }])).toThrow(
    /expected shape \[64\]; received \[3\]/,
  );
  const gone = device.upload("f32", [64], new Float32Array(64));
  gone.dispose();
  await expect(executable.run([gone]).done).rejects.toThrow(/was disposed/);
  const { data } = await executable.run([{ data: new Float32Array(64), shape: [64] }], new Map([[0, "host"]])).done;
  expect(data[0]?.[0]).toBe(192);
  device.release(executable);
});

test("1000 rounds of compiling, running and disposing leave no memory behind", async () => {
  const round = async (i: number) => {
    const executable = device.compile(graphOf(10 + i)); // each graph is new
    const { outputs, done } = executable.run([{ data: new Float32Array(64), shape: [64] }]);
    await executable.ready;
    await done;
    outputs[0]?.dispose();
    device.release(executable);
  };
  const memory = () => {
    globalThis.gc?.();
    return process.memoryUsage().rss / 2 ** 20;
  };
  for (let i = 0; i < 300; i++) await round(i);
  const start = memory();
  for (let i = 300; i < 1300; i++) await round(i);
  expect(memory() - start).toBeLessThan(24); // MiB; a leak of one session each would be above 50
  expect(device.compiledCount).toBe(0);
}, 120_000);

test("the event loop stays free while the device computes", async () => {
  const x = placeholder("x", { dtype: "f32", shape: [1024, 1024] });
  let y = x;
  for (let i = 0; i < 12; i++) y = add(matmul(y, x), 1);
  const executable = device.compile(new Graph([x], [sum(y)]));
  await executable.ready;
  let longest = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 1);
  const { computeMs } = await executable.run([{ data: new Float32Array(1024 * 1024), shape: [1024, 1024] }]).done;
  clearInterval(timer);
  expect(longest).toBeLessThan(Math.max(50, computeMs / 2));
  device.release(executable);
});

test("a device that is closed rejects what is asked of it, and nothing else breaks", async () => {
  const closed = new Device({ threads: 1 });
  await closed.close();
  const executable = closed.compile(graphOf(5));
  const { done } = executable.run([{ data: new Float32Array(64), shape: [64] }]);
  await expect(executable.ready).rejects.toThrow(/the device was closed/);
  await expect(done).rejects.toThrow(/the device was closed/);
  closed.release(executable);
});

test("options are checked", () => {
  expect(() => new Device({ thread: 2 } as object)).toThrow(/did you mean "threads"/);
  expect(() => new Device({ threads: 0 })).toThrow(/at least 1/);
});

test("KINDLING_THREADS is how many threads a device has that is not told", () => {
  vi.stubEnv("KINDLING_THREADS", "3");
  expect(new Device().threads).toBe(3);
  for (const wrong of ["0", "two", ""]) {
    vi.stubEnv("KINDLING_THREADS", wrong);
    expect(new Device().threads).toBe(availableParallelism());
  }
  vi.unstubAllEnvs();
});
