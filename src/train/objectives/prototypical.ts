import { checkOptions, numberRules, requireNumbers, ShapeError } from "../../base/index.ts";
import type { EpisodeBatch } from "../../data/index.ts";
import type { Module } from "../../nn/index.ts";
import { mean, neg, reshape, square, sub, sum, type Tensor, unsqueeze } from "../../tensor/index.ts";
import type { Objective } from "../objective.ts";
import { classification, type Head, type LabelledInputs, metaObjective } from "./meta.ts";
import type { SupervisedOptions } from "./supervised.ts";

/** What the tasks of prototypical networks are like. */
export interface PrototypicalOptions extends SupervisedOptions {
  /** Support examples of each class; classes may be more in training than in evaluation. */
  shots: number;
}

/**
 * Prototypical networks: a class is the mean vector of its support examples, and a query belongs to the nearest one, by
 * the softmax of negative squared distances. Snell et al. 2017, arXiv:1703.05175. `embed` makes vectors, [n, ...] ->
 * [n, D]. Support examples come class by class, as `episodesOf` gives them. Measures the accuracy of the queries; to
 * learn a task takes no steps.
 * @throws OptionError for unknown options or shots that are not a positive integer
 *
 * @example
 * const model = new Mlp({ sizes: [2, 8, 4] }, randomKey(0));
 * prototypical(model, (x, run) => model.forward(x, run), { shots: 5 }).trained.size; // 4
 */
export function prototypical(
  model: Module,
  embed: Head,
  options: PrototypicalOptions,
): Objective<EpisodeBatch<LabelledInputs>> {
  checkOptions("prototypical", options, ["shots", "trained", "tokenizer"]);
  const { shots } = options;
  requireNumbers("prototypical", { shots }, { shots: numberRules.positiveInteger });
  return metaObjective<LabelledInputs>(model, options, ({ support, query }, run) => {
    const prototypes = prototypesOf(embed(support.inputs, run), shots); // [N, D]
    const queries = embed(query.inputs, run); // [Q, D]
    const differences = sub(unsqueeze(queries, 1), unsqueeze(prototypes, 0)); // [Q, N, D]
    return classification(neg(sum(square(differences), { axes: -1 })), query.labels);
  });
}

/** Mean vectors of classes, which come one after another. vectors: [N shots, D] -> [N, D] */
function prototypesOf(vectors: Tensor<"f32">, shots: number): Tensor<"f32"> {
  const [count, width] = vectors.shape as readonly number[];
  if (vectors.rank !== 2 || count % shots !== 0)
    throw new ShapeError({
      where: "prototypical",
      expected: `vectors [n, D] of ${shots} examples of each class`,
      received: `[${vectors.shape.join(", ")}]`,
      fix: "give the shots of the episodes, and vectors of one axis",
    });
  return mean(reshape(vectors, [count / shots, shots, width]), { axes: 1 });
}
