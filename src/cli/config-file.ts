import { readFile } from "node:fs/promises";
import { type Command, InvalidArgumentError, type Option } from "commander";
import { checkOptions, DataError, isObject, OptionError, withYamlErrors } from "../base/index.ts";
import { systemError } from "../files/index.ts";
import { collect } from "./parse-values.ts";
import { namedAdapter } from "./serve-adapters.ts";

/** What a file of options says beside them. */
export interface ConfigFile {
  /** What the command line may name as its arguments. */
  models: readonly string[] | undefined;
}

/**
 * Sets the options of a command from a YAML file whose fields are their long names, and `models`. What is typed, or in
 * the environment, goes before it.
 * @throws DataError for a file that cannot be read; OptionError for a field that is unknown, naming the nearest, or a
 *   value that cannot be
 */
export async function applyConfig(command: Command, path: string): Promise<ConfigFile> {
  const json = await readConfig(path);
  const options = new Map(command.options.filter(({ long }) => long !== "--config").map((o) => [fieldOf(o), o]));
  const help = `remove it, or look for what it is called with kindling ${command.name()} --help`;
  checkOptions(path, json, [...options.keys(), "models"], help);
  const { models, ...fields } = json;
  const names = models === undefined ? undefined : [models].flat();
  if (names && !names.every((name) => typeof name === "string"))
    throw wrong(path, "models", "a text or a list of texts", models);
  for (const [field, value] of Object.entries(fields)) {
    const option = options.get(field) as Option;
    const name = option.attributeName();
    if (["cli", "env"].includes(command.getOptionValueSource(name) ?? "")) continue;
    command.setOptionValueWithSource(
      name,
      optionValue(option, value, (expected) => wrong(path, field, expected, value)),
      "config",
    );
  }
  return { models: names };
}

/** `--no-mmap` is `mmap: false`. */
const fieldOf = ({ long, negate }: Option): string => (long ?? "").replace(negate ? /^--no-/ : /^--/, "");

async function readConfig(path: string): Promise<Readonly<Record<string, unknown>>> {
  const { parse } = await import("yaml");
  const text = await readFile(path, "utf8").catch((cause) => {
    throw systemError(path, "a YAML file of options", cause);
  });
  const value: unknown = withYamlErrors(path, () => parse(text));
  if (value === null) return {};
  if (isObject(value)) return value;
  throw new DataError({
    where: path,
    expected: "a field for each option, as port: 9000",
    received: Array.isArray(value) ? "a list" : JSON.stringify(value).slice(0, 60),
    fix: "write a line for each option",
  });
}

/** What reads options that may be repeated: in a file they are lists. */
const repeatable: readonly unknown[] = [collect, namedAdapter];

/** A value as the option would have read it. */
function optionValue(option: Option, value: unknown, refusal: (expected: string) => OptionError): unknown {
  if (option.isBoolean() || option.negate) {
    if (typeof value !== "boolean") throw refusal("true or false");
    return value;
  }
  if (option.optional && typeof value === "boolean") return value ? option.presetArg : undefined;
  const isList = repeatable.includes(option.parseArg);
  const values: unknown[] = isList && Array.isArray(value) ? value : [value];
  if (!values.every((entry) => typeof entry === "string" || typeof entry === "number"))
    throw refusal(isList ? "a text or a list of texts" : "a text or a number");
  const { parseArg } = option;
  if (!parseArg) return String(value);
  try {
    return values.map(String).reduce<unknown>((before, text) => parseArg(text, before), undefined);
  } catch (cause) {
    if (cause instanceof InvalidArgumentError) throw refusal(`another value: ${cause.message.replace(/\.$/, "")}`);
    throw cause;
  }
}

function wrong(path: string, field: string, expected: string, received: unknown): OptionError {
  const shown = JSON.stringify(received)?.slice(0, 60) ?? "nothing";
  return new OptionError({ where: `${path}: ${field}`, expected, received: shown, fix: "correct the file" });
}
