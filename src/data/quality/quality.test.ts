import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { collect } from "../../testing/collect.ts";
import {
  ContaminationIndex,
  cleanC4,
  concatRows,
  dedupRows,
  filterRows,
  findNearDuplicates,
  gopherFaults,
  interleaveRows,
  languageDetector,
  mapRows,
  minHashParameters,
  type Rows,
  rowsOf,
  shuffleRows,
  splitRows,
  takeRows,
} from "../index.ts";
import { shingleHashes } from "./minhash.ts";

const golden = new URL("../../../golden/", import.meta.url);
const numbers = (count: number) => rowsOf(Array.from({ length: count }, (_, i) => ({ i })));
const is = async (rows: Rows<{ i: number }>) => (await collect(rows)).map(({ i }) => i);

test("rows are mapped, filtered, shuffled, taken and put together by number", async () => {
  const rows = numbers(100);
  const odd = await filterRows(rows, ({ i }) => i % 2 === 1);
  expect(await is(takeRows(odd, 3, { skip: 1 }))).toEqual([3, 5, 7]);
  expect((await mapRows(odd, ({ i }) => i * 10).row(2)) as number).toBe(50);
  const shuffled = shuffleRows(rows, { seed: 3 });
  const order = await is(shuffled);
  expect([...order].sort((a, b) => a - b)).toEqual(await is(rows));
  expect(order).not.toEqual(await is(rows));
  expect(await is(shuffleRows(rows, { seed: 3 }))).toEqual(order);
  expect(await is(shuffleRows(rows, { seed: 4 }))).not.toEqual(order);
  expect(shuffled.placeOf(0)).toBe(`rows:${order[0] + 1}`);
  expect(await is(concatRows([takeRows(rows, 2), odd]))).toEqual([0, 1, ...(await is(odd))]);
  await expect(rows.row(100)).rejects.toThrow(/from 0 to 99/);
});

test("sums tell what rows are, and none where a function has no name", async () => {
  const rows = numbers(10);
  const sum = await rows.fingerprint();
  expect(await numbers(10).fingerprint()).toBe(sum);
  expect(await numbers(11).fingerprint()).not.toBe(sum);
  expect(await shuffleRows(rows).fingerprint()).not.toBe(sum);
  expect(await mapRows(rows, (row) => row).fingerprint()).toBeUndefined();
  expect(await mapRows(rows, (row) => row, { name: "same" }).fingerprint()).toHaveLength(64);
});

/** What interleave_datasets of datasets 5.2.0 gives for sets of 3, 5 and 2 rows. */
test.each([
  ["first-exhausted", "a0 b0 c0 a1 b1 c1"],
  ["all-exhausted", "a0 b0 c0 a1 b1 c1 a2 b2 c0 a0 b3 c1 a1 b4 c0"],
  ["without-repetition", "a0 b0 c0 a1 b1 c1 a2 b2 b3 b4"],
] as const)("interleaving in turn, %s, is datasets'", async (stopping, expected) => {
  const set = (name: string, count: number) => rowsOf(Array.from({ length: count }, (_, i) => `${name}${i}`));
  const mixed = interleaveRows([set("a", 3), set("b", 5), set("c", 2)], { stopping });
  expect((await collect(mixed)).join(" ")).toBe(expected);
});

test("interleaving by weights: shares, order within sets, ends", async () => {
  const sets = [1000, 3000, 500].map((count, set) => rowsOf(Array.from({ length: count }, (_, i) => ({ set, i }))));
  const options = { weights: [2, 5, 3], seed: 7 };
  const rows = await collect(interleaveRows(sets, options));
  expect(await collect(interleaveRows(sets, options))).toEqual(rows);
  for (const [set, share] of [0.2, 0.5, 0.3].entries()) {
    const part = rows.filter((row) => row.set === set);
    expect(part.length / rows.length).toBeCloseTo(share, 1);
    expect(part.map(({ i }) => i)).toEqual(part.map((_, i) => i));
  }
  expect(rows.at(-1)).toEqual({ set: 2, i: 499 }); // the first set that is through
  const whole = await collect(interleaveRows(sets, { ...options, stopping: "without-repetition" }));
  expect(new Set(whole.map((row) => JSON.stringify(row))).size).toBe(4500);
  expect(whole).toHaveLength(4500);
  const again = await collect(interleaveRows(sets, { ...options, stopping: "all-exhausted" }));
  expect(new Set(again.map((row) => JSON.stringify(row))).size).toBe(4500);
  expect(again.length).toBeGreaterThan(4500);
  expect(() => interleaveRows(sets, { weights: [1, 0, 1] })).toThrow(/3 weights above 0/);
});

test("a split stays when rows are added, and groups stay together", async () => {
  const options = { validation: 0.1, test: 0.05 };
  const before = await splitRows(numbers(4000), options);
  const after = await splitRows(numbers(6000), options);
  for (const name of ["train", "validation", "test"] as const) {
    const old = await is(before[name]);
    expect(await is(after[name])).toEqual(expect.arrayContaining(old.slice(0, 50)));
    expect((await is(after[name])).filter((i) => i < 4000)).toEqual(old);
  }
  expect(before.validation.count / 4000).toBeCloseTo(0.1, 1);
  expect(before.test.count / 4000).toBeCloseTo(0.05, 1);
  const parts = await splitRows(numbers(2000), { validation: 0.3, groupOf: ({ i }) => String(i % 40) });
  const groups = new Set((await is(parts.validation)).map((i) => i % 40));
  for (const i of await is(parts.train)) expect(groups.has(i % 40)).toBe(false);
  await expect(splitRows(numbers(9), { validation: 0.6, test: 0.4 })).rejects.toThrow(/below 1 together/);
});

test("exact duplicates: case, spaces and punctuation do not count", async () => {
  const texts = ["Call me Ishmael.", "call  me, ISHMAEL", "Call me Ahab.", "你好。", "你好", "...", "!!!", "..."];
  const textOf = (text: string) => text;
  const { rows, removed } = await dedupRows(rowsOf(texts), { textOf });
  expect(await collect(rows)).toEqual(["Call me Ishmael.", "Call me Ahab.", "你好。", "...", "!!!"]);
  expect(removed).toEqual([
    { index: 1, like: 0 },
    { index: 4, like: 3 },
    { index: 7, like: 5 },
  ]);
  expect((await dedupRows(rowsOf(texts), { textOf, isNormalised: false })).removed).toHaveLength(1);
});

test("near duplicates that were planted are found as datasketch finds them", async () => {
  const {
    passages,
    edits,
    jaccard,
    found: theirFinds,
    parameters,
    expected: usual,
  } = JSON.parse(await readFile(new URL("minhash.json", golden), "utf8"));
  const words = (await readFile(new URL("tokenizers/moby-60k.txt", golden), "utf8")).split(/\s+/).filter(Boolean);
  const [count, length] = passages;
  const originals = Array.from({ length: count }, (_, i) => words.slice(i * length, (i + 1) * length));
  const copies = edits.map(([number, changes]: [number, [number, string][]]) => {
    const copy = [...originals[number]];
    for (const [place, word] of changes) copy[place] = word;
    return copy;
  });
  const texts = [...originals, ...copies].map((each: string[]) => each.join(" "));
  for (const [i, expected] of jaccard.entries()) {
    const [a, b] = [texts[i], texts[count + i]].map((text) => new Set(shingleHashes(text, 5)));
    const common = [...a].filter((hash) => b.has(hash)).length;
    expect(Math.abs(common / (a.size + b.size - common) - expected)).toBeLessThan(0.02); // of words with apostrophes
  }
  const [totals, seeds] = [{ ours: 0, theirs: 0 }, [1, 2, 3]];
  for (const [name, theirs] of Object.entries(theirFinds) as [string, number[]][]) {
    const threshold = Number(name);
    const { bands, rows } = minHashParameters({ threshold });
    expect([bands, rows]).toEqual(parameters[name]);
    const above = [...jaccard.keys()].filter((i) => jaccard[i] >= threshold);
    totals.theirs += above.filter((i) => theirs[i]).length;
    for (const seed of seeds) {
      const { firstOf } = await findNearDuplicates(texts, { threshold, seed });
      const isHit = (i: number) => firstOf[count + i] === i;
      totals.ours += above.filter(isHit).length / seeds.length;
      // the bands of 0.5 join texts of 0.7 with a chance of 0.99, and a signature of 128 errs by 0.045
      const sure = above.filter((i) => jaccard[i] >= threshold + 0.2);
      expect(sure.filter(isHit).length).toBeGreaterThanOrEqual(0.97 * sure.length);
      expect(jaccard.filter((value: number, i: number) => value < threshold - 0.15 && isHit(i))).toEqual([]);
      for (let i = 0; i < count; i++) expect(firstOf[i]).toBe(i); // no passage is like another
    }
  }
  // datasketch 132 in its one run; both are what independent values find, 127.2 with a deviation of 2.9
  expect(Math.abs(totals.theirs - usual.mean)).toBeLessThan(3 * usual.deviation);
  expect(Math.abs(totals.ours - usual.mean)).toBeLessThan((3 * usual.deviation) / Math.sqrt(seeds.length));
  expect(() => minHashParameters({ bands: 20, rows: 10 })).toThrow(/at most 128 permutations.*20 times 10/);
  expect(minHashParameters({ threshold: 0.6, permutations: 256 })).toMatchObject({
    bands: parameters["0.6 256"][0],
    rows: parameters["0.6 256"][1],
  });
});

const prose = `The whale is a creature of the deep, and it has been hunted for its oil since men first put to sea. That trade
made the towns of the coast rich, but it did not last: with kerosene came another light, and the ships were left to rot
in the harbours. Those who had sailed in them told of it for years, to their children and to whoever would listen.`;

test("Gopher's rules", () => {
  expect(gopherFaults(prose)).toEqual([]);
  expect(gopherFaults("Too short.")).toEqual(expect.arrayContaining(["too few words: 2", "stop words: 0"]));
  const list = Array.from({ length: 30 }, (_, i) => `- item the of number ${i}`).join("\n");
  expect(gopherFaults(list)).toContain("lines with a bullet: 1");
  expect(gopherFaults(`${prose}\n`.repeat(4)).some((fault) => fault.startsWith("repeated lines: 0.75"))).toBe(true);
  expect(gopherFaults("# ".repeat(60)).join()).toMatch(/symbols for each word: 1.*words with a letter: 0/);
  expect(
    gopherFaults("和".repeat(300), { minWords: 1, maxWordLength: Infinity, minStopWords: 0, checksRepetition: false }),
  ).toEqual([]);
  // 12 times "a b" among 60 words of one letter: 24 of 60 characters
  const common = Array.from({ length: 60 }, (_, i) =>
    i % 5 === 0 ? "a" : i % 5 === 1 ? "b" : String.fromCharCode(200 + i),
  );
  expect(gopherFaults(common.join(" "), { minWordLength: 0 }).join()).toMatch(/commonest 2 words: 0.4/);
  expect(() => gopherFaults("", { minWord: 3 } as never)).toThrow(/did you mean "minWords"/);
});

test("C4's cleaning", () => {
  const page = `Menu\nThe first sentence of the page is here.[1] And a second one.\nclick\nPlease enable javascript to see this page.\nWe use cookies as our privacy policy says here.\nA third sentence with enough words!`;
  expect(cleanC4(page)).toEqual({
    text: "The first sentence of the page is here. And a second one.\nA third sentence with enough words!",
  });
  expect(cleanC4("Only one sentence is on this page.")).toEqual({ reason: "1 sentences" });
  expect(cleanC4("Lorem ipsum dolor sit amet.")).toEqual({ reason: "lorem ipsum" });
  expect(cleanC4("function f() { return 1; }").reason).toMatch(/curly/);
  expect(cleanC4(page, { blockedWords: ["Cookies"] })).toEqual({ reason: "a blocked word" });
  expect(cleanC4("白日依山尽，黄河入海流。欲穷千里目，更上一层楼。这是第三句话。").text).toMatch(/第三句/);
});

test("languages are told", async () => {
  const detect = await languageDetector();
  const texts = {
    en: "The whale is a creature of the deep.",
    de: "Der Wal ist ein Tier der Tiefsee und atmet Luft.",
    fr: "La baleine est un animal des profondeurs de la mer.",
    es: "La ballena es un animal de las profundidades del mar.",
    zh: "鲸鱼是深海的动物。",
    ja: "鯨は深海の動物です。",
    ru: "Кит — животное морских глубин.",
  };
  for (const [language, text] of Object.entries(texts)) expect(detect(text).language).toBe(language);
  expect(detect("12345").language).toBe("und");
});

test("texts of an evaluation set are found by 13 words in a row", () => {
  const question = "Which of these animals lives in the sea, breathes air, and was hunted for its oil?";
  const index = new ContaminationIndex([question, "Short one.", "An answer of nine words that is long enough"]);
  expect(index.overlap(prose)).toBeUndefined();
  const hit = index.overlap(`${prose} Which of these animals LIVES in the sea breathes air and was hunted for its oil`);
  expect(hit).toMatchObject({ documents: [0] });
  expect(hit?.sequence).toBe("which of these animals lives in the sea breathes air and was hunted");
  expect(hit?.share).toBeGreaterThan(0.1);
  expect(index.overlap("so: an answer of nine words that is long enough, he said")?.documents).toEqual([2]);
  expect(index.overlap("Short one.")).toBeUndefined();
  const wording = new ContaminationIndex(
    Array.from({ length: 20 }, (_, i) => `${question} ${i}`),
    { maxDocuments: 10 },
  );
  expect(wording.overlap(question)).toBeUndefined();
});
