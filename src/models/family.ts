import { DataError, nearest } from "../ir/index.ts";
import type { RandomKey } from "../tensor/index.ts";
import type { Json } from "./labels.ts";
import type { PretrainedModel, Task } from "./model.ts";

/** How a family is stored: its classes, its config.json, and the names of its weights. */
export interface Family {
  /** model_type of config.json. */
  modelType: string;
  /** The classes of transformers that can be made, and what each is for. The last is the default of a config.json that names none. */
  tasks: Readonly<Record<string, Task>>;
  /** What checkpoints of models with a head put before the names of the base model, such as "bert". @default nothing */
  prefix?: string;
  /** A model of a class for a config.json, with weights as at the start of training. @throws DataError or OptionError for a config that is wrong */
  create(architecture: string, path: string, json: Json, key: RandomKey): PretrainedModel;
  configToJson(model: PretrainedModel): Json;
  /** The name that a stored tensor has here; undefined for what is no weight. */
  tensorName(name: string, model: PretrainedModel): string | undefined;
  /**
   * Where the file and not config.json decides whether the output layer is tied: it is not if the file has `tensor` with other numbers than
   * `source`. `create` finds the answer under `key` in config.json's place; without a file it is absent.
   */
  untiedBy?: { tensor: string; source: string; key: string };
  /** Weights that a checkpoint may lack; they keep their initial values. @default none */
  mayLack?: RegExp;
  /** Names that a checkpoint may repeat a weight under, and the weight's own name. @default none */
  tied?(model: PretrainedModel): Readonly<Record<string, string>>;
}

/** The family of a config.json, one of several. @throws DataError naming the nearest family for one that is not among them */
export function findFamily(path: string, families: readonly Family[], modelType: unknown): Family {
  const family = families.find((candidate) => candidate.modelType === modelType);
  if (family) return family;
  const names = families.map((candidate) => candidate.modelType);
  const near = nearest(String(modelType), names);
  throw new DataError({
    where: `${path}, model_type`,
    expected: `a supported architecture: ${names.join(", ")}`,
    received: JSON.stringify(modelType) ?? "none",
    fix: near ? `did you mean "${near}"?` : "convert the model, or use another",
  });
}
