import { expect, test } from "vitest";
import { merged } from "./merge.ts";

async function* counting(from: number, count: number, log: string[] = []) {
  try {
    for (let i = 0; i < count; i++) yield from + i;
    return `${from} done`;
  } finally {
    log.push(`${from} ended`);
  }
}

test("gives what all give, in their order, and at the end what they returned", async () => {
  const all = merged([counting(0, 2), counting(10, 3), counting(20, 0)]);
  const values: string[] = [];
  for (;;) {
    const next = await all.next();
    if (next.done) {
      expect(next.value).toEqual(["0 done", "10 done", "20 done"]);
      break;
    }
    values.push(`${next.value.index}:${next.value.value}`);
  }
  expect(values).toEqual(["0:0", "1:10", "0:1", "1:11", "1:12"]);
  expect(await merged([]).next()).toEqual({ done: true, value: [] });
});

test("one that is slow keeps none of the others waiting", async () => {
  let go = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  async function* slow() {
    await gate;
    yield -1;
  }
  const values: number[] = [];
  for await (const { value } of merged<number, unknown>([slow(), counting(0, 3)])) {
    values.push(value);
    if (value === 2) go();
  }
  expect(values).toEqual([0, 1, 2, -1]);
});

test("an error, or a caller that stops, ends all", async () => {
  const log: string[] = [];
  async function* failing() {
    yield 1;
    throw new Error("no more");
  }
  const collect = async () => {
    for await (const _ of merged<number, unknown>([failing(), counting(0, 100, log)]));
  };
  await expect(collect()).rejects.toThrow("no more");
  for await (const _ of merged([counting(5, 9, log), counting(7, 9, log)])) break;
  await new Promise((resolve) => setImmediate(resolve));
  expect(log.toSorted()).toEqual(["0 ended", "5 ended", "7 ended"]);
});

test("thousands are merged", async () => {
  let count = 0;
  for await (const _ of merged(Array.from({ length: 5000 }, (_, i) => counting(i, 3)))) count++;
  expect(count).toBe(15_000);
});
