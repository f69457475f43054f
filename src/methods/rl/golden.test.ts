/** Losses of GRPO as TRL computes them, and of PPO by the formulas of the paper: see golden/make_rl.py. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readJson } from "../../files/index.ts";
import { type CausalLM, fromPretrained } from "../../models/index.ts";
import type { Parameter } from "../../nn/index.ts";
import { compile, grad, type Tensor, tensor } from "../../tensor/index.ts";
import { expectClose, tolerances } from "../../testing/close.ts";
import type { ObjectiveResult } from "../../train/index.ts";
import { generalisedAdvantages, groupAdvantages, whitened } from "./advantages.ts";
import { type GrpoLossOptions, grpoLoss } from "./grpo-loss.ts";
import { maskedMean } from "./masked.ts";
import { type CompletionTensors, completionTensors, padCompletions, tokenStatistics } from "./padded-completions.ts";
import { type PpoLossOptions, ppoLoss } from "./ppo-loss.ts";
import { ValueHead } from "./value-head.ts";

const folder = fileURLToPath(new URL("../../../golden/", import.meta.url));
type Numbers = Record<string, number>;
interface Expected {
  loss: number;
  metrics: Numbers;
  gradientNorm: number;
  gradients: Record<string, number[]>;
  oldLogprobs: number[];
  referenceLogprobs: number[];
  advantages: number[];
}
type GrpoCase = Expected & GrpoLossOptions & { temperature: number; scaleRewards: boolean };
type PpoCase = Expected & {
  settings: PpoLossOptions & Numbers;
  head: { weight: number[]; bias: number };
  oldValues: number[];
  returns: number[];
  headGradient: number[];
};
interface Golden {
  prompts: number[][];
  completions: number[][];
  rewards: number[];
  grpo: GrpoCase[];
  ppo: PpoCase[];
  gae: { rewards: number[]; values: number[]; gamma: number; lambda: number; advantages: number[] }[];
}
const golden = (await readJson(join(folder, "rl.json"))) as unknown as Golden;
const f32 = tolerances.f32 as number;
const MAX_NEW_TOKENS = 8;
const GOLDEN_LENGTH = 6;

const host = padCompletions(
  golden.completions.map((ids, i) => ({ ids, prompt: { ids: golden.prompts[i], text: "", row: {}, place: "" } })),
  { padId: 3, maxNewTokens: MAX_NEW_TOKENS },
);
/** Numbers of rows of the script in the width that they have here. */
const widened = (values: readonly number[]): number[] =>
  golden.prompts.flatMap((_, row) =>
    Array.from({ length: host.length }, (_, i) => (i < GOLDEN_LENGTH ? values[row * GOLDEN_LENGTH + i] : 0)),
  );
const numbers = (values: readonly number[], shape: number[]) => tensor(Float32Array.from(values), { shape });
const perToken = (values: readonly number[]) => numbers(widened(values), [host.rows, host.length]);

/** Compares a loss, its metrics and its gradients. */
async function expectResult(
  result: (batch: CompletionTensors) => ObjectiveResult,
  expected: Expected,
  parameters: ReadonlyMap<string, Parameter>,
): Promise<Record<string, ArrayLike<number>>> {
  const names = [...parameters.keys()];
  const trace = (batch: CompletionTensors) => {
    const { loss, metrics = {} } = result(batch);
    return { loss, metrics, gradients: grad(loss, [...parameters.values()]) as Tensor<"f32">[] };
  };
  const compiled = compile(trace as never) as unknown as typeof trace;
  const { loss, metrics, gradients } = compiled(completionTensors(host));
  expectClose("loss", [await loss.item()], [expected.loss], f32);
  for (const [name, value] of Object.entries(expected.metrics))
    expectClose(name, [await metrics[name].item()], [value], f32);
  const read: Record<string, ArrayLike<number>> = {};
  for (const [i, gradient] of gradients.entries()) read[names[i]] = (await gradient.read()) as Float32Array;
  for (const [name, values] of Object.entries(expected.gradients)) expectClose(name, read[name], values, f32);
  const ofModel = Object.entries(read).flatMap(([name, values]) =>
    name.startsWith("valueHead") || name.startsWith("value_head") ? [] : Array.from(values),
  );
  expectClose("norm", [Math.hypot(...ofModel)], [expected.gradientNorm], f32);
  return read;
}

const open = (): Promise<CausalLM> => fromPretrained(join(folder, "decoders/llama"), { task: "causal-lm" });

describe.each(golden.grpo.map((each) => [each.aggregation, each] as const))("GRPO, %s", (_, expected) => {
  test("loss, metrics and gradients are TRL's", async () => {
    const model = await open();
    const { temperature, beta, scaleRewards: isScaled } = expected;
    const advantages = groupAdvantages(golden.rewards, { groupSize: 2, isScaled });
    expectClose("advantages", advantages, expected.advantages, f32);
    const result = (batch: CompletionTensors) => {
      const { logprobs, entropies } = tokenStatistics(model, batch, { temperature });
      const { metrics, ...rest } = grpoLoss(
        {
          logprobs,
          oldLogprobs: perToken(expected.oldLogprobs),
          referenceLogprobs: beta > 0 ? perToken(expected.referenceLogprobs) : undefined,
          advantages: numbers(advantages, [host.rows]),
          mask: batch.mask,
        },
        expected,
      );
      return { ...rest, metrics: { ...metrics, entropy: maskedMean(entropies, batch.mask) } };
    };
    await expectResult(result, expected, model.namedParameters());
    model.dispose();
  });
});

test.each(golden.ppo.map((each, i) => [i, each] as const))(
  "PPO %i: loss and gradients by the formulas",
  async (_, expected) => {
    const { settings, oldLogprobs, referenceLogprobs, oldValues } = expected;
    const worth = { advantages: new Array<number>(24).fill(0), returns: new Array<number>(24).fill(0) };
    const mask = worth.returns.slice();
    for (const [row, { length }] of golden.completions.entries()) {
      const start = row * GOLDEN_LENGTH;
      const paid = oldLogprobs
        .slice(start, start + length)
        .map((logprob, i) => -settings.klCoefficient * (logprob - referenceLogprobs[start + i]));
      paid[length - 1] += golden.rewards[row];
      const { gamma, lambda } = settings;
      const result = generalisedAdvantages(paid, oldValues.slice(start, start + length), { gamma, lambda });
      for (let i = 0; i < length; i++) {
        mask[start + i] = 1;
        worth.advantages[start + i] = result.advantages[i];
        worth.returns[start + i] = result.returns[i];
      }
    }
    const advantages = whitened(worth.advantages, mask);
    expectClose("advantages", advantages, expected.advantages, f32);
    expectClose("returns", worth.returns, expected.returns, f32);
    const model = await open();
    const head = new ValueHead(model.config);
    head.valueHead.weight.set(Float32Array.from(expected.head.weight));
    head.valueHead.bias?.set(Float32Array.of(expected.head.bias));
    const result = (batch: CompletionTensors) => {
      const { states, ...statistics } = tokenStatistics(model, batch, { temperature: 1 });
      const values = head.forward(states, batch.mask.shape);
      return ppoLoss(
        {
          ...{ ...statistics, values, mask: batch.mask },
          ...{ oldLogprobs: perToken(oldLogprobs), oldValues: perToken(oldValues) },
          ...{ advantages: perToken(advantages), returns: perToken(worth.returns) },
        },
        settings,
      );
    };
    const { policyLoss, valueLoss } = expected.metrics;
    const parameters = new Map([...model.namedParameters(), ...head.namedParameters()]);
    const read = await expectResult(result, { ...expected, metrics: { policyLoss, valueLoss } }, parameters);
    expectClose("head", read["value_head.weight"], expected.headGradient, f32);
    model.dispose();
    head.dispose();
  },
);

test("generalised advantages are those of a sum for each token", () => {
  for (const { rewards, values, advantages, ...options } of golden.gae)
    expectClose("GAE", generalisedAdvantages(rewards, values, options).advantages, advantages, 1e-12);
  expect(golden.gae.length).toBe(6);
});
