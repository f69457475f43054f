/** Numbers of config.json and of GGUF metadata, which models name in several ways. */
import { DataError } from "../base/index.ts";

type Values = Readonly<Record<string, unknown>>;

/** Far above every model; what a file states is not believed beyond it. */
const MOST = 2 ** 40;
const isSize = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) > 0 && Number(value) <= MOST;

/** Sizes by the first of several names that is there. */
export class ConfigValues {
  readonly where: string;
  private readonly values: Values;

  constructor(where: string, values: Values) {
    this.where = where;
    this.values = values;
  }

  raw(key: string): unknown {
    return this.values[key];
  }

  /** @returns undefined where no name is there, or its value is null. @throws DataError for what is no size */
  optional(...keys: string[]): number | undefined {
    const key = keys.find((name) => this.values[name] !== undefined && this.values[name] !== null);
    if (key === undefined) return undefined;
    const value = this.values[key];
    if (isSize(value)) return value;
    throw this.refused(`${key} to be a positive integer`, JSON.stringify(value));
  }

  /** @throws DataError where no name is there */
  size(...keys: string[]): number {
    const value = this.optional(...keys);
    if (value === undefined) throw this.refused(keys.join(" or "), "neither");
    return value;
  }

  refused(expected: string, received: string): DataError {
    const fix = "memory can be told of decoders with attention only: name such a model";
    return new DataError({ where: this.where, expected, received, fix });
  }
}
