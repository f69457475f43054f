import { ModelBuffer } from "../nn/index.ts";
import type { Optimizer } from "../optim/index.ts";
import type { Variable } from "../tensor/index.ts";
import type { Objective } from "./objective.ts";

/**
 * Runs what trains, and puts all that training changes back after it, to the bit: trained parameters, buffers of the
 * model, and what the optimizer remembers. Takes the memory of a copy of them.
 */
export async function keepingState<B, T>(
  { trained, state }: Objective<B>,
  optimizer: Optimizer,
  run: () => Promise<T>,
): Promise<T> {
  const buffers = [...state.values()].filter((variable) => variable instanceof ModelBuffer);
  const variables = new Set<Variable>([...trained.values(), ...buffers, ...optimizer.state.values()] as Variable[]);
  const kept = await Promise.all(
    [...variables].map(async (variable) => ({ variable, numbers: (await variable.read()).slice() })),
  );
  try {
    return await run();
  } finally {
    for (const { variable, numbers } of kept) variable.set(numbers as never);
  }
}
