/** How a model generates, in the metadata of GGUF files. */
import { GgufFloat, type GgufHeader, type GgufWritable } from "../../files/index.ts";
import { ggufRoles } from "../../tokenizers/index.ts";
import type { Json } from "../labels.ts";
import { shortestDecimal } from "./gguf-rope.ts";

/** llama.cpp's names of what generation_config.json says of sampling, after "general.sampling.". */
const sampling = {
  temp: "temperature",
  top_k: "top_k",
  top_p: "top_p",
  min_p: "min_p",
  penalty_repeat: "repetition_penalty",
} as const;
const SAMPLING = "general.sampling.";
const SUPPRESSED = "tokenizer.ggml.suppress_tokens";
/** A key of ours for what llama.cpp has none for. */
const OTHERS = "kindling.generation_config";

/**
 * What a generation_config.json would say. All tokens that end a generation for llama.cpp are there, the usual one
 * first.
 */
export function generationFromGguf(path: string, { metadata }: Pick<GgufHeader, "metadata">): Json {
  const { roles, endIds } = ggufRoles(path, metadata);
  const json: Json = {
    bos_token_id: roles.bos ?? null,
    eos_token_id: endIds.length > 1 ? [...endIds] : (endIds[0] ?? null),
  };
  if (roles.padding !== undefined) json.pad_token_id = roles.padding;
  for (const [theirs, ours] of Object.entries(sampling)) {
    const value = metadata.get(SAMPLING + theirs);
    if (typeof value === "number") Object.assign(json, { do_sample: true, [ours]: shortestDecimal(value) });
  }
  const suppressed = metadata.get(SUPPRESSED);
  if (Array.isArray(suppressed)) json.suppress_tokens = suppressed;
  const others = metadata.get(OTHERS);
  return { ...json, ...(typeof others === "string" ? objectIn(others) : {}) };
}

function objectIn(text: string): Json {
  try {
    const value: unknown = JSON.parse(text);
    return value !== null && typeof value === "object" && !Array.isArray(value) ? (value as Json) : {};
  } catch {
    return {};
  }
}

/** Keys that say where a file came from, and those that metadata of the tokenizer have. */
const passedOver = ["_from_model_config", "transformers_version", "bos_token_id", "eos_token_id", "pad_token_id"];

/** Metadata for what a generation_config.json says. Ids of tokens are the tokenizer's. */
export function generationToGguf(json: Json): Map<string, GgufWritable> {
  const metadata = new Map<string, GgufWritable>();
  const rest = new Map(Object.entries(json).filter(([key, value]) => !passedOver.includes(key) && value !== null));
  if (rest.get("do_sample") === true) {
    rest.delete("do_sample");
    for (const [theirs, ours] of Object.entries(sampling)) {
      const value = rest.get(ours);
      if (typeof value !== "number") continue;
      metadata.set(SAMPLING + theirs, ours === "top_k" ? value : new GgufFloat(value));
      rest.delete(ours);
    }
    if (metadata.size === 0) rest.set("do_sample", true);
  }
  const suppressed = rest.get("suppress_tokens");
  if (Array.isArray(suppressed) && suppressed.length > 0) {
    metadata.set(SUPPRESSED, suppressed);
    rest.delete("suppress_tokens");
  }
  if (rest.size > 0) metadata.set(OTHERS, JSON.stringify(Object.fromEntries(rest)));
  return metadata;
}

/** The tokens that end a generation, the usual one first; none where the model does not say. */
export function endIdsOf({ config, generationConfig }: { config: object; generationConfig: Json }): number[] {
  const isId = (id: unknown): id is number => typeof id === "number";
  const [usual, all] = [(config as { eosTokenId?: unknown }).eosTokenId, generationConfig.eos_token_id].map((ids) =>
    [ids].flat().filter(isId),
  );
  return all.length > 0 ? all : usual;
}
