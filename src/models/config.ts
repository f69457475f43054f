import { DataError } from "../ir/index.ts";

/** How a config field is stored in config.json. */
export interface ConfigField<C> {
  field: keyof C & string;
  key: string;
  default: unknown;
}

/** Values under the names of config.json. */
export function toJson<C extends object>(config: C, fields: readonly ConfigField<C>[]): Record<string, unknown> {
  return Object.fromEntries(fields.map(({ field, key }) => [key, config[field]]));
}

/**
 * Reads the fields of a config.json; absent ones get their defaults, others are left alone.
 * @throws DataError when a value has another type than its default.
 */
export function fromJson<C extends object>(path: string, json: Record<string, unknown>, fields: readonly ConfigField<C>[]): Partial<C> {
  const config: Record<string, unknown> = {};
  for (const { field, key, default: fallback } of fields) {
    const value = json[key];
    if (value === undefined || value === null) {
      if (value === null && fallback !== null) config[field] = null;
      continue;
    }
    if (fallback !== null && typeof value !== typeof fallback) {
      throw new DataError({ where: `${path}, ${key}`, expected: `a ${typeof fallback}`, received: JSON.stringify(value), fix: "correct config.json" });
    }
    config[field] = value;
  }
  return config as Partial<C>;
}
