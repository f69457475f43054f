/** config.json from the metadata of a GGUF file, and the other way round. */

import { DataError, listedNames, nearest, OptionError } from "../../base/index.ts";
import { GgufFloat, type GgufHeader, type GgufValue, type GgufWritable } from "../../files/index.ts";
import type { RopeParameters } from "../../nn/index.ts";
import { ggufRoles } from "../../tokenizers/index.ts";
import type { Json } from "../labels.ts";
import { type GgufArchitecture, ggufArchitectures } from "./gguf-architectures.ts";
import { type RopeSource, ropeFromGguf, ropeToGguf, shortestDecimal } from "./gguf-rope.ts";
import type { Heads } from "./gguf-tensors.ts";

type Types = { number: number; string: string; boolean: boolean };
type Header = Pick<GgufHeader, "metadata" | "tensors">;

function typed<K extends keyof Types, T>(
  path: string,
  metadata: ReadonlyMap<string, GgufValue>,
  key: string,
  kind: K,
  otherwise: T,
): Types[K] | T {
  const value = metadata.get(key);
  if (value === undefined) return otherwise;
  if (typeof value === kind) return value as Types[K];
  throw new DataError({
    where: `${path}, ${key}`,
    expected: `a ${kind}`,
    received: typeof value,
    fix: "the file is damaged: fetch it again",
  });
}

/** What a file holds, among those of its name. @throws DataError naming the nearest architecture */
export function architectureOf(path: string, { metadata }: Header): GgufArchitecture {
  const name = metadata.get("general.architecture");
  const setting = (key: string) => metadata.get(`${name}.${key}`);
  const architecture = ggufArchitectures.find((each) => each.name === name && (each.isOf?.(setting) ?? true));
  if (architecture) return architecture;
  const names = [...new Set(ggufArchitectures.map((each) => each.name))];
  const near = nearest(String(name), names);
  throw new DataError({
    where: `${path}, general.architecture`,
    expected: `one of ${listedNames(String(name), names)}`,
    received: String(name),
    fix: near ? `did you mean "${near}"?` : "load the original model instead",
  });
}

/**
 * A file's settings as transformers would have them, and its numbers of heads, by which rows of weights are put in
 * order.
 */
export interface GgufConfig {
  /** As a config.json has it. */
  json: Json;
  heads: Heads;
}

/**
 * What config.json would say of a file's model. @throws DataError for settings of another type, or a scaling of
 * positions that is not known
 */
export function configFromGguf(
  path: string,
  architecture: GgufArchitecture,
  header: Header,
  factors: RopeSource["factors"],
): GgufConfig {
  const { metadata, tensors } = header;
  const setting = <K extends keyof Types, T>(kind: K, key: string, otherwise: T) =>
    typed(path, metadata, `${architecture.name}.${key}`, kind, otherwise);
  const json: Json = { model_type: architecture.modelType };
  for (const [key, [ours, kind]] of Object.entries(architecture.keys)) {
    const value = kind === "flag" ? setting("boolean", key, undefined) : setting("number", key, undefined);
    if (value !== undefined)
      json[ours] ??= typeof value === "number" && kind === "float" ? shortestDecimal(value) : value;
  }
  const number = <T>(key: string, otherwise: T) => setting("number", key, otherwise);
  const numHeads = number("attention.head_count", 0);
  const headDim = number("attention.key_length", number("embedding_length", 0) / numHeads);
  if ("attention.key_length" in architecture.keys)
    Object.assign(json, { head_dim: headDim, num_key_value_heads: json.num_key_value_heads ?? numHeads });
  Object.assign(
    json,
    fromTensors(tensors),
    architecture.fixed,
    tokenIds(path, metadata),
    windows(path, architecture, header),
  );
  const scaled = scoreWidth(architecture, json);
  if (scaled !== undefined) json.query_pre_attn_scalar = scaled;
  const source: RopeSource = { path, number, text: (key, otherwise) => setting("string", key, otherwise), factors };
  const rope = ropeOf(architecture, source, { headDim, maxPositionEmbeddings: number("context_length", 0) });
  if (rope) json.rope_parameters = rope;
  const { original_max_position_embeddings: original } = rope ?? {};
  if (original !== undefined) json.original_max_position_embeddings = original; // where Phi-3 looks for it
  return { json, heads: { numHeads, numKeyHeads: number("attention.head_count_kv", numHeads), headDim } };
}

/** What tensors tell: the size of the vocabulary, a tied output, biases. */
function fromTensors(tensors: Header["tensors"]): Json {
  return {
    vocab_size: tensors.get("token_embd.weight")?.shape[0] ?? 0,
    tie_word_embeddings: !tensors.has("output.weight"),
    attention_bias: ["attn_q", "attn_qkv", "attn_output"].some((module) => tensors.has(`blk.0.${module}.bias`)),
    mlp_bias: tensors.has("blk.0.ffn_up.bias"),
  };
}

function tokenIds(path: string, metadata: Header["metadata"]): Json {
  const { bos, eos, padding } = ggufRoles(path, metadata).roles;
  return { bos_token_id: bos ?? null, eos_token_id: eos ?? null, pad_token_id: padding ?? null };
}

/** Families whose heads turn in part. */
const isPartial = ({ modelType }: GgufArchitecture) => ["phi3", "glm", "glm4", "gpt_neox"].includes(modelType);

function ropeOf(
  architecture: GgufArchitecture,
  source: RopeSource,
  sizes: { headDim: number; maxPositionEmbeddings: number },
): RopeParameters | Json | undefined {
  if (architecture.rope === "none") return undefined;
  const rope = ropeFromGguf(source, sizes, isPartial(architecture));
  if (architecture.rope !== "layers") return rope;
  const theta = source.number("rope.freq_base_swa", architecture.windowTheta ?? rope.rope_theta);
  return { full_attention: rope, sliding_attention: { rope_type: "default", rope_theta: theta } };
}

/** Which layers have a window: every one but each so many-th, or a list of them. */
function windows(path: string, architecture: GgufArchitecture, { metadata }: Header): Json {
  if (architecture.windowPeriod === undefined) return {};
  const count = Number(metadata.get(`${architecture.name}.block_count`));
  const pattern = metadata.get(`${architecture.name}.attention.sliding_window_pattern`) ?? architecture.windowPeriod;
  const isList = Array.isArray(pattern) && pattern.length === count;
  if (!isList && !(typeof pattern === "number" && pattern > 0)) {
    const expected = `a number, or one value for each of ${count} layers`;
    throw new DataError({
      where: `${path}, attention.sliding_window_pattern`,
      expected,
      received: String(pattern),
      fix: "load the original model instead",
    });
  }
  return {
    layer_types: isList
      ? pattern.map((isSliding) => layerType(Boolean(isSliding)))
      : layerTypes(count, pattern as number),
  };
}

const layerType = (isSliding: boolean) => (isSliding ? "sliding_attention" : "full_attention");
const layerTypes = (count: number, period: number) =>
  Array.from({ length: count }, (_, layer) => layerType((layer + 1) % period !== 0));

/** The width by whose root scores are divided, in Gemma. */
function scoreWidth({ widelyScaledLayers }: GgufArchitecture, json: Json): number | undefined {
  if (widelyScaledLayers === undefined) return undefined;
  const [hiddenSize, numHeads] = [json.hidden_size as number, json.num_attention_heads as number];
  return json.num_hidden_layers === widelyScaledLayers ? Math.floor(hiddenSize / numHeads) : (json.head_dim as number);
}

const refuse = (expected: string, received: unknown) =>
  new OptionError({
    where: "saveGguf",
    expected,
    received: JSON.stringify(received) ?? "nothing",
    fix: "save the model as safetensors or ONNX",
  });

/**
 * Metadata for a config.json, and factors of wavelengths by the name of their tensor.
 * @throws OptionError for a setting that llama.cpp has no place for
 */
export function configToGguf(
  architecture: GgufArchitecture,
  json: Json,
): { metadata: Map<string, GgufWritable>; factors: Map<string, Float32Array> } {
  checkSettings(architecture, json);
  const metadata = new Map<string, GgufWritable>();
  const set = (key: string, value: GgufWritable) => metadata.set(`${architecture.name}.${key}`, value);
  set("vocab_size", json.vocab_size as number);
  for (const [key, [ours, kind]] of Object.entries(architecture.keys)) {
    const value = json[ours] as number | boolean | null | undefined;
    if (value !== null && value !== undefined) set(key, kind === "float" ? new GgufFloat(value as number) : value);
  }
  const { layer_types: types, num_hidden_layers: count } = json as {
    layer_types?: string[] | null;
    num_hidden_layers: number;
  };
  if (
    architecture.windowPeriod !== undefined &&
    types &&
    types.join() !== layerTypes(count, architecture.windowPeriod).join()
  )
    set(
      "attention.sliding_window_pattern",
      types.map((type) => type === layerType(true)),
    );
  if (architecture.rope === "none") return { metadata, factors: new Map() };
  const all = json.rope_parameters as RopeParameters & {
    full_attention: RopeParameters;
    sliding_attention: RopeParameters;
  };
  const rope = architecture.rope === "layers" ? all.full_attention : all;
  const headDim =
    (json.head_dim as number | undefined) ?? (json.hidden_size as number) / (json.num_attention_heads as number);
  const { settings, factors } = ropeToGguf(rope, {
    headDim,
    maxPositionEmbeddings: json.max_position_embeddings as number,
  });
  for (const [key, value] of Object.entries(settings)) set(key, value);
  if (architecture.rope === "layers") {
    const { rope_type: type = "default", rope_theta: theta } = all.sliding_attention;
    if (type !== "default") throw refuse("plain rotary positions in layers with a window", type);
    if (theta !== (architecture.windowTheta ?? rope.rope_theta))
      set("rope.freq_base_swa", new GgufFloat(theta as number));
  }
  return { metadata, factors };
}

/** @throws OptionError naming the setting */
function checkSettings(architecture: GgufArchitecture, json: Json): void {
  for (const [key, value] of Object.entries(architecture.fixed ?? {})) {
    const setting = json[key];
    if (setting !== undefined && JSON.stringify(setting) !== JSON.stringify(value))
      throw refuse(`${key} of ${JSON.stringify(value)}, as llama.cpp has it`, setting);
  }
  const {
    no_rope_layers: noRope,
    sliding_window: window,
    use_sliding_window: usesWindow = true,
    max_position_embeddings: context,
  } = json;
  const interval = architecture.fixed?.no_rope_layer_interval as number | undefined;
  if (
    interval &&
    Array.isArray(noRope) &&
    noRope.some((isOn, layer) => (isOn === 1) !== ((layer + 1) % interval !== 0))
  )
    throw refuse(`positions in all but each ${interval}th layer`, noRope);
  const hasWindow = typeof window === "number" && usesWindow === true && window < (context as number);
  if (hasWindow && !("attention.sliding_window" in architecture.keys))
    throw refuse("attention to all positions", `a window of ${window}`);
  const width = scoreWidth(architecture, json);
  if (width !== undefined && json.query_pre_attn_scalar !== width)
    throw refuse(`query_pre_attn_scalar of ${width}, as llama.cpp has it`, json.query_pre_attn_scalar);
}
