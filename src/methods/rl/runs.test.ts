/** Runs of GRPO and PPO: tiny models learn to write what is rewarded, cut and resumed. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Generator } from "../../generate/index.ts";
import { fromConfig } from "../../models/index.ts";
import { applyAdapter, newAdapter } from "../../peft/index.ts";
import { randomKey } from "../../tensor/index.ts";
import { saveCharacterTokenizer } from "../../testing/character-tokenizer.ts";
import { Tokenizer } from "../../tokenizers/index.ts";
import type { TrainEvent } from "../../train/index.ts";
import { resolveConfig } from "../config/read.ts";
import { methods } from "../registry.ts";
import { type MethodEvent, runMethod } from "../run.ts";
import { writeCompletions } from "./completions.ts";
import { completionTensors, padCompletions, tokenStatistics } from "./padded-completions.ts";

let folder: string;
const CHARACTERS = "0123456789+=abcd";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-rl-"));
  await saveCharacterTokenizer(join(folder, "tokenizer"), CHARACTERS);
  const rows = Array.from({ length: 24 }, (_, i) => JSON.stringify({ prompt: `${i}+${i % 7}=`, answer: 7 }));
  await writeFile(join(folder, "prompts.jsonl"), rows.join("\n"));
  const modules = {
    "sevens.mjs": `export default (prompt, completion) => [...completion].filter((c) => c === "7").length / 5;`,
    "throws.mjs": `export default async () => { throw new Error("no such service"); };`,
    "nan.mjs": "export default (prompt, completion) => Number.NaN;",
    "equal.mjs": "export default () => 0.3;",
  };
  for (const [name, text] of Object.entries(modules)) await writeFile(join(folder, name), text);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const model = {
  new: {
    ...{ model_type: "llama", vocab_size: CHARACTERS.length + 1, hidden_size: 32, intermediate_size: 64 },
    ...{ num_hidden_layers: 2, num_attention_heads: 4, max_position_embeddings: 64, eos_token_id: 0 },
  },
};

interface Changes {
  method?: object;
  training?: object;
  data?: object;
  [section: string]: unknown;
}

const configOf = (name: string, { method, training, data, ...others }: Changes) => ({
  model,
  tokenizer: join(folder, "tokenizer"),
  data: { train: join(folder, "prompts.jsonl"), validationShare: 0, maxLength: 16, ...data },
  optimizer: { learningRate: 5e-3 },
  schedule: { name: "constant" },
  output: join(folder, name),
  ...others,
  method: { name: "grpo", rewards: [join(folder, "sevens.mjs")], maxNewTokens: 5, groupSize: 6, ...method },
  training: { batchSize: 4, steps: 30, ...training },
});

async function run(name: string, changes: Changes): Promise<MethodEvent[]> {
  const resolved = await resolveConfig(configOf(name, changes), { methods, where: "test", folder: ".", name });
  const events: MethodEvent[] = [];
  for await (const event of runMethod(resolved, { onWarning: () => {} })) events.push(event);
  return events;
}

type Step = Extract<TrainEvent, { type: "step" }>;
const stepsOf = (events: readonly MethodEvent[]) => events.filter((event): event is Step => event.type === "step");
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const metric = (steps: readonly Step[], name: string) => steps.map(({ metrics }) => metrics[name]);

test("GRPO learns to write the rewarded character", async () => {
  const steps = stepsOf(await run("grpo", { method: { beta: 0 } }));
  const rewards = metric(steps, "reward");
  expect(mean(rewards.slice(0, 3))).toBeLessThan(0.25);
  expect(mean(rewards.slice(-3))).toBeGreaterThan(0.7);
  expect(Math.max(...steps.map(({ metrics }) => metrics.clipShare))).toBe(0); // one update: every ratio is 1
});

test("PPO learns it too", async () => {
  const method = { name: "ppo", groupSize: 4, updates: 3, klCoefficient: 0.01 };
  const steps = stepsOf(await run("ppo", { method, training: { batchSize: 6, steps: 60 } }));
  const rewards = metric(steps, "reward");
  expect(mean(rewards.slice(0, 3))).toBeLessThan(0.25);
  expect(mean(rewards.slice(-3))).toBeGreaterThan(0.6);
});

const cases: [string, Changes][] = [
  ["one update", { method: { beta: 0 } }],
  [
    "LoRA, two updates, a reference, two batches",
    {
      method: { updates: 2, beta: 0.1, clipHigh: 0.28, aggregation: "token-mean" },
      training: { accumulation: 2, batchSize: 2 },
      adapter: { type: "lora", rank: 4, dropout: 0.1 },
      data: { validationShare: 0.2, maxLength: 16 },
    },
  ],
  [
    "the whole model, with a copy of it",
    { method: { updates: 3, beta: 0.1, aggregation: "constant", scaleRewards: false } },
  ],
  ["PPO", { method: { name: "ppo", groupSize: 2, updates: 2, klTarget: 0.1, klHorizon: 50 } }],
];

test.each(cases)(
  "%s: cut and resumed, the losses and rewards of a run that was not cut, to the bit",
  async (name, changes) => {
    const numbers = async (output: string, steps: number) => {
      const events = await run(output, { ...changes, training: { ...changes.training, steps } });
      return stepsOf(events).map(({ loss, metrics }) => [loss, ...Object.entries(metrics)]);
    };
    const whole = await numbers(`${name}-whole`, 6);
    const first = await numbers(`${name}-cut`, 3);
    const second = await numbers(`${name}-cut`, 6);
    expect([...first, ...second]).toEqual(whole);
    expect(new Set(whole.map((each) => JSON.stringify(each))).size).toBe(6);
  },
);

test("validation is measured without draws, and the best state is kept by its reward", async () => {
  const rows = { validation: join(folder, "prompts.jsonl") };
  const method = { beta: 0, rewards: [join(folder, "sevens.mjs"), "exact-match"] };
  const events = await run("validated", { data: rows, method, evaluation: { interval: 4 }, training: { steps: 8 } });
  const measured = events.filter((event) => event.type === "evaluation");
  expect(measured.map(({ step }) => step)).toEqual([4, 8]);
  for (const { metrics, validationLoss } of measured) {
    expect(validationLoss).toBeCloseTo(-metrics.reward, 6);
    expect(metrics.reward).toBeCloseTo(metrics["reward/sevens"] + metrics["reward/exact-match"], 6);
    expect(metrics.completionLength).toBeGreaterThan(0);
  }
  const ready = events.find((event) => event.type === "ready");
  expect(ready?.facts).toEqual({ prompts: 24, "longest prompt": 5, "validation prompts": 24 });
});

test("where all rewards of each group are equal nothing is learned", async () => {
  const method = { beta: 0, rewards: [join(folder, "equal.mjs")] };
  const steps = stepsOf(await run("equal", { method, training: { steps: 2 } }));
  for (const { loss, gradientNorm, metrics } of steps) {
    expect(Math.abs(loss)).toBe(0);
    expect([gradientNorm, metrics.unanimousShare, metrics.rewardStd]).toEqual([0, 1, 0]);
  }
});

test("rewards that fail end the run with the row; what does not go with rollouts is refused before", async () => {
  const fails = (name: string, changes: Changes) => expect(run(name, { training: { steps: 1 }, ...changes })).rejects;
  const rewarded = (name: string) => ({ method: { rewards: [join(folder, name)] } });
  await fails("throws", rewarded("throws.mjs")).toThrow(/reward throws, .*prompts.jsonl:\d+: .*no such service/);
  await fails("nan", rewarded("nan.mjs")).toThrow(/reward nan, .*expected a finite number; received NaN/);
  await fails("prefix", { adapter: { type: "prefix", numVirtualTokens: 2 } }).toThrow(
    /adapter.type: expected a LoRA, IA3 or bottleneck adapter/,
  );
  await fails("overfit", { training: { steps: 1, overfitBatches: 1 } }).toThrow(/training.overfitBatches/);
  await fails("packing", { data: { packing: true } }).toThrow(/data.packing/);
  await fails("cut", { data: { onTooLong: "cut" } }).toThrow(/data.onTooLong/);
  await fails("long", { data: { maxLength: 60 } }).toThrow(/at most 64 tokens together/);
  await fails("none", { data: { maxLength: 3 } }).toThrow(/24 rows, 24 of them with longer ones/);
  await fails("column", {
    data: { train: { path: join(folder, "prompts.jsonl"), columns: { prompt: "text" } } },
  }).toThrow(/no text among prompt, answer/);
});

test("completions of a prompt share what was read of it, and follow the weights and the adapter", async () => {
  const tokenizer = await Tokenizer.open(join(folder, "tokenizer"));
  const policy = await fromConfig({ ...model.new }, { task: "causal-lm", key: randomKey(1) });
  const generator = new Generator(policy, { maxSequences: 8 });
  const prompt = { ids: await tokenizer.encode("1+2="), text: "1+2=", row: {}, place: "rows:1" };
  const settings = { generator, tokenizer, maxNewTokens: 6, temperature: 1, groupSize: 8, seed: 3 };
  const write = async () => (await writeCompletions([prompt], settings)).map(({ text }) => text);
  const first = await write();
  expect(generator.load).toMatchObject({ promptTokens: 8 * 4, sharedTokens: 7 * 4 });
  expect(new Set(first).size).toBe(8);
  expect(await write()).toEqual(first);
  const adapter = await newAdapter(policy, { rank: 2, targetModules: "all-linear" }, randomKey(2));
  const applied = applyAdapter(policy, adapter);
  expect(await write()).toEqual(first); // an adapter that begins with 0
  for (const [name, parameter] of applied.parameters)
    if (name.includes("lora_B")) parameter.set(new Float32Array(parameter.shape[0] * parameter.shape[1]).fill(0.5));
  expect(await write()).not.toEqual(first);
  applied.remove();
  expect(await write()).toEqual(first);
  generator.dispose();
  policy.dispose();
});

test("texts that are drawn have the distribution that is trained", async () => {
  const tokenizer = await Tokenizer.open(join(folder, "tokenizer"));
  const policy = await fromConfig({ ...model.new }, { task: "causal-lm", key: randomKey(1) });
  policy.generationConfig = { temperature: 0.1, top_k: 1, repetition_penalty: 2 }; // which rollouts put aside
  const generator = new Generator(policy, { maxSequences: 64 });
  const prompt = { ids: await tokenizer.encode("1+2="), text: "1+2=", row: {}, place: "rows:1" };
  const settings = { generator, tokenizer, maxNewTokens: 1, temperature: 1, groupSize: 4000, seed: 3 };
  const drawn = await writeCompletions([prompt], settings);
  const ids = Array.from({ length: CHARACTERS.length + 1 }, (_, id) => id);
  const host = padCompletions(
    ids.map((id) => ({ ids: [id], prompt })),
    { padId: 0, maxNewTokens: 1 },
  );
  const { logprobs } = tokenStatistics(policy, completionTensors(host), { temperature: 1 });
  const expected = Array.from(await logprobs.read(), Math.exp);
  for (const id of ids) {
    const share = drawn.filter((completion) => completion.ids[0] === id).length / drawn.length;
    const deviation = Math.sqrt((expected[id] * (1 - expected[id])) / drawn.length);
    expect(Math.abs(share - expected[id])).toBeLessThan(4 * deviation);
  }
  generator.dispose();
  policy.dispose();
});
