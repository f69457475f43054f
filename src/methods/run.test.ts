/** A method from its config to its result: supervised fine-tuning of a tiny model. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { checkSchema } from "../base/index.ts";
import { readSafetensors } from "../files/index.ts";
import { fromPretrained } from "../models/index.ts";
import { applyAdapter, readAdapter } from "../peft/index.ts";
import {
  defineMethod,
  type MethodEvent,
  type MethodRunOptions,
  methods,
  planOf,
  readConfigFile,
  resolveConfig,
  runMethod,
  withField,
} from "./index.ts";

const tokenizer = fileURLToPath(new URL("../../golden/tokenizers/bpe-600.tokenizer.json", import.meta.url));
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
  const rows = ["red", "green", "blue", "black", "white", "grey"].map((colour) => ({
    messages: [
      { role: "user", content: `say ${colour}` },
      { role: "assistant", content: `${colour} it is` },
    ],
  }));
  const text = [...rows, ...rows, ...rows].map((row) => JSON.stringify(row)).join("\n");
  await writeFile(join(root, "chat.jsonl"), text);
});
afterAll(() => rm(root, { recursive: true }));

const llama = {
  ...{ model_type: "llama", hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 2 },
  ...{ num_key_value_heads: 2, head_dim: 16, vocab_size: 600, max_position_embeddings: 64, attention_dropout: 0.1 },
};
const config = {
  method: "sft",
  model: { new: llama },
  tokenizer,
  data: { train: "chat.jsonl", validationShare: 0.3, maxLength: 48 },
  optimizer: { learningRate: 5e-3 },
  training: { steps: 12, batchSize: 4 },
  evaluation: { interval: 6 },
};
const resolve = (name: string, change: object = {}) =>
  resolveConfig({ ...config, output: join(root, name), ...change }, { methods, where: "test", folder: root, name });

async function run(name: string, change: object = {}, options: Partial<MethodRunOptions> = {}): Promise<MethodEvent[]> {
  const events: MethodEvent[] = [];
  const quiet = { onWarning: () => {}, trackers: [] };
  for await (const event of runMethod(await resolve(name, change), { ...quiet, ...options })) events.push(event);
  return events;
}
const lossesOf = (events: readonly MethodEvent[]) =>
  events.flatMap((event) => (event.type === "step" ? [event.loss] : []));

test("a model learns to answer, and the best state is saved with its card", async () => {
  const events = await run("learns", { training: { steps: 60, batchSize: 4 } }, { trackers: undefined });
  const losses = lossesOf(events);
  expect(losses[59]).toBeLessThan(losses[0] / 3);
  expect(events[0]).toMatchObject({ type: "ready", steps: 60, facts: { "longest example": expect.any(Number) } });
  expect(events.at(-1)).toEqual({ type: "saved", path: join(root, "learns", "model") });
  const names = await readdir(join(root, "learns"));
  expect(names.sort()).toEqual([
    ...["best", "checkpoint", "metrics.jsonl", "model", "report.html", "report.json", "run.json"],
  ]);
  const card = await readFile(join(root, "learns", "model", "README.md"), "utf8");
  expect(card).toMatch(/pipeline_tag: text-generation/);
  expect(card).toMatch(/chat\.jsonl/);
  const model = await fromPretrained(join(root, "learns", "model"), { task: "causal-lm" });
  expect(model.modelType).toBe("llama");
});

test("a run that is stopped and goes on is the run that was not stopped", async () => {
  const straight = await run("straight");
  const controller = new AbortController();
  const callbacks = [
    ({ type, step }: { type: string; step: number }) => {
      if (type === "step" && step === 5) controller.abort();
    },
  ];
  const first = await run("resumed", {}, { signal: controller.signal, callbacks });
  expect(first.at(-1)).toMatchObject({ type: "finished", step: 5, reason: "aborted" });
  const second = await run("resumed");
  expect(lossesOf(second)).toEqual(lossesOf(straight).slice(5));
  const weights = (name: string) => readSafetensors(join(root, name, "model", "model.safetensors"));
  expect((await weights("resumed")).tensors).toEqual((await weights("straight")).tensors);
});

test("a folder belongs to one config, but for what may change when a run goes on", async () => {
  await expect(run("straight", { optimizer: { learningRate: 1e-3 } })).rejects.toThrow(
    /another optimizer\.learningRate.*--restart/s,
  );
  const longer = await run("straight", { training: { steps: 14, batchSize: 4 } });
  expect(lossesOf(longer)).toHaveLength(2);
  const anew = await run("straight", { optimizer: { learningRate: 1e-3 } }, { restart: true });
  expect(lossesOf(anew)).toHaveLength(12);
});

test("an adapter alone is trained, and its folder goes on in another run; merged it is a whole model", async () => {
  const base = join(root, "learns", "model");
  const adapter = { type: "lora", rank: 4, targetModules: ["q_proj", "v_proj"] };
  const events = await run("adapter", { model: base, adapter });
  const ready = events[0] as Extract<MethodEvent, { type: "ready" }>;
  expect(ready.trainedParameters).toBe(2 * 2 * (32 * 4 + 32 * 4));
  const model = await fromPretrained(base, { task: "causal-lm" });
  applyAdapter(model, await readAdapter(join(root, "adapter", "model")));
  const further = { ...adapter, from: join(root, "adapter", "model"), merge: true };
  await run("merged", { model: base, adapter: further });
  const merged = await fromPretrained(join(root, "merged", "model"), { task: "causal-lm", strict: true });
  expect(merged.parameterCount()).toBe(ready.parameters - ready.trainedParameters);
});

test("packed, frozen, unfrozen, averaged and accumulated training runs", async () => {
  const events = await run("much", {
    data: { ...config.data, packing: true, maxLength: 40 },
    freeze: ["model.embed_tokens.*"],
    unfreeze: [{ step: 3, parameters: ["model.layers.0.*"] }],
    optimizer: { name: "adam", learningRate: 1e-3, average: { type: "ema", decay: 0.9 }, lookahead: {} },
    schedule: { name: "warmup-stable-decay", warmupSteps: 2 },
    training: { steps: 8, batchSize: 2, accumulation: 2, checkpointActivations: true, precision: "bf16" },
    checkpoints: { keep: 2 },
    samples: { prompts: ["say red"], interval: 4, maxNewTokens: 3 },
  });
  expect(lossesOf(events)).toHaveLength(8);
  expect(events.filter((event) => event.type === "sample")).toHaveLength(2);
});

test("fastDevRun does all there is in three steps; overfitBatches learns its batches by heart", async () => {
  const fast = await run("fast", { training: { fastDevRun: true, batchSize: 4 } });
  expect(lossesOf(fast)).toHaveLength(3);
  expect(fast.filter((event) => event.type === "evaluation")).toHaveLength(1);
  const few = { training: { overfitBatches: 1, steps: 80, batchSize: 2 } };
  expect(lossesOf(await run("few", few)).at(-1)).toBeLessThan(0.6);
});

test("the plan tells parameters, steps and memory, and the preview what is learned", async () => {
  const resolved = await resolve("plan");
  const prepared = await resolved.method.prepare(resolved.config, { folder: resolved.folder, onWarning: () => {} });
  const plan = await planOf(resolved.config, prepared);
  const trained = [...prepared.objective.trained.values()].reduce(
    (total, { shape }) => total + shape.reduce((a, b) => a * b, 1),
    0,
  );
  expect(plan).toMatchObject({ parameters: trained, trainedParameters: trained, steps: 12 });
  expect(plan.stateBytes).toBeGreaterThanOrEqual(3 * 4 * trained);
  expect(plan.stepBytes).toBeGreaterThan(4 * trained);
  const preview = (await prepared.preview?.(1)) as string;
  expect(preview).toMatch(/^--- example 1 ---\nuser: say (\w+)\nassistant:« \1 it is»/);
  await prepared.close();
});

test.each<[object, RegExp]>([
  [{ method: "stf" }, /method: expected a method of .*received "stf".*did you mean "sft"/s],
  [{ method: { name: "sft", lerned: "all" } }, /method.*"lerned".*did you mean "learned"/s],
  [{ training: { batchsize: 4 } }, /training.*"batchsize".*did you mean "batchSize"/s],
  [{ traning: {} }, /"traning".*did you mean "training"/s],
  [{ schedule: { name: "cosin" } }, /schedule\.name.*did you mean "cosine"/s],
])("%j is refused by name", async (change, message) => {
  await expect(resolve("x", change)).rejects.toThrow(message);
});

test.each<[object, RegExp]>([
  [{ optimizer: { weightDecy: 0.1 } }, /AdamW.*weightDecy.*did you mean "weightDecay"/s],
  [{ freeze: ["bert.*"] }, /freeze: bert\.\*.*fits none/s],
  [{ freeze: ["*"] }, /patterns that freeze them all/],
  [{ data: { train: "none.jsonl" } }, /none\.jsonl/],
  [{ data: { ...config.data, maxLength: 3 } }, /conversations with something to learn.*data\.maxLength/s],
  [{ tokenizer: undefined }, /a tokenizer for a new model/],
  [{ model: { new: { ...llama, vocab_size: 100 } } }, /a tokenizer of at most 100 tokens.*received one of 600/s],
  [{ evaluation: { monitor: "accuracy" } }, /monitor: expected one of validationLoss; received accuracy/],
])("%j cannot be trained, and it is said why", async (change, message) => {
  await expect(run("refused", change, { restart: true })).rejects.toThrow(message);
});

test("fields are set beside a file, in YAML, and files are looked for beside it", async () => {
  const path = join(root, "my.yaml");
  const file = { ...config, output: join(root, "from-file") };
  await writeFile(path, JSON.stringify(file));
  const resolved = await readConfigFile(path, ["training.steps=3", "method.learned=last", "card.tags=[a, b]"], methods);
  expect(resolved.config.training.steps).toBe(3);
  expect(resolved.config.method).toEqual({ name: "sft", learned: "last" });
  expect(resolved.config.card.tags).toEqual(["a", "b"]);
  expect(resolved.config.data.train).toBe(join(root, "chat.jsonl"));
  expect(() => withField({}, "training")).toThrow(/field=value/);
  expect(() => withField({}, "a=[1")).toThrow(/override a: expected YAML; received .*correct the value/);
  expect(() => withField({ a: [1] }, "a.b=2")).toThrow(/fields to set "b" in/);
  await writeFile(path, "method: [");
  await expect(readConfigFile(path, [], methods)).rejects.toThrow(/expected YAML or JSON/);
});

test.each([...methods.values()])("the template of $name is a config of it, and its schema is for editors", (method) => {
  const value = parse(method.template);
  expect(checkSchema("template", method.schema, value, "docs/training.md").method.name).toBe(method.name);
  const schema = method.jsonSchema() as { properties: Record<string, { description?: string }> };
  expect(Object.keys(schema.properties)).toEqual(expect.arrayContaining(["method", "model", "data", "training"]));
});

test("what was opened for a method that cannot be prepared is closed", async () => {
  const closed: string[] = [];
  const failing = defineMethod({
    name: "failing",
    summary: "Fails.",
    settings: {},
    template: "",
    async prepare(_, { onOpened }) {
      for (const name of ["train", "validation"]) onOpened?.(async () => void closed.push(name));
      throw new Error("no data");
    },
  });
  const { config: checked } = await resolve("failing");
  await expect(failing.prepare(checked, { folder: root, onWarning: () => {} })).rejects.toThrow("no data");
  expect(closed).toEqual(["train", "validation"]);
});
