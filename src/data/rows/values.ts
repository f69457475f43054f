/** Values of tables of other systems as those of JSON. */

const GREATEST = BigInt(Number.MAX_SAFE_INTEGER);

/**
 * A value of a row: whole numbers are numbers where those hold them, and otherwise texts of digits; dates are texts of
 * ISO 8601; NaN and the infinities, which JSON has not, are null; bytes stay.
 */
export function plainValue(value: unknown): unknown {
  if (value === undefined || value === null) return null;
  if (typeof value === "bigint") return value <= GREATEST && value >= -GREATEST ? Number(value) : value.toString();
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value !== "object" || value instanceof Uint8Array) return value;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (Array.isArray(value)) return value.map(plainValue);
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as Iterable<unknown>, plainValue);
  return plainFields(value);
}

/** The fields of an object, each as `plainValue` has it. */
export const plainFields = (value: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plainValue(field)]));
