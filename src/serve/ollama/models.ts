import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { bytesPerElement, type DType } from "../../base/index.ts";
import { type Fields, flag, invalid, readFields, text } from "../fields.ts";
import type { Service } from "../service.ts";
import { thinks } from "../thoughts.ts";

const { version } = createRequire(import.meta.url)("../../../package.json") as { version: string };

const LATEST = ":latest";
/** The model stays as long as the server. */
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

/** Ollama's clients ask for "model" as "model:latest". @throws RequestError 404 when another model is asked for */
export function requireOllamaModel(service: Service, asked: string | undefined): void {
  const { id } = service.model;
  service.requireModel(asked === `${id}${LATEST}` ? id : asked);
}

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

/** What Ollama's endpoints say of the one model there is. */
export class OllamaModels {
  private readonly service: Service;
  private readonly modifiedAt = new Date().toISOString();

  constructor(service: Service) {
    this.service = service;
  }

  private details(weights: Weights): object {
    const { modelType: family } = this.service.model.generator.model;
    const [main = "none"] = [...weights.dtypes].toSorted(([, a], [, b]) => b - a).map(([dtype]) => dtype);
    return {
      parent_model: "",
      format: "kindling",
      family,
      families: [family],
      parameter_size: shortNumber(weights.parameters),
      quantization_level: main.toUpperCase(),
    };
  }

  private get entry(): object {
    const { id, generator } = this.service.model;
    const { model } = generator;
    const weights = weightsOf(model);
    const config = JSON.stringify([id, model.family.configToJson(model)]);
    return {
      name: id,
      model: id,
      size: weights.bytes,
      digest: createHash("sha256").update(config).digest("hex"), // of name and config, for there is no file
      details: this.details(weights),
    };
  }

  /** GET /api/tags */
  tags(): object {
    return { models: [{ ...this.entry, modified_at: this.modifiedAt }] };
  }

  /** GET /api/ps */
  running(): object {
    return { models: [{ ...this.entry, expires_at: NEVER, context_length: this.service.contextLength }] };
  }

  /** GET /api/version */
  version(): object {
    return { version };
  }

  /** POST /api/show @throws RequestError naming the field that is wrong */
  show(json: unknown): object {
    const { model: asked, name = asked } = readFields(json, showFields);
    if (name === undefined) throw invalid("model", "the name of a model", undefined);
    requireOllamaModel(this.service, name);
    const { chatTemplate: template = "", contextLength, model } = this.service;
    const { generationConfig, modelType, config } = model.generator.model;
    const weights = weightsOf(model.generator.model);
    const parameters = Object.entries(generationConfig).filter(([, value]) => typeof value === "number");
    return {
      modelfile: `FROM ${model.id}\n${template && `TEMPLATE """${template}"""\n`}`,
      parameters: parameters.map(([key, value]) => `${key} ${value}`).join("\n"),
      template,
      details: this.details(weights),
      model_info: {
        "general.architecture": modelType,
        "general.parameter_count": weights.parameters,
        [`${modelType}.context_length`]: contextLength,
        [`${modelType}.embedding_length`]: config.hiddenSize,
        [`${modelType}.block_count`]: config.numLayers,
        [`${modelType}.vocab_size`]: config.vocabSize,
      },
      capabilities: ["completion", "tools", ...(thinks(this.service) ? ["thinking"] : [])],
      modified_at: this.modifiedAt,
    };
  }
}
