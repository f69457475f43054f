/** Few-shot tasks made of classes, for meta-learning. */
import { checkOptions, DataError, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import { foldKeyOnHost } from "../ops/index.ts";
import { permute } from "./permute.ts";
import type { Source } from "./source.ts";

/** A few-shot task: what is learned from, and what it is tested on. */
export interface Episode<X> {
  support: X;
  query: X;
}

/** The tasks of a step. */
export interface EpisodeBatch<X> {
  episodes: readonly Episode<X>[];
}

/** How tasks are drawn. */
export interface EpisodeOptions<E, X> {
  /** Classes of a task, N. */
  ways: number;
  /** Examples of each class to learn from, K. */
  shots: number;
  /** Other examples of each class to test on. */
  queries: number;
  /** Tasks of a batch. @default 1 */
  episodesPerBatch?: number;
  /**
   * Makes tensors of examples, class by class, and of their labels, 0 .. ways - 1 in the order in which a task drew its
   * classes.
   */
  collate: (examples: readonly E[], labels: readonly number[]) => X | Promise<X>;
  /** @default 0 */
  seed?: number;
  /** Batches there are. @default no end */
  count?: number;
}

const PURPOSE = 0x65706973; // "epis"
/** Parts of the key of an episode: its classes, and from CLASS_KEYS on the examples of each. */
const CLASS_KEYS = 1;

const keyOf = (seed: number, ...parts: readonly number[]) =>
  parts.reduce<[number, number]>((key, part) => foldKeyOnHost(key, part | 0), [seed | 0, PURPOSE]);

/**
 * N-way K-shot tasks: of classes and examples that are drawn without repetition, by the number of the batch alone.
 * Vinyals et al. 2016, arXiv:1606.04080, section 4.1.
 * @throws OptionError for wrong options or fewer classes than `ways`, DataError for a class of too few examples
 *
 * @example
 * const collate = (examples, labels) => ({ x: tensor([...examples]), labels: tensor([...labels], { dtype: "i32" }) });
 * const source = episodesOf([[1, 2, 3], [10, 20, 30], [5, 6, 7]], { ways: 2, shots: 1, queries: 2, collate });
 * const { episodes } = await source.batch(4);
 * await episodes[0].query.labels.toArray(); // [0, 0, 1, 1]
 */
export function episodesOf<E, X>(
  classes: readonly (readonly E[])[],
  options: EpisodeOptions<E, X>,
): Source<EpisodeBatch<X>> {
  const names = ["ways", "shots", "queries", "episodesPerBatch", "collate", "seed", "count"];
  checkOptions("episodesOf", options, names);
  const { ways, shots, queries, episodesPerBatch = 1, collate, seed = 0, count } = options;
  const { positiveInteger, integer } = numberRules;
  requireNumbers(
    "episodesOf",
    { ways, shots, queries, episodesPerBatch, seed, count: count ?? 1 },
    {
      ...({ ways: positiveInteger, shots: positiveInteger, queries: positiveInteger } as const),
      ...({ episodesPerBatch: positiveInteger, seed: integer, count: positiveInteger } as const),
    },
  );
  requireClasses(classes, ways, shots + queries);

  const episode = async (index: number): Promise<Episode<X>> => {
    const order = keyOf(seed, index, 0)[0];
    const rows = Array.from({ length: ways }, (_, label) => {
      const examples = classes[permute(label, classes.length, order)];
      const key = keyOf(seed, index, CLASS_KEYS + label)[0];
      return Array.from({ length: shots + queries }, (__, i) => examples[permute(i, examples.length, key)]);
    });
    const part = (first: number, end: number) =>
      collate(
        rows.flatMap((row) => row.slice(first, end)),
        rows.flatMap((_, label) => new Array<number>(end - first).fill(label)),
      );
    return { support: await part(0, shots), query: await part(shots, shots + queries) };
  };
  const batch = async (index: number) => ({
    episodes: await Promise.all(
      Array.from({ length: episodesPerBatch }, (_, i) => episode(index * episodesPerBatch + i)),
    ),
  });
  return count === undefined ? { batch } : { batch, count };
}

/** @throws OptionError for too few classes, DataError for too few examples of one */
function requireClasses(classes: readonly (readonly unknown[])[], ways: number, examples: number): void {
  if (classes.length < ways)
    throw new OptionError({
      where: "episodesOf",
      expected: `ways of at most the ${classes.length} classes there are`,
      received: String(ways),
      fix: "give more classes, or fewer ways",
    });
  const small = classes.findIndex(({ length }) => length < examples);
  if (small < 0) return;
  throw new DataError({
    where: `episodesOf, class ${small}`,
    expected: `${examples} examples or more, for shots and queries together`,
    received: String(classes[small].length),
    fix: "leave the class out, or ask for fewer shots or queries",
  });
}

/** Which classes are for the test. */
export interface SplitClassesOptions {
  /** Classes that training does not see. */
  heldOut: number;
  /** @default 0 */
  seed?: number;
}

/**
 * Classes for training, and others for the test of what was learned about learning.
 * @throws OptionError unless there is a class or more on both sides
 */
export function splitClasses<T>(classes: readonly T[], options: SplitClassesOptions): { train: T[]; test: T[] } {
  checkOptions("splitClasses", options, ["heldOut", "seed"]);
  const { heldOut, seed = 0 } = options;
  const isFine = (value: number) => Number.isInteger(value) && value > 0 && value < classes.length;
  const range = `from 1 to ${classes.length - 1}, as there are ${classes.length} classes`;
  requireNumbers("splitClasses", { heldOut, seed }, { heldOut: { range, isFine }, seed: numberRules.integer });
  const [key] = keyOf(seed, -1);
  const order = classes.map((_, i) => classes[permute(i, classes.length, key)]);
  return { test: order.slice(0, heldOut), train: order.slice(heldOut) };
}
