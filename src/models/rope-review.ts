/**
 * What transformers says of the rotary parameters in a config.json: which keys a type needs, which it does not use,
 * which values are odd.
 */
import { DataError, nearest } from "../base/index.ts";
import type { Json } from "./labels.ts";

/** What a family's rotary parameters have that others have not. */
export interface RopeRules {
  /** Older names of types, and what they mean. */
  oldTypes?: Readonly<Record<string, string>>;
  /** The types that there are. @default all */
  types?: readonly string[];
  /** Keys of the family's own. */
  ownKeys?: readonly string[];
  /**
   * Whether a part of each head may stay as it is. @default false: it turns whole, whatever partial_rotary_factor says
   */
  turnsPart?: boolean;
}

const ORIGINAL = "original_max_position_embeddings";
/** The keys of each type besides its name, those that it needs first. */
const typeKeys: Readonly<Record<string, { required: readonly string[]; optional: readonly string[] }>> = {
  default: { required: [], optional: [] },
  linear: { required: ["factor"], optional: [] },
  dynamic: { required: ["factor"], optional: [] },
  llama3: { required: ["factor", "low_freq_factor", "high_freq_factor"], optional: [ORIGINAL] },
  yarn: {
    required: ["factor"],
    optional: [ORIGINAL, "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"],
  },
  longrope: { required: ["short_factor", "long_factor"], optional: [ORIGINAL, "attention_factor", "factor"] },
};
const everywhere = ["type", "rope_type", "rope_theta", "partial_rotary_factor"];

/**
 * The parts of a config.json that have rotary parameters, without the keys that their types do not use; what is left
 * out or odd is noted.
 * @throws DataError for a type that is not known, and for one without a key that it needs
 */
export function reviewRope(path: string, json: Json, rules: RopeRules, notes: string[]): Json {
  const reviewed: Json = {};
  for (const name of ["rope_scaling", "rope_parameters"]) {
    const parameters = json[name];
    if (!isObject(parameters)) continue;
    const review = (part: Json, place: string) => reviewParameters(`${path}, ${place}`, part, { json, rules, notes });
    const isByLayer = Object.entries(parameters).some(
      ([key, value]) => key.endsWith("_attention") && (value === null || isObject(value)),
    );
    reviewed[name] = isByLayer
      ? Object.fromEntries(
          Object.entries(parameters).map(([key, part]) => [
            key,
            isObject(part) ? review(part, `${name}.${key}`) : part,
          ]),
        )
      : review(parameters, name);
  }
  return { ...json, ...reviewed };
}

const isObject = (value: unknown): value is Json =>
  value !== null && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length > 0;

interface Review {
  json: Json;
  rules: RopeRules;
  notes: string[];
}

function reviewParameters(where: string, parameters: Json, { json, rules, notes }: Review): Json {
  const type = typeOf(where, parameters, rules);
  const { required, optional } = typeKeys[type];
  requireKeys(where, type, parameters);
  const part = parameters.partial_rotary_factor ?? json.partial_rotary_factor ?? 1;
  if (part !== 1 && type !== "default" && !rules.turnsPart) {
    const fix = "this variant of the model is not supported: use another";
    throw new DataError({
      where,
      expected: `a partial_rotary_factor of 1 with "${type}"`,
      received: JSON.stringify(part),
      fix,
    });
  }
  const known = [...everywhere, ...required, ...optional, ...(rules.ownKeys ?? [])];
  const unused = Object.keys(parameters).filter((key) => !known.includes(key));
  if (unused.length > 0) notes.push(`${where}: "${type}" does not use ${unused.join(", ")}`);
  const used = Object.fromEntries(Object.entries(parameters).filter(([key]) => known.includes(key)));
  for (const odd of oddValues(type, used, json.max_position_embeddings)) notes.push(`${where}: ${odd}`);
  return {
    ...used,
    ...(Object.hasOwn(parameters, "rope_type") || Object.hasOwn(parameters, "type") ? { rope_type: type } : {}),
  };
}

/** @throws DataError for a type that is not known */
function typeOf(where: string, parameters: Json, { oldTypes = {}, types = Object.keys(typeKeys) }: RopeRules): string {
  const stated = String(parameters.rope_type ?? parameters.type ?? "default");
  const type = Object.hasOwn(oldTypes, stated) ? oldTypes[stated] : stated;
  if (types.includes(type)) return type;
  const near = nearest(type, types);
  const fix = near ? `did you mean "${near}"?` : "this scaling is not supported: use another model";
  throw new DataError({ where, expected: `a rope_type of ${types.join(", ")}`, received: JSON.stringify(stated), fix });
}

const isNumber = (value: unknown): value is number => typeof value === "number";

/**
 * @throws DataError for a key that a type needs and that is missing, or of which nothing can be made. yarn may have its
 * factor from the lengths
 */
function requireKeys(where: string, type: string, parameters: Json): void {
  for (const key of typeKeys[type].required) {
    const value = parameters[key];
    if (isNumber(value) || Array.isArray(value) || (type === "yarn" && value === null)) continue;
    throw new DataError({
      where,
      expected: `a ${key}, which "${type}" needs`,
      received: JSON.stringify(value) ?? "none",
      fix: "correct config.json",
    });
  }
}

/** Values that can be followed and are likely to be mistakes. */
function oddValues(type: string, parameters: Json, positions: unknown): string[] {
  const { factor, [ORIGINAL]: original, low_freq_factor: low, high_freq_factor: high } = parameters;
  const odd: string[] = [];
  if (isNumber(factor) && factor < 1) odd.push(`a factor below 1, ${factor}`);
  if (type === "llama3" && isNumber(low) && isNumber(high) && high <= low)
    odd.push(`high_freq_factor ${high} is not above low_freq_factor ${low}`);
  if (
    type === "llama3" &&
    isNumber(positions) &&
    isNumber(original ?? positions) &&
    ((original ?? positions) as number) >= positions
  )
    odd.push(`${ORIGINAL} ${original ?? positions} is not below max_position_embeddings ${positions}`);
  if (type !== "yarn") return odd;
  const [fast, slow] = [parameters.beta_fast || 32, parameters.beta_slow || 1];
  if ((fast as number) < (slow as number)) odd.push(`beta_fast ${fast} is below beta_slow ${slow}`);
  const stretched = isNumber(original) && isNumber(positions) ? positions / original : 1;
  if (stretched !== factor && stretched !== 1)
    odd.push(
      `the factor is ${factor}, but max_position_embeddings is ${stretched} times ${ORIGINAL}; the factor counts`,
    );
  return odd;
}
