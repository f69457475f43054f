import type { TokenDataset } from "../data/index.ts";
import type { CausalLM } from "../models/index.ts";
import { type CompiledFunction, compile, type Tensor, tensor } from "../tensor/index.ts";

export interface EvaluationOptions {
  validationData: TokenDataset;
  batchSize: number;
  contextLength: number;
  /** Batches per measurement. @default 8 */
  evaluationBatches?: number;
  /** Ends the measurement, and the run under way. */
  signal?: AbortSignal;
}

export type Evaluation = CompiledFunction<[Tensor<"i32">, Tensor<"i32">], Tensor<"f32">>;

/** The loss without dropout and without an update. */
export function compileEvaluation(model: CausalLM): Evaluation {
  return compile((inputs: Tensor<"i32">, targets: Tensor<"i32">) => model.loss(inputs, targets));
}

/** Mean loss over evenly spread validation windows. */
export async function evaluationLoss(
  evaluate: Evaluation,
  { validationData, batchSize, contextLength, evaluationBatches = 8, signal }: EvaluationOptions,
): Promise<number> {
  let total = 0;
  let count = 0;
  const shape = [batchSize, contextLength];
  for await (const { inputs, targets } of validationData.evaluationBatches(batchSize, evaluationBatches)) {
    total += await (await evaluate.withSignal(signal)(tensor(inputs, { shape }), tensor(targets, { shape }))).item();
    count++;
  }
  return total / count;
}
