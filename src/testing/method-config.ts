/** The config of a method after defaults, for tests of its parts. */
import { type Method, methods, type SharedConfig } from "../methods/index.ts";

/** @param input the config without `method`, and without data where it does not matter */
export function methodConfig(name: string, input: object, settings: object = {}): SharedConfig {
  const { schema } = methods.get(name) as Method;
  return schema.parse({ data: { train: "none.jsonl" }, ...input, method: { name, ...settings } });
}
