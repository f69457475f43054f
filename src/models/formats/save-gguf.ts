import { basename, dirname, resolve } from "#system";
import { checkOptions, DataError, nearest, OptionError, warnOnConsole } from "../../base/index.ts";
import {
  blockFormats,
  type GgufTensor,
  type GgufType,
  type GgufWritable,
  isFile,
  readGgufHeader,
  writeGguf,
} from "../../files/index.ts";
import { shortName } from "../../hub/index.ts";
import { hasBlocks } from "../../nn/index.ts";
import { ggufTokenizer, Tokenizer } from "../../tokenizers/index.ts";
import { hasTokenizer } from "../companions.ts";
import type { CausalLM } from "../decoders/causal-lm.ts";
import type { PretrainedModel } from "../model.ts";
import { isNorm } from "./gguf.ts";
import { type GgufArchitecture, ggufArchitectures } from "./gguf-architectures.ts";
import { configToGguf } from "./gguf-config.ts";
import { endIdsOf, generationToGguf } from "./gguf-generation.ts";
import { ggufNameOf, type Heads, inFileOrder, rowOrder, transpose } from "./gguf-tensors.ts";
import { cardToGguf, keptMetadata, readCard } from "./model-card.ts";

/** Types that are written. */
export const ggufTypes = [
  "f32",
  "f16",
  "bf16",
  "q8_0",
  "q5_0",
  "q4_0",
  "q4_1",
  "q4_k",
] as const satisfies readonly GgufType[];
/** A type of numbers that `saveGguf` writes. */
export type WritableGgufType = (typeof ggufTypes)[number];

/**
 * How `saveGguf` stores the numbers of matrices, and what goes along. By default half floats, and the tokenizer of
 * where the model was loaded from.
 */
export interface SaveGgufOptions {
  /**
   * How matrices are stored; vectors are f32. With 4 or 5 bits the token embeddings and the output layer have 8.
   * @default "f16"
   */
  type?: WritableGgufType;
  /**
   * The tokenizer, or a folder with one; null for none. @default that of the folder or file that the model was loaded
   * from
   */
  tokenizer?: Tokenizer | string | null;
  /** Further metadata, which go before all others. */
  metadata?: ReadonlyMap<string, GgufWritable>;
}

/** How the numbers of a file are stored. */
export interface SavedGguf {
  /** Numbers by their type. */
  numbers: Partial<Record<GgufType, number>>;
  /** Numbers of matrices that are of another type than was asked for, since their rows are no whole blocks of it. */
  fallbacks: Partial<Record<GgufType, number>>;
}

/** llama.cpp's numbers of what most tensors are. */
const fileTypes: Readonly<Record<WritableGgufType, number>> = {
  f32: 0,
  f16: 1,
  q4_0: 2,
  q4_1: 3,
  q8_0: 7,
  q5_0: 8,
  q4_k: 15,
  bf16: 32,
};

/**
 * Writes a decoder as a GGUF file that llama.cpp runs, with the tokenizer, the chat templates, the licence and whatever
 * else is said of it where it was loaded from.
 * @throws OptionError for another model, or settings that llama.cpp has no place for
 */
export async function saveGguf(
  model: PretrainedModel,
  path: string,
  options: SaveGgufOptions = {},
): Promise<SavedGguf> {
  checkOptions("saveGguf", options, ["type", "tokenizer", "metadata"]);
  const { type = "f16", metadata = new Map() } = options;
  if (!ggufTypes.includes(type)) {
    const near = nearest(type, ggufTypes);
    const fix = near ? `did you mean "${near}"?` : "choose one of them";
    throw new OptionError({ where: "saveGguf", expected: `a type of ${ggufTypes.join(", ")}`, received: type, fix });
  }
  const architecture = ggufArchitectures.find(({ modelType }) => modelType === model.modelType);
  if (model.task !== "causal-lm" || architecture === undefined) {
    const expected = `a language model of ${ggufArchitectures.map(({ modelType }) => modelType).join(", ")}`;
    throw new OptionError({
      where: "saveGguf",
      expected,
      received: model.architecture,
      fix: "save it as safetensors or ONNX",
    });
  }
  if (hasBlocks(model)) {
    const fix = 'open it with { weights: "f32" }';
    throw new OptionError({ where: "saveGguf", expected: "weights in f32", received: "weights in blocks", fix });
  }
  const { metadata: settings, factors } = configToGguf(architecture, model.family.configToJson(model));
  const { tensors, saved } = await tensorsOf(path, architecture, model as CausalLM, type);
  for (const [name, data] of factors) tensors.set(name, { type: "f32", shape: [data.length], data });
  const said = await saidOf(model as CausalLM, options.tokenizer);
  const general: [string, GgufWritable][] = [
    ["general.architecture", architecture.name],
    ["general.type", "model"],
    ["general.file_type", fileTypes[type]],
    ["general.quantization_version", 2],
  ];
  await writeGguf(path, new Map([...general, ...settings, ...said, ...metadata]), tensors);
  return saved;
}

/** The weights as the file has them, by its names. */
async function tensorsOf(path: string, architecture: GgufArchitecture, model: CausalLM, type: WritableGgufType) {
  const tensors = new Map<string, GgufTensor>();
  const stacks = new Map<string, GgufTensor[]>();
  const saved: SavedGguf = { numbers: {}, fallbacks: {} };
  const count = (into: SavedGguf["numbers"], stored: GgufType, { length }: Float32Array) => {
    into[stored] = (into[stored] ?? 0) + length;
  };
  const add = (name: string, tensor: Omit<GgufTensor, "type">): GgufTensor => {
    const { stored, wanted } = typeFor(name, tensor.shape, type);
    count(saved.numbers, stored, tensor.data);
    if (stored !== wanted) count(saved.fallbacks, stored, tensor.data);
    return { ...tensor, type: stored };
  };
  const heads = headsOf(model);
  for (const [key, variable] of model.namedParameters()) {
    const place = ggufNameOf(architecture, key);
    if (!place)
      throw new DataError({
        where: path,
        expected: "a weight that llama.cpp has",
        received: key,
        fix: "save the model as safetensors",
      });
    const { shape } = variable;
    const tensor = add(place.name, inFile(architecture, heads, key, shape, Float32Array.from(await variable.read())));
    if (place.expert === undefined) tensors.set(place.name, tensor);
    else stacks.set(place.name, [...(stacks.get(place.name) ?? []), tensor]);
  }
  for (const [name, experts] of stacks) tensors.set(name, stacked(experts));
  const table = tensors.get("token_embd.weight");
  if (architecture.needsOutput && table && !tensors.has("output.weight"))
    tensors.set("output.weight", add("output.weight", table));
  return { tensors, saved };
}

/** Tensors of one shape as one, in their order. */
function stacked(tensors: readonly GgufTensor[]): GgufTensor {
  const [{ type, shape, data }] = tensors;
  const all = new Float32Array(data.length * tensors.length);
  for (const [i, tensor] of tensors.entries()) all.set(tensor.data, i * data.length);
  return { type, shape: [tensors.length, ...shape], data: all };
}

function headsOf(model: CausalLM): Heads {
  const {
    numHeads,
    numKeyHeads = numHeads,
    headDim = model.config.hiddenSize / numHeads,
  } = model.config as unknown as Heads & { numKeyHeads?: number; headDim?: number };
  return { numHeads, numKeyHeads, headDim };
}

/** A weight of ours as the file has it. */
function inFile(
  architecture: GgufArchitecture,
  heads: Heads,
  key: string,
  shape: readonly number[],
  data: Float32Array,
): Omit<GgufTensor, "type"> {
  const { transposed, normOffset = 0 } = architecture;
  if (transposed?.test(key)) return { shape: [...shape].reverse(), data: transpose(data, shape) };
  const ordered = inFileOrder(data, rowOrder(architecture, heads, key, shape[0]));
  return { shape, data: normOffset > 0 && isNorm(key) ? ordered.map((x) => x + normOffset) : ordered };
}

/** What takes the place of a type whose blocks are longer than a row, as in llama.cpp. */
const shorterBlocks: Partial<Record<GgufType, GgufType>> = { q4_k: "q5_0" };

/** Blocks need rows of whole blocks; vectors are not worth it, and positions and routers have to be exact. */
function typeFor(
  name: string,
  shape: readonly number[],
  type: WritableGgufType,
): { stored: GgufType; wanted: GgufType } {
  if (shape.length < 2 || /^position_embd|ffn_gate_inp\./.test(name)) return { stored: "f32", wanted: "f32" };
  const isOuter = /^(token_embd|output)\.weight$/.test(name);
  const wanted = isOuter && /^q[45]/.test(type) ? "q8_0" : type;
  const columns = shape[shape.length - 1];
  const fits = (candidate: GgufType) => columns % blockFormats[candidate].size === 0;
  return { wanted, stored: [wanted, shorterBlocks[wanted] ?? wanted].find(fits) ?? "f16" };
}

/** Metadata of the tokenizer, and of what is said about the model, where it was loaded from. */
async function saidOf(model: CausalLM, tokenizer: SaveGgufOptions["tokenizer"]): Promise<Map<string, GgufWritable>> {
  const { source } = model;
  const isGguf = source !== undefined && isFile(source);
  const kept = isGguf ? keptMetadata(await readGgufHeader(source)) : new Map<string, GgufWritable>();
  if (isGguf && tokenizer === undefined && kept.has("tokenizer.ggml.model")) return kept;
  const card = source && !isGguf ? cardToGguf(await readCard(source)) : new Map<string, GgufWritable>();
  const name: [string, GgufWritable][] = source && !isGguf ? [["general.name", nameOf(source.name)]] : [];
  const others = [...kept].filter(([key]) => !key.startsWith("tokenizer."));
  return new Map([
    ...name,
    ...card,
    ...others,
    ...generationToGguf(model.generationConfig),
    ...(await tokenizerOf(model, tokenizer)),
  ]);
}

/** The name of a model; of a run, whose folder "model" or "checkpoint" it is, that of the run. */
function nameOf(source: string): string {
  const path = resolve(source);
  return shortName(/^(model|checkpoint)(\.old)?$/.test(basename(path)) ? dirname(path) : path);
}

async function tokenizerOf(model: CausalLM, choice: SaveGgufOptions["tokenizer"]): Promise<Map<string, GgufWritable>> {
  const { vocabSize } = model.config;
  const tokenizer =
    typeof choice === "string"
      ? await Tokenizer.open(choice)
      : choice === undefined
        ? await tokenizerOfSource(model)
        : choice;
  if (!tokenizer) {
    if (choice !== null)
      warnOnConsole({
        where: "saveGguf",
        notes: ["the model has no tokenizer: the file takes and gives token ids alone. Name one: { tokenizer }"],
      });
    return new Map([["tokenizer.ggml.model", "no_vocab"]]);
  }
  if (tokenizer.vocabSize > vocabSize) {
    const fix = "use the tokenizer that the model was trained with";
    throw new OptionError({
      where: "saveGguf",
      expected: `a tokenizer of at most the model's ${vocabSize} tokens`,
      received: `${tokenizer.vocabSize}`,
      fix,
    });
  }
  return ggufTokenizer(tokenizer, { endIds: endIdsOf(model), vocabSize });
}

/** The tokenizer beside the weights; undefined where there is none. @throws DataError for a damaged one */
async function tokenizerOfSource({ source }: CausalLM): Promise<Tokenizer | undefined> {
  return source !== undefined && (await hasTokenizer(source)) ? Tokenizer.open(source) : undefined;
}
