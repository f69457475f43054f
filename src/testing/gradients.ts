/** Losses and gradients of objectives, as golden files have them. */

import { topologicalOrder } from "../ir/index.ts";
import { compile, grad } from "../tensor/index.ts";
import type { Objective } from "../train/index.ts";

/** Gradients of a golden case: the norm of each, by the name of its weight, and the whole of one. */
export interface Gradients {
  norms: Record<string, number>;
  key: string;
  gradient: number[];
}

/** The loss of a batch and the gradients of what it depends on, without dropout. */
export async function gradientsOf<B>(
  objective: Objective<B>,
  batch: B,
): Promise<{ loss: number; gradients: Map<string, Float32Array> }> {
  const used: string[] = [];
  const run = compile(((inputs: B) => {
    const { loss } = objective.loss(inputs, {});
    const nodes = new Set(topologicalOrder([loss.ir]));
    const entries = [...objective.trained].filter(([, parameter]) => nodes.has(parameter.ir.node));
    used.push(...entries.map(([name]) => name));
    return {
      loss,
      gradients: grad(
        loss,
        entries.map(([, parameter]) => parameter),
      ),
    };
  }) as never) as unknown as (inputs: B) => PromiseLike<{ loss: Numbers; gradients: Numbers[] }>;
  const { loss, gradients } = await run(batch);
  const numbers = await Promise.all(gradients.map((gradient) => gradient.read()));
  return { loss: (await loss.read())[0], gradients: new Map(numbers.map((each, i) => [used[i], each])) };
}

interface Numbers {
  read(): Promise<Float32Array>;
}

export const normOf = (numbers: Float32Array): number => Math.sqrt(numbers.reduce((sum, x) => sum + x * x, 0));
