import type { FieldSpec } from "./config.ts";
import type { RopeRules } from "./rope-review.ts";

/** What a family reads of config.json, or of an object in it. */
export interface ConfigKeys {
  fields: Readonly<Record<string, FieldSpec>>;
  /** Other names of keys; they count where a file has both. */
  aliases?: Readonly<Record<string, string>>;
  /**
   * Keys of which other values would change the result: those that are supported, the first of which is the default.
   */
  supported?: Readonly<Record<string, readonly unknown[]>>;
  /**
   * Keys that matter in training alone and are not followed: the values that change nothing there either, the first of
   * which is the default.
   */
  training?: Readonly<Record<string, readonly unknown[]>>;
  /** Where there are rotary parameters. @default nowhere */
  rope?: RopeRules;
}
/** The same of a whole file: its top, and the objects in it by their keys. */
export type ConfigFile = ConfigKeys & { parts?: Readonly<Record<string, ConfigKeys>> };
