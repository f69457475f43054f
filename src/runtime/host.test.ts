/** Operations that are computed in the program, in the middle of a graph. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, describe, expect, test, vi } from "vitest";
import { gradients } from "../autodiff/index.ts";
import { Graph, placeholder, type Value } from "../ir/index.ts";
import {
  add,
  apply,
  defineOp,
  exp,
  type HostFunction,
  mul,
  notDifferentiable,
  onHost,
  sub,
  sum,
} from "../ops/index.ts";
import { Device, type DeviceBuffer } from "./index.ts";
import { Buffers } from "./native/buffers.ts";

/** The same type out; what it computes is `compute`, and its reference gives x as it is. */
const hostOp = (compute: HostFunction) =>
  defineOp({
    name: "onHost",
    precision: "f32",
    batch: "oneByOne",
    inputs: ["x"],
    infer: ({ x }) => x,
    gradient: notDifferentiable("is a test"),
    lower: onHost(compute),
    reference: ({ x }) => x,
  });

/** Twice the numbers, later: as a sum over two processes would be. */
const twice = hostOp(async ([{ dtype, shape, data }]) => {
  await sleep(5);
  return [{ dtype, shape, data: (data as Float32Array).map((x) => 2 * x) }];
});

const input = (label: string, shape: readonly number[] = [4]) => placeholder(label, { dtype: "f32", shape });
const [w, v, x] = [input("w"), input("v"), input("x")];

/** A step of descent whose gradients go over the host: w and v are state, and change by all gradients at once. */
function trainingStep(op = twice): Graph {
  const loss = sum(mul(mul(w, v), x));
  const [dw, dv] = gradients(loss, [w, v]).map((gradient) => apply(op, [gradient]));
  return new Graph([w, v, x], [sub(w, mul(dw, 0.5)), sub(v, mul(dv, 0.5)), loss]);
}
const updates = [
  { input: 0, output: 0 },
  { input: 1, output: 1 },
];
/** State goes back into its buffers, the loss to the host. */
const targetsOf = (state: readonly DeviceBuffer[]) =>
  new Map<number, DeviceBuffer | "host">([...state.entries(), [2, "host"]]);
const numbersOf = (data: unknown) => Array.from(data as Float32Array);

describe.each(["C API", "onnxruntime-node"] as const)("by %s", (binding) => {
  const device = new Device({ threads: 1, cache: false, binding });
  afterAll(() => device.close());
  const upload = (...data: number[]) => device.upload("f32", [data.length], Float32Array.from(data));

  test("a step with a computation on the host in its middle updates its state where it is", async () => {
    const executable = device.compile(trainingStep(), { updates });
    expect([...executable.inPlace]).toEqual([
      [0, 0],
      [1, 1],
    ]);
    const state = [upload(1, 2, 3, 4), upload(1, 1, 1, 1)];
    const batch = upload(1, 0, 0, 2);
    await Promise.all(state.map((buffer) => buffer.read()));
    await executable.ready;
    const keep = vi.spyOn(Buffers.prototype, "keep");
    const before = device.copiedBytes;
    const into = targetsOf(state);
    const { done } = executable.run([...state, batch], into);
    expect(numbersOf((await done).data[2])).toEqual([9]);
    expect(keep).not.toHaveBeenCalled(); // no buffer got another tensor
    keep.mockRestore();
    // what the host is given is copied, and nothing else
    if (before !== undefined) expect((device.copiedBytes as number) - before).toBe(2 * 4 * 4);
    expect(numbersOf(await state[0].read())).toEqual([0, 2, 3, 2]); // w - v x
    expect(numbersOf(await state[1].read())).toEqual([0, 1, 1, -7]); // v - w x, of the same moment
    device.release(executable);
  });

  test("a step whose computation on the host fails leaves all state as it was, and says where and why", async () => {
    const reason = new Error("the other process is gone");
    const failing = hostOp(() => Promise.reject(reason));
    const executable = device.compile(trainingStep(failing), { updates });
    const state = [upload(1, 2, 3, 4), upload(1, 1, 1, 1)];
    const into = targetsOf(state);
    const { done } = executable.run([...state, upload(1, 1, 1, 1)], into);
    await expect(done).rejects.toThrow(
      /^onHost: expected .*on the host to succeed; received the other process is gone/,
    );
    await expect(done).rejects.toMatchObject({ cause: reason });
    expect(numbersOf(await state[0].read())).toEqual([1, 2, 3, 4]);
    expect(numbersOf(await state[1].read())).toEqual([1, 1, 1, 1]);
    device.release(executable);
  });

  const run = async (y: Value, signal?: AbortSignal) => {
    const executable = device.compile(new Graph([x], [y]));
    try {
      const { done } = executable.run([upload(0, 1, 2, 3)], new Map([[0, "host"]]), { signal });
      return numbersOf((await done).data[0]);
    } finally {
      device.release(executable);
    }
  };

  test("results of the host may be results of the graph, once or twice, and stay whose they are", async () => {
    const shared = new Float32Array(4).fill(7);
    const constant = hostOp(([{ dtype, shape }]) => [{ dtype, shape, data: shared }]);
    const y = apply(constant, [exp(x)]);
    const executable = device.compile(new Graph([x], [y, y, x]));
    const { outputs, done } = executable.run([upload(0, 1, 2, 3)]);
    await done;
    shared.fill(0);
    const results = await Promise.all(outputs.map((buffer) => buffer?.read()));
    expect(results.map(numbersOf)).toEqual([
      [7, 7, 7, 7],
      [7, 7, 7, 7],
      [0, 1, 2, 3],
    ]);
    device.release(executable);
  });

  test("graphs that differ only in what the host computes are not taken for one another", async () => {
    const plus = (n: number) => hostOp(([a]) => [{ ...a, data: (a.data as Float32Array).map((value) => value + n) }]);
    expect(await run(apply(plus(1), [x]))).toEqual([1, 2, 3, 4]);
    expect(await run(apply(plus(2), [x]))).toEqual([2, 3, 4, 5]);
  });

  test("a result of another type than the entry says is an error", async () => {
    const wrong = hostOp(([{ dtype }]) => [{ dtype, shape: [2], data: new Float32Array(2) }]);
    await expect(run(add(apply(wrong, [x]), 1))).rejects.toThrow(/to give f32\[4\]; received f32\[2\] of 2 numbers/);
    const short = hostOp(([{ dtype, shape }]) => [{ dtype, shape, data: new Float32Array(2) }]);
    await expect(run(add(apply(short, [x]), 1))).rejects.toThrow(/to give f32\[4\]; received f32\[4\] of 2 numbers/);
  });

  test("the signal of a run reaches the computation, and what the run fails with is its reason", async () => {
    const controller = new AbortController();
    const waiting = hostOp(async (_, { signal }) => {
      setImmediate(() => controller.abort(new Error("enough")));
      await sleep(60_000, undefined, { signal });
      return [];
    });
    await expect(run(add(apply(waiting, [x]), 1), controller.signal)).rejects.toThrow("enough");
    expect(await run(add(apply(twice, [x]), 1))).toEqual([1, 3, 5, 7]); // the device goes on
  });
});
