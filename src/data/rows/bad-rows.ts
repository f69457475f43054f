import { DataError, numberRules, OptionError, requireNumbers } from "../../base/index.ts";

/** A row that cannot be used, and why. */
export interface BadRow {
  file: string;
  /** The line on which it begins, from 1 on; in binary files the number of the row, from 1 on. */
  line: number;
  /** What is wrong, in words. */
  reason: string;
}

/** What is done about rows that cannot be used. */
export interface BadRowOptions {
  /** "skip" leaves such a row out and counts it; "fail" is an error that names its line. @default "fail" */
  onBadRow?: "skip" | "fail";
  /** With "skip": more of them are an error. @default Infinity */
  maxBadRows?: number;
}

/** So many are kept to be shown. */
const SHOWN = 20;

/** Counts rows that cannot be used, and keeps the first 20 of them. */
export class BadRows {
  count = 0;
  readonly first: BadRow[] = [];
  private readonly policy: "skip" | "fail";
  private readonly most: number;

  /** @throws OptionError for wrong options */
  constructor({ onBadRow = "fail", maxBadRows = Number.POSITIVE_INFINITY }: BadRowOptions = {}) {
    if (onBadRow !== "skip" && onBadRow !== "fail")
      throw new OptionError({
        where: "BadRows",
        expected: 'onBadRow to be "skip" or "fail"',
        received: JSON.stringify(onBadRow) ?? "nothing",
        fix: "choose one of them",
      });
    if (maxBadRows !== 0) requireNumbers("BadRows", { maxBadRows }, { maxBadRows: numberRules.limit });
    this.policy = onBadRow;
    this.most = maxBadRows;
  }

  /** Notes a row. @throws DataError where it is not to be skipped, or there are too many */
  add(row: BadRow): void {
    this.count++;
    if (this.first.length < SHOWN) this.first.push(row);
    const where = `${row.file}:${row.line}`;
    if (this.policy === "fail")
      throw new DataError({
        where,
        expected: "a row that can be used",
        received: row.reason,
        fix: 'correct the line, or leave such rows out: onBadRow "skip"',
      });
    if (this.count <= this.most) return;
    throw new DataError({
      where,
      expected: `at most ${this.most} bad rows (maxBadRows)`,
      received: `${this.count}; this one is ${row.reason}`,
      fix: "correct the file, or allow more of them",
    });
  }

  /** The rows that were left out, a line each, for people; empty where there are none. */
  toString(): string {
    const lines = this.first.map(({ file, line, reason }) => `${file}:${line}: ${reason}\n`);
    const more = this.count - this.first.length;
    return lines.join("") + (more > 0 ? `and ${more} more\n` : "");
  }
}
