/** Types of columns that are told by their values, and the schema of Parquet for them. */
import type { SchemaElement } from "hyparquet";
import { DataError, isObject } from "../../base/index.ts";
import type { Row } from "./rows.ts";

/** What the values of a column are; "null" where all of them are. */
type ValueType =
  | "null"
  | "string"
  | "integer"
  | "number"
  | "boolean"
  | "bytes"
  | { list: ValueType }
  | { fields: ReadonlyMap<string, ValueType> };

const mixed = (where: string, received: string) =>
  new DataError({
    where,
    expected: "values of one type, as a Parquet column has",
    received,
    fix: "write JSON Lines, whose rows may differ",
  });

function typeOf(value: unknown, where: string): ValueType {
  if (value === null || value === undefined) return "null";
  if (typeof value === "number") return Number.isSafeInteger(value) ? "integer" : "number";
  if (typeof value === "string" || typeof value === "boolean") return typeof value as "string" | "boolean";
  if (value instanceof Uint8Array) return "bytes";
  if (Array.isArray(value))
    return { list: value.map((each) => typeOf(each, where)).reduce((a, b) => joint(a, b, where), "null") };
  if (isObject(value))
    return { fields: new Map(Object.entries(value).map(([name, each]) => [name, typeOf(each, `${where}.${name}`)])) };
  throw mixed(where, typeof value);
}

const nameOf = (type: ValueType) => (typeof type === "string" ? type : "list" in type ? "list" : "object");

/** The type that has the values of both. */
function joint(a: ValueType, b: ValueType, where: string): ValueType {
  if (a === "null" || a === b) return b;
  if (b === "null") return a;
  if (typeof a === "object" && typeof b === "object") {
    if ("list" in a && "list" in b) return { list: joint(a.list, b.list, where) };
    if ("fields" in a && "fields" in b) {
      const fields = new Map(a.fields);
      for (const [name, type] of b.fields)
        fields.set(name, joint(fields.get(name) ?? "null", type, `${where}.${name}`));
      return { fields };
    }
  }
  const isNumeric = [a, b].every((type) => type === "integer" || type === "number");
  if (isNumeric) return "number";
  throw mixed(where, `${nameOf(a)} and ${nameOf(b)}`);
}

/** The columns of a Parquet file. */
export class ParquetColumns {
  readonly schema: SchemaElement[];
  private readonly types: ReadonlyMap<string, ValueType>;

  /** The columns that rows have. @throws DataError where the values of one are of several types */
  constructor(rows: readonly Row[]) {
    const row = rows.map((each) => typeOf(each, "column")).reduce((a, b) => joint(a, b, "column"), "null");
    this.types = typeof row === "object" && "fields" in row ? row.fields : new Map();
    const columns = [...this.types].flatMap(([name, type]) => elements(name, type));
    this.schema = [{ name: "root", num_children: this.types.size }, ...columns];
  }

  /** The values of further rows, column by column. @throws DataError for values that the columns cannot have */
  values(rows: readonly Row[]): { name: string; data: unknown[] }[] {
    const other = rows.flatMap((row) => Object.keys(row)).find((name) => !this.types.has(name));
    if (other !== undefined) throw mixed(`column.${other}`, "a column that the first rows have not");
    return [...this.types].map(([name, type]) => ({
      name,
      data: rows.map((row) => stored(row[name], type, `column.${name}`)),
    }));
  }
}

const leaves = {
  string: { type: "BYTE_ARRAY", converted_type: "UTF8" },
  null: { type: "BYTE_ARRAY", converted_type: "UTF8" },
  bytes: { type: "BYTE_ARRAY" },
  integer: { type: "INT64" },
  number: { type: "DOUBLE" },
  boolean: { type: "BOOLEAN" },
} as const;

function elements(name: string, type: ValueType): SchemaElement[] {
  const repetition = { name, repetition_type: "OPTIONAL" } as const;
  if (typeof type === "string") return [{ ...repetition, ...leaves[type] }];
  if ("list" in type)
    return [
      { ...repetition, converted_type: "LIST", num_children: 1 },
      { name: "list", repetition_type: "REPEATED", num_children: 1 },
      ...elements("element", type.list),
    ];
  const fields = [...type.fields].flatMap(([field, each]) => elements(field, each));
  return [{ ...repetition, num_children: type.fields.size }, ...fields];
}

/** A value as the writer takes it: 64-bit integers are a bigint. */
function stored(value: unknown, type: ValueType, where: string): unknown {
  const actual = typeOf(value, where);
  if (actual === "null") return undefined;
  if (typeof type === "object" && typeof actual === "object") {
    if ("list" in type && Array.isArray(value)) return value.map((each) => stored(each, type.list, where));
    if ("fields" in type && "fields" in actual) {
      const unknown = [...actual.fields.keys()].find((name) => !type.fields.has(name));
      if (unknown !== undefined) throw mixed(`${where}.${unknown}`, "a field that the first rows have not");
      const fields = [...type.fields].map(([name, each]) => [
        name,
        stored((value as Row)[name], each, `${where}.${name}`),
      ]);
      return Object.fromEntries(fields);
    }
  }
  if (type === "number" && actual === "integer") return value;
  if (nameOf(joint(type, actual, where)) !== nameOf(type)) throw mixed(where, `${nameOf(type)} and ${nameOf(actual)}`);
  return type === "integer" ? BigInt(value as number) : value;
}
