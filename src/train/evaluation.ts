import type { Source } from "../data/index.ts";
import { type CompiledFunction, compile } from "../tensor/index.ts";
import { numbersOf } from "./metrics.ts";
import type { Objective, ObjectiveResult } from "./objective.ts";
import type { BatchArgument } from "./step.ts";

/** What is measured on, and for how long. */
export interface MeasureOptions<B> {
  source: Source<B>;
  /** Most batches that are looked at. @default all of a source that ends, 8 of another */
  batches?: number;
  /** Ends the measurement, and the run under way. */
  signal?: AbortSignal;
}

/** Means over batches. */
export interface Measurement {
  loss: number;
  metrics: Record<string, number>;
}

/** A compiled loss without an update. */
export type Evaluation<B> = CompiledFunction<[batch: B], Required<ObjectiveResult>>;

const DEFAULT_BATCHES = 8;

/** The loss without dropout and without an update. */
export function compileEvaluation<B>(objective: Pick<Objective<B>, "loss">): Evaluation<B> {
  const evaluate = (batch: B): Required<ObjectiveResult> => {
    const { loss, metrics = {} } = objective.loss(batch, {});
    return { loss, metrics };
  };
  return compile(evaluate as never);
}

/** Mean loss and metrics over the batches of a source. */
export async function measure<B>(
  evaluate: Evaluation<B>,
  { source, batches = source.count ?? DEFAULT_BATCHES, signal }: MeasureOptions<B>,
): Promise<Measurement> {
  const count = Math.min(batches, source.count ?? batches);
  let loss = 0;
  const metrics: Record<string, number> = {};
  for (let i = 0; i < count; i++) {
    const result = await evaluate.withSignal(signal)((await source.batch(i)) as BatchArgument<B>);
    loss += await result.loss.item();
    for (const [name, value] of Object.entries(await numbersOf(result.metrics)))
      metrics[name] = (metrics[name] ?? 0) + value / count;
  }
  return { loss: loss / count, metrics };
}
