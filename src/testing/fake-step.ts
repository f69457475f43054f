/**
 * Training steps that need no device, in place of `train/step.ts`: what they make depends on the number of steps alone.
 */
interface FakeVariable {
  dtype: string;
  shape: readonly number[];
  read(): Promise<ArrayLike<number>>;
  set(data: unknown): void;
}

function fill(variable: FakeVariable, at: (i: number) => number): void {
  const values = Array.from({ length: variable.shape.reduce((a, b) => a * b, 1) }, (_, i) => at(i));
  variable.set(variable.dtype === "i32" ? Int32Array.from(values) : Float32Array.from(values));
}

const STEP_MS = 1;

export function compileTrainStep(
  objective: { trained: ReadonlyMap<string, FakeVariable> },
  optimizer: { state: Map<string, FakeVariable> },
) {
  const variables = [...objective.trained.values(), ...optimizer.state.values()];
  for (const variable of variables) fill(variable, (i) => i);
  let losses = 1;
  const step = async () => {
    for (const variable of variables) {
      const before = await variable.read();
      fill(variable, (i) => 0.5 * before[i] + 1);
    }
    await new Promise((resolve) => setTimeout(resolve, STEP_MS));
    return { loss: { item: async () => losses++ }, gradientNorm: { item: async () => 1 }, metrics: {} };
  };
  return Object.assign(step, { withSignal: () => step, dispose: () => {} });
}

export const compileEvaluation = () => ({ dispose: () => {} });
export const measure = async () => ({ loss: 2, metrics: {} });
