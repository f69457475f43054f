/** The models that `kindling serve` is given: what kind each is of, and how it is loaded. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { DataError, OptionError } from "../base/index.ts";
import { exists, readJson } from "../files/index.ts";
import { inspectModel } from "../models/index.ts";
import { CrossEncoder, pipeline, SentenceEncoder } from "../pipelines/index.ts";
import type { KindModels, ModelEntry, ModelKind, ServedModel } from "../serve/index.ts";
import { findModel, idOf, type OpenOptions, openModelAt, takesImages } from "./models.ts";
import { type AdaptableModel, type AdapterFlags, adaptersOf } from "./serve-adapters.ts";

/** A model to serve, and a first request to it. */
export interface CommandModel {
  entry: ModelEntry;
  /** Asked when the model is loaded, if it is the first. */
  example(): { path: string; body: object } | { path: string; form: readonly string[] };
}

/** A model that is loaded already and disposed of by the server. */
export function openedModel(model: ServedModel): CommandModel {
  return {
    entry: {
      id: model.id,
      kind: "text-generation",
      bytes: 0,
      takesImages: model.images !== undefined,
      load: async () => model,
    },
    example: () => textExample(model),
  };
}

/** A model whose files are there. */
interface LocatedModel extends AdaptableModel {
  kind: ModelKind;
  family?: string;
}

/**
 * Models named on the command line, each as "name" or "id=name".
 * @param options of loading; those of generators concern models that write
 * @param adapters of models that write
 * @throws DataError for what is no model, or one of a kind that is not served; OptionError for an adapter whose model
 *   is not known
 */
export async function commandModels(
  names: readonly string[],
  runs: string,
  options: OpenOptions,
  adapters: AdapterFlags = {},
): Promise<CommandModel[]> {
  const located: LocatedModel[] = [];
  for (const name of names) located.push(await locate(name, runs)); // one may be pulled
  const writers = located.filter(({ kind }) => kind === "text-generation");
  const adaptersById = await adaptersOf(adapters, writers);
  return Promise.all(located.map((model) => commandModel(model, runs, { ...options, ...adaptersById.get(model.id) })));
}

async function locate(argument: string, runs: string): Promise<LocatedModel> {
  const { id, name } = await splitAlias(argument);
  const path = await findModel(name, runs);
  return { id: id ?? idOf(path), name, path, ...(await kindOf(path)) };
}

async function commandModel(
  { id, path, kind, family }: LocatedModel,
  runs: string,
  options: OpenOptions,
): Promise<CommandModel> {
  const shared = { id, bytes: await weightBytes(path), family };
  const { mmap } = options;
  if (kind === "text-generation") {
    let opened: KindModels[typeof kind] | undefined;
    const assistant = options.assistant === undefined ? undefined : await findModel(options.assistant, runs);
    const bytes = shared.bytes + (assistant === undefined ? 0 : await weightBytes(assistant));
    const load = async () => (opened = await openModelAt(path, { ...options, assistant }));
    const adapters = options.adapters?.map((adapter) => adapter.name);
    const entry = { ...shared, bytes, kind, adapters, takesImages: await takesImages(path), load };
    return { entry, example: () => textExample(opened) };
  }
  const load = loaders[kind];
  const entry = { ...shared, kind, load: () => load(path, { mmap }) } as ModelEntry;
  return { entry, example: () => examples[kind] };
}

type Loaders = {
  [K in Exclude<ModelKind, "text-generation">]: (path: string, options: { mmap?: boolean }) => Promise<KindModels[K]>;
};
const loaders: Loaders = {
  embedding: (path, options) => SentenceEncoder.open(path, options),
  ranking: (path, options) => CrossEncoder.open(path, options),
  classification: (path, options) => pipeline("text-classification", path, options),
  speech: (path, options) => pipeline("automatic-speech-recognition", path, options),
};

const examples: Readonly<Record<keyof Loaders, ReturnType<CommandModel["example"]>>> = {
  embedding: { path: "/v1/embeddings", body: { input: "Hello" } },
  ranking: { path: "/v1/rerank", body: { query: "Who sailed?", documents: ["Ishmael", "The landlord"] } },
  classification: { path: "/classify", body: { input: "Hello" } },
  speech: { path: "/v1/audio/transcriptions", form: ["file=@sound.wav"] },
};

/** With fewer tokens than the context has. */
function textExample(model: KindModels["text-generation"] | undefined): { path: string; body: object } {
  if (!model || model.chatTemplate)
    return { path: "/v1/chat/completions", body: { messages: [{ role: "user", content: "Hello" }] } };
  const tokens = Math.min(40, model.generator.contextLength >> 1);
  return { path: "/v1/completions", body: { prompt: "Once", max_tokens: tokens } };
}

/** A name in front of "=", unless there is a file of the whole. */
async function splitAlias(argument: string): Promise<{ id?: string; name: string }> {
  const at = argument.indexOf("=");
  if (at < 0 || (await exists(argument))) return { name: argument };
  const [id, name] = [argument.slice(0, at), argument.slice(at + 1)];
  if (id !== "" && name !== "") return { id, name };
  throw new OptionError({
    where: "serve",
    expected: "a model, or a name for it as name=folder",
    received: argument,
    fix: "write both sides of the =",
  });
}

/** The kind of a model by its files. @throws DataError for one that is not served */
async function kindOf(path: string): Promise<{ kind: ModelKind; family?: string }> {
  if ((await stat(path)).isFile()) return { kind: "text-generation" }; // GGUF
  const config = await readJson(join(path, "config.json"));
  const family = typeof config.model_type === "string" ? config.model_type : undefined;
  const [architecture = ""] = Array.isArray(config.architectures) ? (config.architectures as string[]) : [];
  if (await exists(join(path, "modules.json"))) return { kind: "embedding", family };
  if (await takesImages(path)) return { kind: "text-generation", family };
  const kind = kindsByClass.find(({ of }) => of.test(architecture))?.kind;
  if (kind) return { kind: kind === "classification" && countLabels(config) === 1 ? "ranking" : kind, family };
  throw new DataError({
    where: path,
    expected: "a model that writes, embeds, ranks or classifies texts, or writes down speech",
    received: architecture || "a config.json without architectures",
    fix: "use such a model, or kindling/pipelines for other tasks",
  });
}

/** Kinds by the name of the class that config.json says. */
const kindsByClass: readonly { of: RegExp; kind: ModelKind }[] = [
  { of: /^Whisper\w*ForConditionalGeneration$/, kind: "speech" },
  { of: /ForSequenceClassification$/, kind: "classification" },
  { of: /(ForCausalLM|LMHeadModel)$/, kind: "text-generation" },
  { of: /^(?!.*(LMHead|For)).*Model$/, kind: "embedding" },
];

/** A classifier of one label judges how well two texts go together, as for sentence-transformers and vLLM. */
function countLabels(config: Record<string, unknown>): number {
  const { id2label, num_labels: count } = config;
  if (typeof id2label === "object" && id2label !== null) return Object.keys(id2label).length;
  return typeof count === "number" ? count : 2; // transformers' default
}

const isWeights = /\.(safetensors|bin|pt|pth)$/;

/** Memory that the weights take: of a GGUF file its size, of 16-bit weights twice theirs, for they are widened. */
async function weightBytes(path: string): Promise<number> {
  const info = await stat(path);
  if (info.isFile()) return info.size;
  const files = (await readdir(path)).filter((name) => isWeights.test(name));
  if (files.some((name) => name.endsWith(".safetensors"))) return (await inspectModel(path)).memory.run;
  const sizes = await Promise.all(files.map(async (name) => (await stat(join(path, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}
