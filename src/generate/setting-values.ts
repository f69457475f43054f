/** A key of generation_config.json, what it may hold in words, and whether a value is fine. */
export type Field = [key: string, expected: string, isFine: (value: unknown) => boolean];

export const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);
export const isPositive = (value: unknown) => isNumber(value) && value > 0;
export const isBoolean = (value: unknown) => typeof value === "boolean";
/** Also a count that may be 0. */
export const isId = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
export const isCount = (value: unknown) => isId(value) && value > 0;
export const isIds = (value: unknown): value is number[] => Array.isArray(value) && value.every(isId);
export const isSequence = (value: unknown) => isIds(value) && value.length > 0;
