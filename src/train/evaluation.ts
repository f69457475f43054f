import type { Source } from "../data/index.ts";
import { type CompiledFunction, compile, type Tensor, tensor } from "../tensor/index.ts";
import { numbersOf } from "./metrics.ts";
import type { HostTensor, Objective, ObjectiveResult, Scorer } from "./objective.ts";
import type { BatchArgument } from "./step.ts";

/** What is measured on, and for how long. */
export interface MeasureOptions<B> {
  source: Source<B>;
  /** Most batches that are looked at. @default all of a source that ends, 8 of another */
  batches?: number;
  /** Sees the outputs that the evaluation was compiled with. @default none */
  scorer?: Scorer<B>;
  /** Ends the measurement, and the run under way. */
  signal?: AbortSignal;
}

/** Means over batches, each counted by its weight; and what a scorer says of all. */
export interface Measurement {
  loss: number;
  metrics: Record<string, number>;
}

/** What an evaluation gives for a batch. */
export interface EvaluationResult extends Required<ObjectiveResult> {
  /** What a scorer wants to see. */
  outputs: Readonly<Record<string, Tensor>>;
}

/** A compiled loss without an update. */
export type Evaluation<B> = CompiledFunction<[batch: B], EvaluationResult>;

const DEFAULT_BATCHES = 8;

/** The loss without dropout and without an update, and what `scorer` wants to see. */
export function compileEvaluation<B>(objective: Pick<Objective<B>, "loss">, scorer?: Scorer<B>): Evaluation<B> {
  const evaluate = (batch: B): EvaluationResult => {
    const { loss, weight = tensor(1), metrics = {} } = objective.loss(batch, {});
    return { loss, weight, metrics, outputs: scorer?.outputs(batch) ?? {} };
  };
  return compile(evaluate as never);
}

/** Mean loss and metrics over the batches of a source, each counted by its weight. */
export async function measure<B>(
  evaluate: Evaluation<B>,
  { source, batches = source.count ?? DEFAULT_BATCHES, scorer, signal }: MeasureOptions<B>,
): Promise<Measurement> {
  const count = Math.min(batches, source.count ?? batches);
  let [loss, total] = [0, 0];
  const metrics: Record<string, number> = {};
  let next = source.batch(0);
  for (let i = 0; i < count; i++) {
    const batch = await next;
    const running = evaluate.withSignal(signal)(batch as BatchArgument<B>);
    if (i + 1 < count) next = source.batch(i + 1); // read while the device computes
    next.catch(() => {}); // reported when it is awaited
    const result = await running;
    const weight = await result.weight.item();
    if (weight === 0) continue; // nothing in it has a label
    total += weight;
    loss += weight * (await result.loss.item());
    for (const [name, value] of Object.entries(await numbersOf(result.metrics)))
      metrics[name] = (metrics[name] ?? 0) + weight * value;
    scorer?.add(await readOutputs(result.outputs));
  }
  for (const name of Object.keys(metrics)) metrics[name] /= total;
  return { loss: loss / total, metrics: { ...metrics, ...(await scorer?.result({ signal })) } };
}

async function readOutputs(outputs: Readonly<Record<string, Tensor>>): Promise<Record<string, HostTensor>> {
  const entries = Object.entries(outputs).map(async ([name, output]) => {
    const data = await output.read();
    return [name, { shape: output.shape as readonly number[], data }] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}
