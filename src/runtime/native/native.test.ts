import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  add,
  compile,
  constant,
  flip,
  gather,
  grad,
  inverse,
  matmul,
  mul,
  normal,
  randomKey,
  sin,
  sub,
  sum,
  type Tensor,
  tensor,
  Variable,
} from "../../tensor/index.ts";
import { Device } from "../index.ts";

type F = Tensor<"f32">;
type I = Tensor<"i32">;

const device = new Device({ binding: "C API" });
const plain = new Device({ binding: "onnxruntime-node" });
afterAll(() => Promise.all([device.close(), plain.close()]));

test("the C API is what the CPU is used by, unless another is asked for", async () => {
  expect((await device.picked).binding).toBe("C API");
  expect((await plain.picked).binding).toBe("onnxruntime-node");
  expect((await new Device({ type: "cpu" }).picked).binding).toBe("C API");
});

/** Three steps of gradient descent, with results of both kinds: small ones that come back, and one that stays. */
async function train(on: Device) {
  const w = new Variable({ dtype: "f32", shape: [300, 300] }, await normal(randomKey(3), [300, 300]).read());
  const step = compile(
    (x: F) => {
      const y = matmul(sin(x), w.value);
      const loss = sum(mul(y, y));
      w.assign(sub(w.value, mul(grad(loss, [w])[0], 1e-4)));
      return { loss, y };
    },
    { device: on },
  );
  const x = tensor(await normal(randomKey(4), [300, 300]).read(), { shape: [300, 300] });
  const losses = [];
  let y: Float32Array = new Float32Array();
  for (let i = 0; i < 3; i++) {
    const result = await step.run(x);
    losses.push(await result.loss.item());
    y = await result.y.read();
  }
  return { losses, y, w: await w.read() };
}

test("gives the numbers of the plain binding", async () => {
  expect(await train(device)).toEqual(await train(plain));
});

test("a step copies what it is given and what is read, and nothing else", async () => {
  const w = new Variable({ dtype: "f32", shape: [1000, 1000] }, new Float32Array(1e6));
  const step = compile(
    (x: F) => {
      w.assign(add(w.value, x));
      return sum(w.value);
    },
    { device },
  );
  await step.run(tensor([1]));
  const before = device.copiedBytes as number;
  for (let i = 0; i < 10; i++) await step.run(tensor([1]));
  expect((device.copiedBytes as number) - before).toBe(10 * 4);
  expect((await w.read())[999_999]).toBe(11);
  expect((device.copiedBytes as number) - before).toBe(10 * 4 + 4e6);
});

test("an op that is computed on the host gets its answer", async () => {
  const f = compile((x: F) => add(inverse(x), 1), { device });
  expect(
    await (
      await f(
        tensor([
          [2, 0],
          [0, 4],
        ]),
      )
    ).read(),
  ).toEqual(Float32Array.of(1.5, 1, 1, 1.25));
});

test("graphs that share large constants have them once", async () => {
  const table = constant("f32", [512, 512], new Float32Array(512 * 512).fill(2));
  const [a, b] = [
    compile((x: F) => matmul(x, table), { device }),
    compile((x: F) => add(matmul(x, table), 1), { device }),
  ];
  const bare = compile((x: F) => matmul(x, table), { device: plain });
  const x = tensor(new Float32Array(512).fill(0.5), { shape: [1, 512] });
  expect(await (await a(x)).read()).toEqual(await (await bare(x)).read());
  expect((await (await b(x)).read())[0]).toBe(513);
  a.dispose();
  expect((await (await b(x)).read())[511]).toBe(513); // what they share lives as long as one of them
  b.dispose();
});

describe("a failed run", () => {
  const outOfRange = tensor([9], { dtype: "i32" });

  test.each([{ keepPreviousState: false }, { keepPreviousState: true }])(
    "leaves all its state as it was: %o",
    async (options) => {
      const [v, w] = [1, 2].map((fill) => new Variable({ dtype: "f32", shape: [4] }, new Float32Array(4).fill(fill)));
      const step = compile(
        (indices: I) => {
          v.assign(mul(v.value, 2)); // does not need the indices, so it might come first
          w.assign(add(w.value, gather(v.value, indices)));
          return sum(w.value);
        },
        { device, ...options },
      );
      const good = tensor([1], { dtype: "i32" });
      await step.run(good);
      const state = async () => [Array.from(await v.read()), Array.from(await w.read())];
      const before = await state();
      await expect(step.run(outOfRange)).rejects.toThrow(/out of data bounds/);
      expect(await state()).toEqual(before);
      const results = await Promise.allSettled([
        step.run(outOfRange),
        step.run(outOfRange),
        step.run(good),
        step.run(outOfRange),
      ]);
      expect(results.map(({ status }) => status)).toContain("rejected");
      await step.run(good);
      const [[first]] = await state();
      expect(Math.log2(first) % 1).toBe(0); // doubled a whole number of times, and nothing else
    },
  );

  test("and those that were called with it leave two buffers to take turns", async () => {
    const w = new Variable({ dtype: "f32", shape: [3] }, Float32Array.of(1, 2, 3));
    const step = compile((indices: I) => w.assign(add(flip(w.value), gather(w.value, indices))), {
      device,
      keepPreviousState: true,
    });
    await Promise.allSettled([step.run(outOfRange), step.run(outOfRange)]);
    await step.run(tensor([0], { dtype: "i32" }));
    expect(await w.read()).toEqual(Float32Array.of(4, 3, 2)); // read and written in one place it would be 4, 3, 5
    step.dispose();
  });
});

describe("a run with a signal", () => {
  const SIZE = 2_000_000;
  const chain = (x: F): F => {
    let y = x;
    for (let i = 0; i < 400; i++) y = sin(y);
    return y;
  };
  const filled = (value: number) => new Variable({ dtype: "f32", shape: [SIZE] }, new Float32Array(SIZE).fill(value));
  const w = filled(1);
  const slow = compile(
    (x: F) => {
      const y = chain(add(w.value, x));
      w.assign(y);
      return sum(y);
    },
    { device },
  );
  const small = compile((x: F) => sum(sin(x)), { device });
  const abortAfter = (milliseconds: number) => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error("enough")), milliseconds);
    return controller.signal;
  };
  const one = tensor([1]);
  const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
  beforeAll(async () => {
    await expect(slow.withSignal(abortAfter(0))(one)).rejects.toThrow("enough"); // compiled, and not begun
    await small.run(one);
  });
  afterAll(() => {
    slow.dispose();
    small.dispose();
  });

  test("ends by it, and those behind it do not", async () => {
    const started = performance.now();
    const run = expect(slow.withSignal(abortAfter(100))(one)).rejects.toThrow("enough");
    await wait(50);
    const behind = small.run(tensor([0]));
    await run;
    expect(performance.now() - started).toBeLessThan(1000); // of several seconds
    expect(await (await behind).item()).toBe(0);
  });

  test("that wrote in place makes its state an error, not a mixture", async () => {
    await expect(w.read()).rejects.toThrow(/the run that was to write this tensor failed/);
    w.set(new Float32Array(SIZE).fill(3));
    expect((await w.read())[7]).toBe(3);
  });

  test("that waits for its turn is dropped, and leaves its state as it was", async () => {
    const v = new Variable({ dtype: "f32", shape: [2] }, Float32Array.of(1, 2));
    const double = compile(() => v.assign(mul(v.value, 2)), { device });
    const kept = compile(() => v.assign(mul(flip(v.value), 3)), { device, keepPreviousState: true });
    await double.run();
    await kept.run(); // 12, 6
    w.set(new Float32Array(SIZE).fill(3));
    const [underWay, waiting] = [new AbortController(), new AbortController()];
    const settled = Promise.allSettled([
      slow.withSignal(underWay.signal)(one),
      double.withSignal(waiting.signal)(),
      kept.withSignal(waiting.signal)(),
      double.run(), // of what the dropped one was to make
    ]);
    await wait(10); // the first has begun
    waiting.abort(new Error("dropped"));
    underWay.abort(new Error("enough")); // only now, so that the others cannot have had their turn, however busy it is
    const reasons = (await settled).map((result) => result.status === "rejected" && result.reason.message);
    expect(reasons).toEqual(["enough", "dropped", "dropped", expect.stringMatching(/cancelled before it began/)]);
    expect(await v.read()).toEqual(Float32Array.of(12, 6));
    await kept.run();
    expect(await v.read()).toEqual(Float32Array.of(18, 36));
    double.dispose();
    kept.dispose();
  });

  test("is not begun when it is aborted already, and not ended when it is over", async () => {
    await expect(small.withSignal(AbortSignal.abort(new Error("before")))(one)).rejects.toThrow("before");
    const controller = new AbortController();
    const result = await small.withSignal(controller.signal)(tensor([0]));
    controller.abort();
    expect(await result.item()).toBe(0);
    expect(await (await small.withSignal(undefined)(tensor([0]))).item()).toBe(0);
  });

  test("may leave what it has written in place, where the caller knows which part that is", async () => {
    const state = filled(1);
    const step = compile((x: F) => state.assign(chain(mul(state.value, x))), { device, keepsPartialState: true });
    await expect(step.withSignal(abortAfter(0))(one)).rejects.toThrow("enough");
    await expect(step.withSignal(abortAfter(50))(one)).rejects.toThrow("enough");
    expect((await state.read()).length).toBe(SIZE);
    step.dispose();
  });

  test("by onnxruntime-node goes on to its end", async () => {
    const elsewhere = compile((x: F) => sum(chain(x)), { device: plain });
    const zeros = tensor(new Float32Array(200_000));
    await elsewhere.run(zeros);
    expect(await (await elsewhere.withSignal(abortAfter(10))(zeros)).item()).toBe(0);
    elsewhere.dispose();
  });
});

test("a variable that lives on another device is refused", async () => {
  const w = new Variable({ dtype: "f32", shape: [100] }, new Float32Array(100).fill(7));
  await compile(() => w.assign(add(w.value, 1)), { device })();
  const elsewhere = compile(() => mul(w.value, 2), { device: plain });
  await expect(elsewhere.run()).rejects.toThrow(/lives on another device/);
  w.set(await w.read());
  expect((await (await elsewhere.run()).read())[0]).toBe(16);
});

describe("processes", () => {
  const root = new URL("../../../", import.meta.url);
  const program = (body: string) =>
    `import { compile, sin, sum, tensor } from ${JSON.stringify(String(pathToFileURL(join(root.pathname, "dist/tensor/index.js"))))};
     const f = compile((x) => { let y = x; for (let i = 0; i < 300; i++) y = sin(y); return sum(y); });
     const small = compile((x) => sum(sin(x)));
     await (await small.run(tensor([1, 2]))).item();
     ${body}`;
  const run = (body: string, argument = "") => {
    const home = mkdtempSync(join(tmpdir(), "kindling-home-"));
    const env = { ...process.env, HOME: home, USERPROFILE: home, XDG_CACHE_HOME: "", ORT_DISABLE_TELEMETRY: "" };
    const { status, signal } = spawnSync(process.execPath, ["--input-type=module", "-e", program(body), argument], {
      env,
      timeout: 60_000,
    });
    const files = readdirSync(home, { recursive: true });
    rmSync(home, { recursive: true, force: true });
    return { status, signal, files };
  };

  test("write no file into the user's folders, and take long command lines", () => {
    expect(run("", "x".repeat(65_536))).toEqual({ status: 0, signal: null, files: [] });
  });

  test("in a worker thread write none either", () => {
    const inWorker = `const { Worker, isMainThread } = await import("node:worker_threads");
      const source = ${JSON.stringify(program(""))};
      await new Promise((resolve) => new Worker(new URL("data:text/javascript," + encodeURIComponent(source))).on("exit", resolve));`;
    const home = mkdtempSync(join(tmpdir(), "kindling-home-"));
    const env = { ...process.env, HOME: home, XDG_CACHE_HOME: "", ORT_DISABLE_TELEMETRY: "" };
    const { status } = spawnSync(process.execPath, ["--input-type=module", "-e", inWorker], { env, timeout: 60_000 });
    expect([status, readdirSync(home, { recursive: true })]).toEqual([0, []]);
    rmSync(home, { recursive: true, force: true });
  });

  test("may end while a run is under way, with their code", () => {
    expect(run("f(tensor(new Float32Array(5_000_000))); setTimeout(() => process.exit(7), 100);")).toMatchObject({
      status: 7,
      signal: null,
    });
  });
});
