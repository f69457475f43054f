import { expect, test } from "vitest";
import { batchesOf, episodesOf, splitClasses } from "./index.ts";

/** Example i of class c is 100 c + i. */
const classes = Array.from({ length: 8 }, (_, c) => Array.from({ length: 10 + c }, (__, i) => 100 * c + i));
const collate = (examples: readonly number[], labels: readonly number[]) => ({
  examples: [...examples],
  labels: [...labels],
});
const options = { ways: 3, shots: 2, queries: 4, episodesPerBatch: 2, collate, seed: 5 };

test("a task has its classes and examples once, class by class, and none of the support in the query", async () => {
  const source = episodesOf(classes, options);
  for (let index = 0; index < 40; index++) {
    const { episodes } = await source.batch(index);
    expect(episodes.length).toBe(2);
    for (const { support, query } of episodes) {
      expect(support.labels).toEqual([0, 0, 1, 1, 2, 2]);
      expect(query.labels).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
      expect(new Set([...support.examples, ...query.examples]).size).toBe(18);
      const classOf = new Map(support.examples.map((example, i) => [Math.floor(example / 100), support.labels[i]]));
      expect(classOf.size).toBe(3);
      expect(query.examples.map((example) => classOf.get(Math.floor(example / 100)))).toEqual(query.labels);
    }
  }
});

test("a batch depends on its number and the seed alone", async () => {
  const at = (index: number, seed: number) => episodesOf(classes, { ...options, seed }).batch(index);
  const source = episodesOf(classes, options);
  for (const index of [7, 0, 3]) expect(await source.batch(index)).toEqual(await at(index, 5));
  expect(await at(7, 6)).not.toEqual(await at(7, 5));
  const seen = new Set<number>();
  const examples = new Set<number>();
  for (let index = 0; index < 150; index++) {
    for (const { support } of (await source.batch(index)).episodes) {
      seen.add(Math.floor(support.examples[0] / 100));
      for (const example of support.examples) examples.add(example);
    }
  }
  expect(seen.size).toBe(8);
  expect(examples.size).toBe(classes.flat().length);
});

test("classes are held out", () => {
  const { train, test: heldOut } = splitClasses(classes, { heldOut: 3, seed: 1 });
  expect([train.length, heldOut.length]).toEqual([5, 3]);
  expect(new Set([...train, ...heldOut])).toEqual(new Set(classes));
  expect(splitClasses(classes, { heldOut: 3, seed: 1 }).test).toEqual(heldOut);
});

test("collate is told the numbers of the samples, over all epochs", async () => {
  const source = batchesOf(["a", "b", "c"], { batchSize: 2, collate: (_, samples) => [...samples] });
  expect(await source.batch(0)).toEqual([0, 1]);
  expect(await source.batch(5)).toEqual([10, 11]);
});

test("what makes no task is refused", () => {
  const refused: [() => unknown, string][] = [
    [
      () => episodesOf(classes, { ...options, ways: 9 }),
      "expected ways of at most the 8 classes there are; received 9",
    ],
    [() => episodesOf(classes, { ...options, queries: 9 }), "episodesOf, class 0: expected 11 examples or more"],
    [() => episodesOf(classes, { ...options, shots: 0 }), "episodesOf: expected shots to be a positive integer"],
    [() => episodesOf(classes, { ...options, way: 2 } as never), 'did you mean "ways"'],
    [() => splitClasses(classes, { heldOut: 8 }), "splitClasses: expected heldOut from 1 to 7, as there are 8 classes"],
  ];
  for (const [call, message] of refused) expect(call).toThrow(message);
});
