import { nearest, OptionError } from "../../base/index.ts";
import type {
  CrossEncoder,
  SentenceEncoder,
  SpeechRecognitionPipeline,
  TextClassificationPipeline,
} from "../../pipelines/index.ts";
import type { ServedModel } from "../service.ts";

/** What a model of each kind is answered with. */
export interface KindModels {
  "text-generation": Omit<ServedModel, "id">;
  embedding: SentenceEncoder;
  ranking: CrossEncoder;
  classification: TextClassificationPipeline;
  speech: SpeechRecognitionPipeline;
}

/** What a model does. */
export type ModelKind = keyof KindModels;

/** A model that is loaded when a request needs it, and disposed of by the server. */
export interface LoadedOnDemand<K extends ModelKind> {
  /** Name that clients ask for. */
  id: string;
  kind: K;
  /** Memory that it takes: the size of its weights. */
  bytes: number;
  /** Of its config.json, such as "bert". @default not told before it is loaded */
  family?: string;
  /** Names of adapters that it has as soon as it is loaded. @default none are known before */
  adapters?: readonly string[];
  /** Whether it reads images in messages. @default false */
  takesImages?: boolean;
  /** Opens it; called again after it was let go, and after a failure. */
  load(): Promise<KindModels[K]>;
}

/** A model that is loaded already: it stays, and whoever loaded it disposes of it. */
export interface LoadedAlready<K extends ModelKind> {
  /** Name that clients ask for. */
  id: string;
  kind: K;
  model: KindModels[K];
}

type OfAnyKind<T extends { [K in ModelKind]: object }> = T[ModelKind];
/** A model of any kind that is loaded on demand. */
export type ModelEntry = OfAnyKind<{ [K in ModelKind]: LoadedOnDemand<K> }>;
type ResidentEntry = OfAnyKind<{ [K in ModelKind]: LoadedAlready<K> }>;

/** A model to serve: one that writes as it is, another with its kind, or how one is loaded. */
export type Servable = ServedModel | ResidentEntry | ModelEntry;

/** What models of a kind do, and where they are asked for it. */
export const kinds: Readonly<Record<ModelKind, { does: string; endpoint: string }>> = {
  "text-generation": { does: "writes texts", endpoint: "POST /v1/chat/completions" },
  embedding: { does: "makes embeddings", endpoint: "POST /v1/embeddings" },
  ranking: { does: "ranks documents", endpoint: "POST /v1/rerank" },
  classification: { does: "classifies texts", endpoint: "POST /classify" },
  speech: { does: "writes down speech", endpoint: "POST /v1/audio/transcriptions" },
};

/** What JavaScript may bring in place of a model. @throws OptionError naming what is missing or wrong */
export function checkServable(model: Servable): void {
  const { id, kind = "text-generation", ...parts } = model as object as Partial<Record<string, unknown>>;
  const refuse = (expected: string, received: string, fix: string): never => {
    throw new OptionError({ where: "serve", expected, received, fix });
  };
  if (typeof id !== "string" || id === "")
    refuse("a model with an id", JSON.stringify(id) ?? "none", "give it the name that clients ask for");
  const names = Object.keys(kinds);
  if (!names.includes(String(kind)))
    refuse(
      `${id} to be of a kind of ${names.join(", ")}`,
      String(kind),
      `did you mean "${nearest(String(kind), names) ?? names[0]}"?`,
    );
  if (typeof parts.load === "function" || parts.model) return;
  for (const part of ["generator", "tokenizer"])
    if (!parts[part])
      refuse(`${id} with a generator and a tokenizer`, `no ${part}`, `give the ${part}, or how it is loaded`);
}
