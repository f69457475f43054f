import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { parse } from "yaml";
import { checkSchema, DataError, listedNames, nearest, OptionError } from "../base/index.ts";
import { withReadErrors } from "../files/index.ts";
import { type Preset, presets, type UpstreamKind } from "./presets.ts";
import { PriceTable } from "./prices.ts";
import { type ConfigData, type ConfigInput, configSchema, type UpstreamData } from "./schema.ts";
import { isReference, readSecret, type Secret, type SecretSources } from "./secret.ts";

/** An upstream whose secrets are there. */
export interface UpstreamSettings
  extends Omit<UpstreamData, "preset" | "kind" | "baseUrl" | "apiKey" | "models" | "headers"> {
  kind: UpstreamKind;
  baseUrl: URL;
  apiKey: Secret | undefined;
  /** Upstream's names by those that clients ask for. */
  models: ReadonlyMap<string, string>;
  headers: ReadonlyMap<string, string | Secret>;
}

/** A configuration that can be run. */
export interface GatewayConfig extends Omit<ConfigData, "upstreams" | "prices" | "store"> {
  upstreams: readonly UpstreamSettings[];
  prices: PriceTable | undefined;
  store: { sqlite: string } | { postgres: Secret } | undefined;
}

/** Where a config's secrets are read from, and relative paths begin. */
export interface ConfigOptions extends Partial<SecretSources> {
  /** In errors. @default "gateway" */
  where?: string;
  /** The content of the file of prices. @default none */
  prices?: unknown;
}

/**
 * A configuration with its defaults, references and secrets.
 * @throws OptionError naming the field that is wrong, the nearest name for one that is unknown, or the secret that is
 *   missing
 */
export function gatewayConfig(input: ConfigInput, options: ConfigOptions = {}): GatewayConfig {
  const { where = "gateway", prices, environment = process.env, folder = "." } = options;
  const data = checkSchema(where, configSchema, input, "docs/gateway.md");
  const sources = { environment, folder };
  const upstreams = data.upstreams.map((entry, i) => upstreamSettings(`${where}, upstreams[${i}]`, entry, sources));
  const config = {
    ...data,
    upstreams,
    keys: data.keys && { ...data.keys, file: resolve(folder, data.keys.file) },
    prices: prices === undefined ? undefined : new PriceTable(prices, data.prices),
    store: storeOf(`${where}, store`, data.store, sources),
  };
  checkNames(where, config);
  return config;
}

function storeOf(where: string, store: ConfigData["store"], sources: SecretSources): GatewayConfig["store"] {
  if (store === undefined) return undefined;
  if ("postgres" in store) return { postgres: readSecret(`${where}.postgres`, store.postgres, sources) };
  return { sqlite: resolve(sources.folder, store.sqlite) };
}

function upstreamSettings(where: string, data: UpstreamData, sources: SecretSources): UpstreamSettings {
  const { preset: presetName, apiKey, models, headers, ...rest } = data;
  const preset: Preset = presetName === undefined ? { kind: "openai" } : presets[presetName];
  const kind = data.kind ?? preset.kind;
  const baseUrl = data.baseUrl ?? preset.baseUrl;
  const refuse = (expected: string, received: string, fix: string) =>
    new OptionError({ where, expected, received, fix });
  if (baseUrl === undefined) throw refuse("a baseUrl, or the preset of a service", "neither", "add the baseUrl");
  const url = new URL(baseUrl);
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "")
    throw refuse("a baseUrl of scheme, host and path", "one with a user, a query or a fragment", "give keys as apiKey");
  if (kind === "azure" && data.apiVersion === undefined)
    throw refuse("an apiVersion for azure", "none", 'add one, as apiVersion: "2024-10-21"');
  if (kind !== "azure" && data.apiVersion !== undefined)
    throw refuse("apiVersion with azure alone", `kind ${kind}`, "remove apiVersion");
  return {
    ...rest,
    kind,
    baseUrl: url,
    apiKey: apiKey === undefined ? undefined : readSecret(`${where}.apiKey`, apiKey, sources),
    models: new Map(Array.isArray(models) ? models.map((model) => [model, model]) : Object.entries(models)),
    headers: new Map(
      Object.entries(headers).map(([name, value]) => [
        name.toLowerCase(),
        isReference(value) ? readSecret(`${where}.headers.${name}`, value, sources) : value,
      ]),
    ),
  };
}

/** Names that are said twice, or of what is not there. */
function checkNames(where: string, config: GatewayConfig): void {
  const upstreams = config.upstreams.map(({ name }) => name);
  const models = publicModels(config);
  requireUnique(`${where}, upstreams`, upstreams);
  for (const [model, { fallbacks }] of Object.entries(config.routing.models)) {
    requireOneOf(`${where}, routing.models`, model, models);
    for (const other of fallbacks) requireOneOf(`${where}, routing.models.${model}.fallbacks`, other, models);
  }
  if (Object.keys(config.keys?.budgets ?? {}).length > 0 && config.prices === undefined) {
    throw new OptionError({
      where: `${where}, keys.budgets`,
      expected: "prices, by which budgets are counted",
      received: "none",
      fix: "name a file of prices, as prices: prices.yaml",
    });
  }
  const { semantic } = config.cache;
  if (semantic) requireOneOf(`${where}, cache.semantic.upstream`, semantic.upstream, upstreams);
}

/** All models that clients may ask for. */
export const publicModels = ({ upstreams }: Pick<GatewayConfig, "upstreams">): string[] => [
  ...new Set(upstreams.flatMap(({ models }) => [...models.keys()])),
];

function requireUnique(where: string, names: readonly string[]): void {
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice === undefined) return;
  throw new OptionError({
    where,
    expected: "each name once",
    received: `${twice} twice`,
    fix: "rename or remove one",
  });
}

function requireOneOf(where: string, name: string, names: readonly string[]): void {
  if (names.includes(name)) return;
  const near = nearest(name, names);
  const fix = near ? `did you mean "${near}"?` : "correct the name, or add what it names";
  throw new OptionError({ where, expected: `one of ${listedNames(name, names)}`, received: JSON.stringify(name), fix });
}

/**
 * The configuration of a YAML file, and of the file of prices that it names.
 * @throws DataError for files that cannot be read; OptionError as `gatewayConfig`
 */
export async function readGatewayConfig(
  path: string,
  environment: SecretSources["environment"] = process.env,
): Promise<GatewayConfig> {
  const data = await readYaml(path);
  const folder = dirname(path);
  const file = (data as { prices?: unknown } | null)?.prices;
  const prices = typeof file === "string" ? await readYaml(resolve(folder, file)) : undefined;
  return gatewayConfig(data as ConfigInput, { where: path, environment, folder, prices });
}

/** The prices of a YAML or JSON file. @throws DataError or OptionError for a file that is none of prices */
export const readPrices = async (path: string): Promise<PriceTable> => new PriceTable(await readYaml(path), path);

async function readYaml(path: string): Promise<unknown> {
  const text = await withReadErrors(path, "a YAML file", () => readFile(path, "utf8"));
  try {
    return parse(text);
  } catch (cause) {
    // the message of the parser quotes lines of the file, which may hold what should not be shown
    const { linePos } = cause as { linePos?: [{ line: number; col: number }] };
    const received = linePos ? `an error at line ${linePos[0].line}, column ${linePos[0].col}` : "something else";
    throw new DataError({ where: path, expected: "YAML", received, fix: "correct the file" });
  }
}
