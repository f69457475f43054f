/** Losses of preferences as trl computes them: see golden/make_preference.py. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readJson } from "../files/index.ts";
import { type CausalLM, fromPretrained, type SequenceClassifier } from "../models/index.ts";
import type { Parameter } from "../nn/index.ts";
import { AdamW } from "../optim/index.ts";
import { type AppliedAdapter, applyAdapter, readAdapter } from "../peft/index.ts";
import { compile, grad, tensor } from "../tensor/index.ts";
import { expectClose, tolerances } from "../testing/close.ts";
import {
  compileTrainStep,
  kto,
  type Objective,
  type PreferenceOptions,
  preference,
  reward,
  sequenceLogProbabilities,
} from "../train/index.ts";
import { adapterTraining } from "./index.ts";
import { baseAsReference } from "./parts/reference.ts";

const golden = fileURLToPath(new URL("../../golden/", import.meta.url));

type Row = [prompt: number[], completion: number[]];
interface Numbers {
  shape: number[];
  data: number[];
}
interface Case {
  loss: number;
  metrics: Record<string, number>;
  gradients: Record<string, Numbers>;
}
interface Golden {
  rows: Row[];
  reference: number[];
  mismatchedReference: number[];
  cases: Record<"gpt2" | "llama", Record<string, Case>>;
  kto: Record<"gpt2" | "llama", Case & { labels: boolean[] }>;
  reward: { head: Record<"weight" | "bias", Numbers>; margins: number[]; cases: Record<string, Case> };
  trace: { rows: Row[][]; losses: number[]; learningRate: number };
}
const expected = (await readJson(join(golden, "preference.json"))) as unknown as Golden;
const { rows, reference, mismatchedReference } = expected;
const TOLERANCE = tolerances.f32 as number;
const silent = { onWarning: () => {} };

/** The batch of rows, padded at the right. */
function textsOf(rows: readonly Row[]) {
  const width = Math.max(...rows.map(([prompt, completion]) => prompt.length + completion.length));
  const shape = [rows.length, width];
  const ids = new Int32Array(rows.length * width);
  const labels = new Int32Array(ids.length).fill(-100);
  const mask = new Uint8Array(ids.length);
  for (const [i, [prompt, completion]] of rows.entries()) {
    const start = i * width + prompt.length;
    ids.set([...prompt, ...completion], i * width);
    mask.fill(1, i * width, start + completion.length);
    labels.set(completion, start - 1);
  }
  return {
    inputIds: tensor(ids, { shape }),
    attentionMask: tensor(mask, { dtype: "bool", shape }),
    shiftLabels: tensor(labels, { shape }),
  };
}

const openGpt2 = () => fromPretrained(join(golden, "peft/gpt2"), { ...silent, task: "causal-lm" });
async function openAdapted(): Promise<{ model: CausalLM; applied: AppliedAdapter }> {
  const model = await fromPretrained(join(golden, "peft/llama"), { ...silent, task: "causal-lm" });
  const adapter = await readAdapter(join(golden, "peft/llama/train-lora"));
  return { model, applied: applyAdapter(model, adapter, silent) };
}

/** trl's names of metrics as they are here. */
const renamed: Readonly<Record<string, string>> = {
  nll_loss: "nllLoss",
  log_odds_ratio: "logOddsRatio",
  log_odds_chosen: "logOddsChosen",
  min_reward: "minReward",
  mean_reward: "meanReward",
  max_reward: "maxReward",
};
/** cpo_alpha 0: the likelihood is measured by trl though it does not count. */
const isMeasured = (name: string, value: number) => !(name === "nll_loss" && value === 0);

async function expectCase<B>(objective: Objective<B>, batch: B, { loss, metrics, gradients }: Case): Promise<void> {
  const names = Object.keys(gradients).map((key) => ownName(key, objective.trained));
  const parameters = names.map((name) => objective.trained.get(name) as Parameter);
  const measure = (batch: B) => {
    const { loss, metrics = {} } = objective.loss(batch, {});
    return { loss, metrics, gradients: grad(loss, parameters) };
  };
  const result = compile(measure as never) as unknown as (batch: B) => Promise<{
    loss: { item(): Promise<number> };
    metrics: Record<string, { item(): Promise<number> }>;
    gradients: { read(): Promise<Float32Array> }[];
  }>;
  const actual = await result(batch);
  expectClose("loss", [await actual.loss.item()], [loss], TOLERANCE);
  for (const [name, value] of Object.entries(metrics).filter(([name, value]) => isMeasured(name, value)))
    expectClose(name, [await actual.metrics[renamed[name] ?? name].item()], [value], TOLERANCE);
  for (const [i, [name, { data }]] of Object.entries(gradients).entries()) {
    expect(data.some((value) => value !== 0)).toBe(true);
    expectClose(name, await actual.gradients[i].read(), data, TOLERANCE);
  }
}

/** The name that a parameter has here, of whatever prefix. */
function ownName(key: string, trained: ReadonlyMap<string, Parameter>): string {
  const name = [...trained.keys()].find((name) => name === key || key.endsWith(name) || name.endsWith(key));
  if (name === undefined) throw new Error(`${key} is none of ${[...trained.keys()].join(", ")}`);
  return name;
}

const options: Readonly<Record<string, PreferenceOptions>> = {
  sigmoid: { beta: 0.1 },
  "sigmoid-nll": { beta: 0.3, nllWeight: 0.4 },
  "sigmoid-smoothed": { beta: 0.3, labelSmoothing: 0.2 },
  ipo: { loss: "ipo", beta: 0.2 },
  hinge: { loss: "hinge", beta: 0.5 },
  robust: { loss: "robust", beta: 0.3, labelSmoothing: 0.2 },
  orpo: { loss: "orpo", beta: 0.25 },
  simpo: { loss: "simpo", margin: 0.7 },
  cpo: { loss: "cpo", beta: 0.2, nllWeight: 0.6, labelSmoothing: 0.1 },
};

describe("trl's loss, metrics and gradients", () => {
  test.each(Object.entries(expected.cases.gpt2))(
    "%s, gpt2, with log probabilities of a reference",
    async (name, one) => {
      const model = await openGpt2();
      await expectCase(
        preference(model, options[name]),
        { ...textsOf(rows), referenceLogProbabilities: tensor(reference) },
        one,
      );
      const chunked = preference(model, { ...options[name], lossChunk: 16 });
      await expectCase(chunked, { ...textsOf(rows), referenceLogProbabilities: tensor(reference) }, one);
      model.dispose();
    },
  );

  test.each(Object.entries(expected.cases.llama))("%s, llama with LoRA, beside its base", async (name, one) => {
    const { model, applied } = await openAdapted();
    const needsReference = ["sigmoid", "sigmoid-nll", "ipo", "hinge", "robust"].includes(name);
    const reference = needsReference ? baseAsReference(model, applied) : undefined;
    await expectCase(adapterTraining(applied, preference(model, { ...options[name], reference })), textsOf(rows), one);
    model.dispose();
  });

  test("KTO, with and without an adapter", async () => {
    const mismatched = textsOf(rows.map(([prompt], i) => [prompt, (rows.at(i - 1) as Row)[1]]));
    const { labels } = expected.kto.gpt2;
    const isDesirable = tensor(Uint8Array.from(labels, Number), { dtype: "bool", shape: [labels.length] });
    const batch = { ...textsOf(rows), mismatched, isDesirable };
    const numbers = { beta: 0.3, undesirableWeight: 1.5 };
    const gpt2 = await openGpt2();
    const known = {
      referenceLogProbabilities: tensor(reference),
      mismatchedReference: tensor(mismatchedReference),
    };
    await expectCase(kto(gpt2, numbers), { ...batch, ...known }, expected.kto.gpt2);
    const { model, applied } = await openAdapted();
    const objective = kto(model, { ...numbers, reference: baseAsReference(model, applied) });
    await expectCase(adapterTraining(applied, objective), batch, expected.kto.llama);
    gpt2.dispose();
    model.dispose();
  });

  test.each(Object.entries(expected.reward.cases))("reward, %s", async (name, one) => {
    const model = (await fromPretrained(join(golden, "peft/bert"), {
      ...silent,
      task: "sequence-classification",
      head: "new",
      labels: ["reward"],
    })) as SequenceClassifier;
    const { head, margins } = expected.reward;
    for (const part of ["weight", "bias"] as const)
      model.namedParameters().get(`classifier.${part}`)?.set(Float32Array.from(head[part].data));
    const { inputIds, attentionMask } = textsOf(rows);
    const batch = { inputIds, attentionMask, ...(name !== "plain" && { margin: tensor(margins) }) };
    await expectCase(reward(model, name === "centred" ? { centering: 0.1 } : {}), batch, one);
    model.dispose();
  });
});

test("5 steps of DPO with LoRA have trl's and peft's losses, and the base stays as it is", async () => {
  const { model, applied } = await openAdapted();
  applied.remove();
  const base = [...model.parameters()];
  const numbers = () => Promise.all(base.map((parameter) => parameter.read()));
  const before = await numbers();
  const { rows, losses, learningRate } = expected.trace;
  const reference = baseAsReference(model, applied);
  const objective = adapterTraining(applied, preference(model, { reference }));
  const optimizer = new AdamW(objective.trained, { weightDecay: 0.01, decays: () => true });
  const step = compileTrainStep(objective, optimizer, { clipNorm: Number.POSITIVE_INFINITY });
  for (const [i, loss] of losses.entries()) {
    const result = await step(textsOf(rows[i]) as never, learningRate, tensor(i, { dtype: "i32" }));
    expect(Math.abs((await result.loss.item()) / loss - 1)).toBeLessThan(1e-4);
  }
  expect(await numbers()).toEqual(before);
  step.dispose();
  model.dispose();
});

test("log probabilities of completions are those of their tokens, whatever the chunk", async () => {
  const model = await openGpt2();
  const texts = textsOf(rows);
  const whole = sequenceLogProbabilities(model, texts);
  const chunked = sequenceLogProbabilities(model, texts, { lossChunk: 8 });
  const [sums, means, counts, tokens] = await Promise.all(
    [whole.sum, whole.mean, whole.count, whole.tokens].map((x) => x.read()),
  );
  expect([...counts]).toEqual(rows.map(([, completion]) => completion.length));
  const { logits } = model.forward(texts);
  const [table, width, size] = [await logits.read(), logits.size(1), logits.size(2)];
  for (const [row, [prompt, completion]] of rows.entries()) {
    let total = 0;
    for (const [i, id] of completion.entries()) {
      const start = (row * width + prompt.length - 1 + i) * size;
      const of = table.subarray(start, start + size);
      total += of[id] - Math.log(of.reduce((sum, x) => sum + Math.exp(x), 0));
    }
    expectClose("sum", [sums[row], means[row] * completion.length], [total, total], TOLERANCE);
  }
  expectClose("chunked", await chunked.tokens.read(), tokens, TOLERANCE);
  expect(() => sequenceLogProbabilities(model, texts, { lossChunk: 0 })).toThrow("lossChunk");
  model.dispose();
});

test("options that a loss does not have are refused", async () => {
  const model = await openGpt2();
  const refusals: [PreferenceOptions, string][] = [
    [{ loss: "dpo" as "sigmoid" }, "one of sigmoid"],
    [{ loss: "ipo", labelSmoothing: 0.1 }, "a loss that has labelSmoothing"],
    [{ margin: 1 }, "a loss that has margin"],
    [{ loss: "orpo", nllWeight: 1 }, "a loss that has nllWeight"],
    [{ loss: "cpo", reference: () => tensor([0]) }, "a loss that has reference"],
    [{ labelSmoothing: 0.5 }, "labelSmoothing below 0.5"],
    [{ beta: 0 }, "beta"],
    [{ gamma: 1 } as PreferenceOptions, "gamma"],
  ];
  for (const [wrong, message] of refusals) expect(() => preference(model, wrong)).toThrow(message);
  expect(() => kto(model, { beta: -1 })).toThrow("beta");
  const classifier = await fromPretrained(join(golden, "peft/bert"), { ...silent, task: "sequence-classification" });
  expect(() => reward(classifier)).toThrow("one class");
  for (const each of [model, classifier]) each.dispose();
});
