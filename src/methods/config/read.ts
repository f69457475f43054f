/** Reads configs of training: files, and fields that are set on the command line. */
import { readFile, stat } from "node:fs/promises";
import { basename, dirname, extname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parse } from "yaml";
import {
  checkSchema,
  DataError,
  isObject,
  listedNames,
  nearest,
  OptionError,
  withYamlErrors,
} from "../../base/index.ts";
import { exists, withReadErrors } from "../../files/index.ts";
import type { Method } from "../method.ts";
import { requireOwnOptions } from "../parts/optimizer.ts";
import type { SharedConfig } from "./schema.ts";

/** A config that can be run. */
export interface ResolvedConfig {
  method: Method;
  config: SharedConfig & { method: { name: string } };
  /** The run's folder. */
  folder: string;
}

const DOCS = "docs/training.md";

/**
 * A config with its defaults, checked by its method. Files that it names are looked for beside it.
 * @param options methods: those there are; folder: where files are; name: of the run's folder in runs/
 * @throws OptionError naming the field that is wrong, and the nearest one to a field that is unknown
 */
export async function resolveConfig(
  input: unknown,
  {
    methods,
    where,
    folder,
    name,
  }: { methods: ReadonlyMap<string, Method>; where: string; folder: string; name: string },
): Promise<ResolvedConfig> {
  if (!isObject(input)) throw wrongFile(where, "fields, as method: sft", input);
  const method = methodNamed(statedMethod(input, where), methods, `${where}, method`);
  const config = checkSchema(where, method.schema, input, DOCS);
  requireOwnOptions(where, config);
  const resolved = (await withPaths(config, folder)) as typeof config;
  return { method, config: resolved, folder: config.output ?? join("runs", name) };
}

/**
 * A config file in YAML, JSON or a JavaScript module (its default export), with fields that are set beside it, such as
 * `training.batchSize=4`, in YAML.
 * @throws DataError for a file that cannot be read; OptionError as `resolveConfig`
 */
export async function readConfigFile(
  path: string,
  overrides: readonly string[],
  methods: ReadonlyMap<string, Method>,
): Promise<ResolvedConfig> {
  const content = /\.[cm]?[jt]s$/.test(path) ? await importedConfig(path) : await parsedConfig(path);
  const input = overrides.reduce((config, override) => withField(config, override), content);
  const name = basename(path, extname(path));
  const folder = dirname(path);
  return resolveConfig(input, {
    methods,
    where: path,
    folder,
    name: name === "config" ? basename(resolve(folder)) : name,
  });
}

async function parsedConfig(path: string): Promise<unknown> {
  const text = await withReadErrors(path, "a config file", () => readFile(path, "utf8"));
  return withYamlErrors(path, () => parse(text), { expected: "YAML or JSON" }) ?? {};
}

async function importedConfig(path: string): Promise<unknown> {
  await withReadErrors(path, "a config file", () => stat(path));
  try {
    return (await import(pathToFileURL(resolve(path)).href)).default;
  } catch (cause) {
    const isTypeScript = path.endsWith("ts") && (cause as NodeJS.ErrnoException).code === "ERR_UNKNOWN_FILE_EXTENSION";
    throw new DataError({
      where: path,
      expected: "a module with a config as its default export",
      received: (cause as Error).message.split("\n")[0],
      fix: isTypeScript ? "run it by tsx, as npx tsx node_modules/.bin/kindling, or with Node 24" : "correct it",
      cause,
    });
  }
}

/** What a config says of its method. @throws OptionError for nothing beside a field of nearly its name */
function statedMethod(input: Readonly<Record<string, unknown>>, where: string): unknown {
  const [inside, field] = isObject(input.method) ? [input.method, "name"] : [input, "method"];
  const stated = inside[field];
  const typo = stated === undefined ? Object.keys(inside).find((key) => nearest(key, [field])) : undefined;
  if (typo === undefined) return stated;
  throw new OptionError({
    where: `${where}, method`,
    expected: `the field ${field}`,
    received: `"${typo}" in its place`,
    fix: `did you mean "${field}"?`,
  });
}

/** The method of a name. @throws OptionError for a name that none has, with the nearest */
export function methodNamed(name: unknown, methods: ReadonlyMap<string, Method>, where: string): Method {
  const method = typeof name === "string" ? methods.get(name) : undefined;
  if (method) return method;
  const names = [...methods.keys()];
  const near = typeof name === "string" ? nearest(name, names) : undefined;
  throw new OptionError({
    where,
    expected: `a method of ${listedNames(String(name), names)}`,
    received: name === undefined ? "none" : JSON.stringify(name),
    fix: near ? `did you mean "${near}"?` : "name one; kindling init --list tells what each is for",
  });
}

/** `a.b=value` set in a config. @throws OptionError for another form, or a field inside of what has none */
export function withField(config: unknown, override: string): unknown {
  const [, path, text] = /^([\w.-]+)=(.*)$/s.exec(override) ?? [];
  if (path === undefined) {
    throw new OptionError({
      where: "override",
      expected: "field=value, such as training.batchSize=4",
      received: JSON.stringify(override),
      fix: "write it in this form",
    });
  }
  const set = (inside: unknown, names: readonly string[]): unknown => {
    if (names.length === 0) return withYamlErrors(`override ${path}`, () => parse(text), { fix: "correct the value" });
    const [name, ...rest] = names;
    // `method: sft` is short for an object
    const fields = typeof inside === "string" && names.length === 1 ? { name: inside } : (inside ?? {});
    if (!isObject(fields)) {
      throw new OptionError({
        where: `override ${path}`,
        expected: `fields to set "${name}" in`,
        received: JSON.stringify(inside),
        fix: "correct the path",
      });
    }
    return { ...fields, [name]: set(fields[name], rest) };
  };
  return set(config, path.split("."));
}

function wrongFile(where: string, expected: string, received: unknown): DataError {
  const shown = JSON.stringify(received)?.slice(0, 60) ?? "nothing";
  return new DataError({ where, expected, received: shown, fix: "kindling init writes a config to begin with" });
}

/** Names of files beside the config as paths; what is not there stays as it is, for it may be a repository. */
async function withPaths(value: unknown, folder: string, key = ""): Promise<unknown> {
  if (typeof value === "string") {
    if (!PATH_FIELDS.has(key) || value === "") return value;
    const path = join(folder, value);
    return folder !== "." && (await exists(path)) ? path : value;
  }
  if (Array.isArray(value)) return Promise.all(value.map((each) => withPaths(each, folder, key)));
  if (!isObject(value)) return value;
  const entries = Object.entries(value).map(async ([name, each]) => [
    name,
    name === "new" || (key === "method" && name === "name") ? each : await withPaths(each, folder, pathKey(key, name)),
  ]);
  return Object.fromEntries(await Promise.all(entries));
}

/** Both parts of a model that is put together are models; elsewhere `language` is that of a text. */
const pathKey = (key: string, name: string) =>
  key === "model" && (name === "vision" || name === "language") ? "model" : name;

/** Fields that may name files. */
const PATH_FIELDS = new Set([
  ...["model", "name", "tokenizer", "train", "validation", "path", "pictures", "teacher", "reference"],
  ...["rewards", "module", "imageFolder"],
]);
