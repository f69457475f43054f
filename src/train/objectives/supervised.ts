import { checkOptions, IGNORED_LABEL } from "../../base/index.ts";
import { CausalLM, type Trainable } from "../../models/index.ts";
import type { Parameter } from "../../nn/index.ts";
import { cast, notEqual, slice, sum, Tensor, tensor } from "../../tensor/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import type { Objective } from "../objective.ts";
import { loadModel, saveModel } from "./model-files.ts";

/** What of a model is trained, and what is saved with it. */
export interface SupervisedOptions {
  /** The parameters that are trained, by name. @default all of the model */
  trained?: ReadonlyMap<string, Parameter>;
  /** Saved beside the model. @default that of the folder which the model was loaded from, if it was */
  tokenizer?: Tokenizer;
}

/**
 * Trains any model that has a loss, on batches of what its `loss` takes: inputs and labels. Counts examples, by the
 * first axis of the batch's first tensor. Saves models as `savePretrained` does, your own modules as model.safetensors.
 *
 * @example
 * const model = new RecurrentLanguageModel({ kind: "gru", vocabSize: 9, hiddenSize: 4, numLayers: 1 }, randomKey(0));
 * supervised(model).trained.size; // 7
 */
export function supervised<Inputs extends object>(
  model: Trainable<Inputs>,
  options: SupervisedOptions = {},
): Objective<Inputs> {
  checkOptions("supervised", options, ["trained", "tokenizer"]);
  const { trained = model.namedParameters(), tokenizer } = options;
  return {
    trained,
    state: model.namedState(),
    unit: "examples",
    count: (batch) => Number(Object.values(batch).find((value) => value instanceof Tensor)?.shape[0] ?? 1),
    loss: (batch, run) => ({ loss: model.loss({ ...batch, ...run }), weight: labelCount(model, batch) }),
    save: (folder) => saveModel(model, folder, tokenizer),
    load: (folder) => loadModel(model, folder),
  };
}

/**
 * Of how many labels the loss of a batch is the mean: classes that are not ignored, without those that a language model
 * shifts out; of other labels the rows of the batch. []
 */
export function labelCount(model: Trainable<never>, batch: object): Tensor<"f32"> {
  const { labels, shiftLabels } = batch as { labels?: unknown; shiftLabels?: unknown };
  const classes = shiftLabels ?? labels;
  if (!(classes instanceof Tensor) || classes.dtype !== "i32") {
    const first = Object.values(batch).find((value) => value instanceof Tensor);
    return tensor(Number(first?.shape[0] ?? 1));
  }
  // behind states of a prefix the first label counts too
  const isShifted = model instanceof CausalLM && shiftLabels === undefined && !model.textPrefix?.stateCount;
  const counted = isShifted ? slice(classes, { axis: 1, start: 1 }) : classes;
  return sum(cast(notEqual(counted as Tensor<"i32">, IGNORED_LABEL), "f32"));
}
