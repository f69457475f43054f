import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { bytesPerElement, type DType } from "../../base/index.ts";
import { type Fields, flag, invalid, readFields, text } from "../fields.ts";
import type { ModelInfo, ModelKind, ServedModels } from "../models/index.ts";
import { Service } from "../service.ts";
import { thinks } from "../thoughts.ts";

const { version } = createRequire(import.meta.url)("../../../package.json") as { version: string };

const LATEST = /:latest$/;
/** Of models that stay. */
const NEVER = "9999-12-31T23:59:59Z";

/** Every field of POST /api/show. */
export const showFields = {
  model: text,
  name: text, // the older name
  verbose: flag,
  system: [""],
  template: [""],
  options: [{}],
} as const satisfies Fields;

/** Ollama's clients ask for "model" as "model:latest". */
export const modelNameOf = (asked: string): string => asked.replace(LATEST, "");

type Model = Service["model"]["generator"]["model"];

/** A matrix whose numbers are in blocks is no parameter. */
const isMatrix = (value: unknown): value is { shape: readonly number[] } =>
  typeof value === "object" && value !== null && "shape" in value && Array.isArray(value.shape);

const count = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

interface Weights {
  parameters: number;
  /** Of parameters and buffers; not of matrices in blocks. */
  bytes: number;
  /** Bytes by dtype. */
  dtypes: Map<string, number>;
}

function weightsOf(model: Model): Weights {
  const weights: Weights = { parameters: 0, bytes: 0, dtypes: new Map() };
  const add = (dtype: string, bytes: number) => {
    weights.bytes += bytes;
    weights.dtypes.set(dtype, (weights.dtypes.get(dtype) ?? 0) + bytes);
  };
  const seen = new Set<object>();
  const visit = (module: Pick<Model, "members">) => {
    const members = [...module.members()].map(({ member }) => member);
    const { weight } = module as { weight?: unknown };
    if (isMatrix(weight) && !seen.has(weight) && !members.includes(weight as never)) {
      seen.add(weight);
      weights.parameters += count(weight.shape);
      weights.dtypes.set("blocks", (weights.dtypes.get("blocks") ?? 0) + count(weight.shape) / 2);
    }
    for (const member of members) {
      if ("members" in member) visit(member);
      else if (!seen.has(member)) {
        seen.add(member);
        weights.parameters += count(member.shape);
        add(member.stored, count(member.shape) * bytesPerElement[member.stored as DType]);
      }
    }
  };
  visit(model);
  return weights;
}

/** A number in a few letters, as Ollama writes sizes: 134.5M */
function shortNumber(value: number): string {
  const unit = [
    { of: 1e9, name: "B" },
    { of: 1e6, name: "M" },
    { of: 1e3, name: "K" },
  ].find(({ of }) => value >= of);
  return unit ? `${(value / unit.of).toFixed(1)}${unit.name}` : String(value);
}

/** What Ollama's capabilities are of other kinds than "completion". */
const capabilities: Readonly<Record<Exclude<ModelKind, "text-generation">, string>> = {
  embedding: "embedding",
  ranking: "rerank",
  classification: "classification",
  speech: "audio",
};

/** What Ollama's endpoints say of the models. */
export class OllamaModels {
  private readonly models: ServedModels;
  private readonly modifiedAt = new Date().toISOString();

  constructor(models: ServedModels) {
    this.models = models;
  }

  /** GET /api/tags */
  tags(): object {
    return { models: this.models.list().map((info) => ({ ...entryOf(info), modified_at: this.modifiedAt })) };
  }

  /** GET /api/ps */
  running(): object {
    const running = this.models.list().filter(({ isLoaded }) => isLoaded);
    return {
      models: running.map((info) => ({
        ...entryOf(info),
        expires_at: Number.isFinite(info.expiresInMs) ? new Date(Date.now() + info.expiresInMs).toISOString() : NEVER,
        ...(info.service instanceof Service && { context_length: info.service.contextLength }),
      })),
    };
  }

  /** GET /api/version */
  version(): object {
    return { version };
  }

  /** POST /api/show, which loads a model that writes. @throws RequestError naming the field that is wrong */
  async show(json: unknown, signal: AbortSignal): Promise<object> {
    const { model: asked, name = asked } = readFields(json, showFields);
    if (name === undefined) throw invalid("model", "the name of a model", undefined);
    const info = this.models.info(modelNameOf(name));
    const shared = { modified_at: this.modifiedAt };
    if (info.kind !== "text-generation") {
      const model = { details: detailsOf(info), model_info: { "general.architecture": info.family ?? "" } };
      return { ...shared, ...model, capabilities: [capabilities[info.kind]] };
    }
    return this.models.use("text-generation", info.id, signal, (service) => ({
      ...shared,
      details: detailsOf({ ...info, service }),
      ...shownText(service),
    }));
  }
}

/** What is shown of a model that writes. */
function shownText(service: Service): object {
  const { chatTemplate: template = "", contextLength, model } = service;
  const { generationConfig, modelType, config } = model.generator.model;
  const parameters = Object.entries(generationConfig).filter(([, value]) => typeof value === "number");
  return {
    modelfile: `FROM ${model.id}\n${template && `TEMPLATE """${template}"""\n`}`,
    parameters: parameters.map(([key, value]) => `${key} ${value}`).join("\n"),
    template,
    model_info: {
      "general.architecture": modelType,
      "general.parameter_count": weightsOf(model.generator.model).parameters,
      [`${modelType}.context_length`]: contextLength,
      [`${modelType}.embedding_length`]: config.hiddenSize,
      [`${modelType}.block_count`]: config.numLayers,
      [`${modelType}.vocab_size`]: config.vocabSize,
    },
    capabilities: [
      "completion",
      "tools",
      ...(thinks(service) ? ["thinking"] : []),
      ...(service.images ? ["vision"] : []),
    ],
  };
}

const weightsOfService = ({ service }: ModelInfo): Weights | undefined =>
  service instanceof Service ? weightsOf(service.model.generator.model) : undefined;

/** How many parameters there are, and of which dtype, is known of a model that writes while it is loaded. */
function detailsOf(info: ModelInfo): object {
  const weights = weightsOfService(info);
  const family =
    info.service instanceof Service ? info.service.model.generator.model.modelType : (info.family ?? "unknown");
  const [main = "unknown"] = [...(weights?.dtypes ?? [])].toSorted(([, a], [, b]) => b - a).map(([dtype]) => dtype);
  return {
    parent_model: "",
    format: "kindling",
    family,
    families: [family],
    parameter_size: weights ? shortNumber(weights.parameters) : "",
    quantization_level: main.toUpperCase(),
  };
}

function entryOf(info: ModelInfo): object {
  const { id, kind } = info;
  const size = info.bytes || (weightsOfService(info)?.bytes ?? 0);
  const digest = createHash("sha256")
    .update(JSON.stringify([id, kind, size]))
    .digest("hex"); // there may be no file
  return { name: id, model: id, size, digest, details: detailsOf(info) };
}
