import { expect, test } from "vitest";
import { Random } from "../../testing/fuzz/random.ts";
import { PrefixIndex } from "./prefix-index.ts";

const text = (...parts: number[]) => parts.flatMap((part) => [part, part, part, part]);

test("beginnings are shared block by block", () => {
  const index = new PrefixIndex(8, 4);
  expect(index.insert(text(1, 2, 3))).toHaveLength(3);
  expect(index.insert([...text(1, 2, 4), 9])).toHaveLength(1);
  expect(index.match([...text(1, 2, 4), 9, 9])).toHaveLength(3);
  expect(index.match(text(1, 2, 5))).toHaveLength(2);
  expect(index.match(text(2, 1))).toEqual([]);
  expect(index.match(text(1).slice(0, 3))).toEqual([]);
  expect(index.size).toBe(4);
});

test("what was used longest ago goes, from its end on", () => {
  const index = new PrefixIndex(3, 4);
  index.insert(text(1, 2));
  index.insert(text(3));
  index.match(text(1, 2));
  index.insert(text(4)); // in the place of 3
  expect(index.match(text(3))).toEqual([]);
  expect(index.match(text(1, 2))).toHaveLength(2);
  index.match(text(4));
  index.insert(text(5, 6)); // in the place of 2, then of 1
  expect(index.match(text(1, 2))).toHaveLength(0);
  expect(index.match(text(5, 6))).toHaveLength(2);
});

test("of a text longer than all places its beginning is kept", () => {
  const index = new PrefixIndex(2, 4);
  expect(index.insert(text(1, 2, 3, 4))).toHaveLength(2);
  expect(index.match(text(1, 2, 3, 4))).toHaveLength(2);
  expect(new PrefixIndex(0, 4).insert(text(1))).toEqual([]);
});

test("no place is lost, and what is found is what was put there, over many random texts", () => {
  const random = new Random("prefixes", 7);
  const index = new PrefixIndex(20, 4);
  const contents = new Map<number, string>();
  for (let round = 0; round < 5000; round++) {
    const ids = text(...Array.from({ length: random.below(7) }, () => random.below(3)));
    if (random.below(200) === 0) index.clear();
    if (random.below(2) === 0)
      for (const { start, place } of index.insert(ids)) contents.set(place, String(ids.slice(0, start + 4)));
    else
      for (const [i, place] of index.match(ids).entries())
        expect(contents.get(place)).toBe(String(ids.slice(0, 4 * (i + 1))));
    index.check();
  }
});
