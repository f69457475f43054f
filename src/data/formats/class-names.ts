import { DataError } from "../../base/index.ts";

/** A class as files write it. */
export type ClassValue = string | number | boolean;

/**
 * Names of classes, and the number of each from 0 on. Whole numbers keep their order of size, truth values are false
 * then true, and all others are in the order of their characters, so that the same data gives the same numbers.
 *
 * @example
 * const classes = ClassNames.of(["ham", "spam", "ham"]);
 * classes.idOf("spam"); // 1
 */
export class ClassNames {
  readonly names: readonly string[];
  /** How many values there were of each; zeros where the names were told. */
  readonly counts: readonly number[];
  private readonly ids: ReadonlyMap<string, number>;

  /** @throws DataError for no names, or the same twice */
  constructor(names: readonly string[], counts: readonly number[] = names.map(() => 0)) {
    this.names = names;
    this.counts = counts;
    this.ids = new Map(names.map((name, id) => [name, id]));
    if (names.length > 0 && this.ids.size === names.length) return;
    throw new DataError({
      where: "ClassNames",
      expected: "names of classes, each once",
      received: names.length === 0 ? "none" : names.join(", ").slice(0, 100),
      fix: "name each class once",
    });
  }

  /** The classes of values. @throws DataError for none */
  static of(values: Iterable<ClassValue>): ClassNames {
    const counts = new Map<string, number>();
    for (const value of values) counts.set(String(value), (counts.get(String(value)) ?? 0) + 1);
    const isNumbers = [...counts.keys()].every((name) => /^-?\d+$/.test(name));
    const names = [...counts.keys()].sort(isNumbers ? (a, b) => Number(a) - Number(b) : undefined);
    return new ClassNames(
      names,
      names.map((name) => counts.get(name) as number),
    );
  }

  /** The number of a class. @throws DataError for one that there is not */
  idOf(value: ClassValue): number {
    const id = this.ids.get(String(value));
    if (id !== undefined) return id;
    throw new DataError({
      where: "ClassNames",
      expected: `a class of ${this.names.slice(0, 10).join(", ")}`,
      received: JSON.stringify(value),
      fix: "take the classes from the whole of the data, or correct the row",
    });
  }
}
