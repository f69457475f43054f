/** Rows of other rows: mapped, chosen, put in another order or together. All are pure in the number of a row. */
import { checkOptions, numberRules, OptionError, requireNumbers } from "../../base/index.ts";
import { foldKeyOnHost } from "../../ops/index.ts";
import { permute } from "../permute.ts";
import { fingerprintOf, makeRows, type Rows } from "./rows.ts";

/** The sum of rows to which something was done; undefined where it cannot be told. */
const derived =
  (rows: Rows<unknown>, ...steps: (string | undefined)[]) =>
  async () => {
    const before = await rows.fingerprint();
    if (before === undefined || steps.some((step) => step === undefined)) return undefined;
    return fingerprintOf(before, ...(steps as string[]));
  };

/**
 * Rows with a function applied to each when it is asked for.
 * @param name says in the sum of the rows what the function does, with its version. @default they have no sum
 *
 * @example
 * const lengths = mapRows(rowsOf([{ text: "one" }]), ({ text }) => text.length);
 * await lengths.row(0); // 3
 */
export function mapRows<R, T>(
  rows: Rows<R>,
  map: (row: R, index: number) => T | Promise<T>,
  { name }: { name?: string } = {},
): Rows<T> {
  return makeRows({
    count: rows.count,
    row: async (index) => map(await rows.row(index), index),
    placeOf: (index) => rows.placeOf(index),
    fingerprint: derived(rows, "map", name),
    close: () => rows.close(),
    all: async function* () {
      let index = 0;
      for await (const row of rows) yield map(row, index++);
    },
  });
}

/** The rows of some numbers, in that order. @throws OptionError for a number that is none of a row */
export function selectRows<R>(rows: Rows<R>, indices: ArrayLike<number>): Rows<R> {
  const chosen = Uint32Array.from(indices);
  const outside = chosen.find((index, i) => index >= rows.count || index !== indices[i]);
  if (outside !== undefined)
    throw new OptionError({
      where: "selectRows",
      expected: `numbers from 0 to ${rows.count - 1}`,
      received: String(outside),
      fix: "choose rows that there are",
    });
  return makeRows({
    count: chosen.length,
    row: (index) => rows.row(chosen[index]),
    placeOf: (index) => rows.placeOf(chosen[index]),
    fingerprint: derived(rows, "select", chosen.join()),
    close: () => rows.close(),
  });
}

/** The rows for which a function is true. All are read once to find them; their numbers take 4 bytes each. */
export async function filterRows<R>(
  rows: Rows<R>,
  isWanted: (row: R, index: number) => boolean | Promise<boolean>,
): Promise<Rows<R>> {
  const kept: number[] = [];
  let index = 0;
  for await (const row of rows) {
    if (await isWanted(row, index)) kept.push(index);
    index++;
  }
  return selectRows(rows, kept);
}

/** The rows in an order that the seed decides, without storing it. @param options seed. @default 0 */
export function shuffleRows<R>(rows: Rows<R>, { seed = 0 }: { seed?: number } = {}): Rows<R> {
  requireNumbers("shuffleRows", { seed }, { seed: numberRules.integer });
  const [key] = foldKeyOnHost([seed | 0, 0x726f7773], 0); // "rows"
  const at = (index: number) => permute(index, rows.count, key);
  return makeRows({
    count: rows.count,
    row: (index) => rows.row(at(index)),
    placeOf: (index) => rows.placeOf(at(index)),
    fingerprint: derived(rows, "shuffle", String(seed)),
    close: () => rows.close(),
  });
}

/** The first rows, at most `count`. @param options skip: rows that are left out before them. @default 0 */
export function takeRows<R>(rows: Rows<R>, count: number, { skip = 0 }: { skip?: number } = {}): Rows<R> {
  const rules = { count: numberRules.wholeNumber, skip: numberRules.wholeNumber };
  requireNumbers("takeRows", { count, skip }, rules);
  const start = Math.min(skip, rows.count);
  return makeRows({
    count: Math.min(count, rows.count - start),
    row: (index) => rows.row(start + index),
    placeOf: (index) => rows.placeOf(start + index),
    fingerprint: derived(rows, "take", `${count} ${skip}`),
    close: () => rows.close(),
  });
}

/** Rows of several sets, one set after another. @throws OptionError for none */
export function concatRows<R>(sets: readonly Rows<R>[]): Rows<R> {
  requireSets("concatRows", sets);
  const ends: number[] = [];
  for (const { count } of sets) ends.push((ends.at(-1) ?? 0) + count);
  const placeIn = (index: number): [Rows<R>, number] => {
    const set = ends.findIndex((end) => index < end);
    return [sets[set], index - ends[set] + sets[set].count];
  };
  return makeRows({
    count: ends[ends.length - 1],
    row: (index) => {
      const [rows, place] = placeIn(index);
      return rows.row(place);
    },
    placeOf: (index) => {
      const [rows, place] = placeIn(index);
      return rows.placeOf(place);
    },
    fingerprint: () => jointFingerprint("concat", sets),
    close: () => closeAll(sets),
    all: async function* () {
      for (const rows of sets) yield* rows;
    },
  });
}

function requireSets(where: string, sets: readonly unknown[]): void {
  if (sets.length > 0) return;
  throw new OptionError({ where, expected: "at least one set of rows", received: "none", fix: "give some" });
}

async function jointFingerprint(step: string, sets: readonly Rows<unknown>[]): Promise<string | undefined> {
  const sums = await Promise.all(sets.map((rows) => rows.fingerprint()));
  return sums.includes(undefined) ? undefined : fingerprintOf(step, ...(sums as string[]));
}

const closeAll = async (sets: readonly Rows<unknown>[]) => {
  await Promise.all(sets.map((rows) => rows.close()));
};

/** How rows of several sets are mixed. */
export interface InterleaveOptions {
  /** How likely the next row is of each set; they need not sum to 1. @default one of each in turn */
  weights?: readonly number[];
  /** Of the draws. @default 0 */
  seed?: number;
  /**
   * When there are enough: "first-exhausted" once a set has no more rows; "all-exhausted" once each set was through,
   * those that are through begin anew; "without-repetition" when all rows were taken, from the sets that have some
   * left.
   * @default "first-exhausted"
   */
  stopping?: "first-exhausted" | "all-exhausted" | "without-repetition";
}

const STOPPING = ["first-exhausted", "all-exhausted", "without-repetition"];

/**
 * Rows of several sets in turn, or drawn by weights, as `interleave_datasets` of Hugging Face's datasets mixes them.
 * The mixture is decided at once, by the seed alone, so that it can be resumed anywhere; it takes 8 bytes a row.
 * @throws OptionError for wrong options, or a set without rows
 */
export function interleaveRows<R>(sets: readonly Rows<R>[], options: InterleaveOptions = {}): Rows<R> {
  const where = "interleaveRows";
  checkOptions(where, options, ["weights", "seed", "stopping"]);
  requireSets(where, sets);
  const { weights, seed = 0, stopping = "first-exhausted" } = options;
  const refuse = (expected: string, received: string) =>
    new OptionError({ where, expected, received, fix: "correct the option" });
  requireNumbers(where, { seed }, { seed: numberRules.integer });
  if (!STOPPING.includes(stopping)) throw refuse(`stopping to be ${STOPPING.join(", ")}`, JSON.stringify(stopping));
  if (weights && !(weights.length === sets.length && weights.every((weight) => weight > 0 && Number.isFinite(weight))))
    throw refuse(`${sets.length} weights above 0`, JSON.stringify(weights));
  const empty = sets.findIndex(({ count }) => count === 0);
  if (empty >= 0) throw refuse("sets that have rows", `none in number ${empty}`);
  const { from, at } = mixture(
    sets.map(({ count }) => count),
    { weights, seed, stopping },
  );
  return makeRows({
    count: from.length,
    row: (index) => sets[from[index]].row(at[index]),
    placeOf: (index) => sets[from[index]].placeOf(at[index]),
    fingerprint: async () => {
      const sums = await jointFingerprint("interleave", sets);
      return sums && fingerprintOf(sums, JSON.stringify({ weights, seed, stopping }));
    },
    close: () => closeAll(sets),
  });
}

type Mixing = { weights: readonly number[] | undefined } & Required<Pick<InterleaveOptions, "seed" | "stopping">>;

/** Which set each row is of, and its number there. */
function mixture(counts: readonly number[], { weights, seed, stopping }: Mixing): { from: number[]; at: number[] } {
  const [from, at]: [number[], number[]] = [[], []];
  const taken = counts.map(() => 0);
  const isThrough = counts.map(() => false);
  const draw = drawer(counts.length, weights, seed);
  const isEnough = () => (stopping === "first-exhausted" ? isThrough.includes(true) : !isThrough.includes(false));
  for (let turn = 0; !isEnough(); turn++) {
    const set = draw(turn, stopping === "without-repetition" ? isThrough : undefined);
    if (set === undefined) continue;
    from.push(set);
    at.push(taken[set] % counts[set]);
    if (++taken[set] >= counts[set]) isThrough[set] = true;
  }
  if (weights || stopping === "without-repetition") return { from, at };
  // in turn, a round is whole: each set has given as many rows as the others
  if (stopping === "first-exhausted") {
    const rounds = Math.min(...counts) * counts.length;
    return { from: from.slice(0, rounds), at: at.slice(0, rounds) };
  }
  while (from.length % counts.length !== 0) {
    const set = from.length % counts.length;
    from.push(set);
    at.push(taken[set]++ % counts[set]);
  }
  return { from, at };
}

/** The set of a turn; undefined where it is left out. */
function drawer(sets: number, weights: readonly number[] | undefined, seed: number) {
  if (!weights) return (turn: number, left?: readonly boolean[]) => (left?.[turn % sets] ? undefined : turn % sets);
  return (turn: number, left?: readonly boolean[]): number => {
    const shares = weights.map((weight, i) => (left?.[i] ? 0 : weight));
    const total = shares.reduce((a, b) => a + b, 0);
    const [bits] = foldKeyOnHost([seed | 0, 0x6d697865], turn); // "mixe"
    let rest = ((bits >>> 0) / 2 ** 32) * total;
    for (const [set, share] of shares.entries()) {
      if (share > 0 && rest < share) return set;
      rest -= share;
    }
    return shares.findLastIndex((share) => share > 0); // rounding
  };
}
