import type { Row } from "../rows/rows.ts";
import { SeenTexts } from "./exact.ts";

/** Numbers of a distribution. */
export interface Summary {
  count: number;
  mean: number;
  min: number;
  max: number;
  /** Of at most 10,000 values, drawn evenly. */
  p50: number;
  p95: number;
}

/** What the values of a column are. */
export interface ColumnStats {
  /** How many values there are of each type: text, number, boolean, list, object, bytes, null, missing. */
  types: Readonly<Record<string, number>>;
  /** Lengths of texts in characters, or of lists. */
  lengths?: Summary;
  /** Values of numbers. */
  numbers?: Summary;
  /** How often each value comes, the commonest first, where there are few. */
  values?: Readonly<Record<string, number>>;
}

/** What a data set is. */
export interface DataStats {
  rows: number;
  columns: Readonly<Record<string, ColumnStats>>;
  /** Rows whose texts repeat those of an earlier one, without case, punctuation and spaces. */
  duplicates: number;
  /** Characters of all texts. */
  characters: number;
}

const SAMPLE = 10_000;
/** Different values up to which they are counted. */
const MOST_VALUES = 64;

/**
 * Sums numbers up, with a sample of them: each of n has stayed with a chance of 10,000 / n. Vitter 1985, algorithm
 * R.
 */
export class Distribution {
  private count = 0;
  private sum = 0;
  private min = Number.POSITIVE_INFINITY;
  private max = Number.NEGATIVE_INFINITY;
  private readonly sample: number[] = [];
  private state = 1;

  /** Takes a number. */
  add(value: number): void {
    this.count++;
    this.sum += value;
    this.min = Math.min(this.min, value);
    this.max = Math.max(this.max, value);
    if (this.sample.length < SAMPLE) {
      this.sample.push(value);
      return;
    }
    this.state = (Math.imul(this.state, 1_664_525) + 1_013_904_223) >>> 0;
    const place = Math.floor((this.state / 2 ** 32) * this.count);
    if (place < SAMPLE) this.sample[place] = value;
  }

  /** What the numbers come to; undefined for none. */
  summary(): Summary | undefined {
    if (this.count === 0) return undefined;
    const sorted = [...this.sample].sort((a, b) => a - b);
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
    const { count, sum, min, max } = this;
    return { count, mean: sum / count, min, max, p50: at(0.5), p95: at(0.95) };
  }
}

class Column {
  private readonly types: Record<string, number> = {};
  private readonly lengths = new Distribution();
  private readonly numbers = new Distribution();
  private values: Map<string, number> | undefined = new Map();
  count = 0;

  add(value: unknown): void {
    this.count++;
    const type = typeName(value);
    this.types[type] = (this.types[type] ?? 0) + 1;
    if (typeof value === "string" || Array.isArray(value)) this.lengths.add(value.length);
    if (typeof value === "number") this.numbers.add(value);
    this.addValue(value);
  }

  private addValue(value: unknown): void {
    if (!this.values || value === null || typeof value === "object") return;
    const key = String(value);
    this.values.set(key, (this.values.get(key) ?? 0) + 1);
    if (this.values.size > MOST_VALUES || key.length > 100) this.values = undefined;
  }

  stats(rows: number): ColumnStats {
    const missing = rows - this.count;
    const [lengths, numbers] = [this.lengths.summary(), this.numbers.summary()];
    const values = [...(this.values ?? [])].sort(([, a], [, b]) => b - a);
    return {
      types: missing > 0 ? { ...this.types, missing } : this.types,
      ...(lengths && { lengths }),
      ...(numbers && { numbers }),
      ...(values.length > 0 && values.length * 2 < this.count && { values: Object.fromEntries(values) }),
    };
  }
}

function typeName(value: unknown): string {
  if (value === null || value === undefined) return "null";
  if (value instanceof Uint8Array) return "bytes";
  if (Array.isArray(value)) return "list";
  return typeof value === "string" ? "text" : typeof value;
}

/** The texts of a row, or of one column, one after another: what it is compared by, and what filters look at. */
export function rowText(row: Row, column?: string): string {
  const texts: string[] = [];
  const collect = (value: unknown): void => {
    if (typeof value === "string") texts.push(value);
    else if (value instanceof Uint8Array) return;
    else if (Array.isArray(value)) value.forEach(collect);
    else if (typeof value === "object" && value !== null) Object.values(value).forEach(collect);
    else if (typeof value === "number") texts.push(String(value));
  };
  collect(column === undefined ? row : row[column]);
  return texts.join("\n");
}

/** Counts what rows are, as they come: nothing of them is kept but sums. */
export class StatsCollector {
  private readonly columns = new Map<string, Column>();
  private readonly seen = new SeenTexts();
  private rows = 0;
  private duplicates = 0;
  private characters = 0;

  /** Takes a row. */
  add(row: Row): void {
    this.rows++;
    for (const [name, value] of Object.entries(row)) {
      const column = this.columns.get(name) ?? new Column();
      this.columns.set(name, column);
      column.add(value);
    }
    const text = rowText(row);
    this.characters += text.length;
    if (this.seen.add(text) !== undefined) this.duplicates++;
  }

  /** What the rows so far come to. */
  stats(): DataStats {
    const { rows, duplicates, characters } = this;
    const columns = [...this.columns].map(([name, column]) => [name, column.stats(rows)] as const);
    return { rows, columns: Object.fromEntries(columns), duplicates, characters };
  }
}
