/** Methods of preferences from their config to the result: a tiny model learns which answers are better. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readJson, readSafetensors } from "../files/index.ts";
import { fromPretrained } from "../models/index.ts";
import { type MethodEvent, type MethodRunOptions, methods, planOf, resolveConfig, runMethod } from "./index.ts";

const tokenizer = fileURLToPath(new URL("../../golden/tokenizers/bpe-600.tokenizer.json", import.meta.url));
const things = ["whale", "sea", "ship", "sail", "captain", "harpoon", "island", "storm", "boat", "coast"];
const lines = (rows: readonly object[]) => rows.map((row) => JSON.stringify(row)).join("\n");
const pairs = things.map((thing) => ({ prompt: `the ${thing}?`, chosen: "good", rejected: "bad" }));
const rated = things.flatMap((thing) => [
  { prompt: `the ${thing}?`, completion: "good", label: true },
  { prompt: `the ${thing}?`, completion: "bad", label: false },
]);

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-preference-"));
  await writeFile(join(root, "pairs.jsonl"), lines(pairs));
  await writeFile(join(root, "margins.jsonl"), lines(pairs.map((pair, i) => ({ ...pair, margin: i / 10 }))));
  await writeFile(join(root, "rated.jsonl"), lines(rated));
});
afterAll(() => rm(root, { recursive: true }));

const sizes = { vocab_size: 600, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 1, num_attention_heads: 2 };
const llama = { ...sizes, model_type: "llama", num_key_value_heads: 2, head_dim: 16, max_position_embeddings: 64 };
const bert = { ...sizes, model_type: "bert", max_position_embeddings: 64, hidden_dropout_prob: 0 };
const lora = { type: "lora", rank: 4, dropout: 0.1, targetModules: ["q_proj", "v_proj", "down_proj"] };
const config = {
  model: { new: { ...llama, attention_dropout: 0.1 } },
  tokenizer,
  data: { train: "pairs.jsonl", validation: "pairs.jsonl", maxLength: 48 },
  optimizer: { learningRate: 1e-2 },
  training: { steps: 10, batchSize: 4 },
};

interface Change {
  method: object | string;
  [section: string]: unknown;
}
const resolve = (name: string, change: Change) =>
  resolveConfig({ ...config, output: join(root, name), ...change }, { methods, where: "test", folder: root, name });

async function run(name: string, change: Change, options: Partial<MethodRunOptions> = {}): Promise<MethodEvent[]> {
  const events: MethodEvent[] = [];
  const quiet = { onWarning: () => {}, trackers: [] };
  for await (const event of runMethod(await resolve(name, change), { ...quiet, ...options })) events.push(event);
  return events;
}
const stepsOf = (events: readonly MethodEvent[]) => events.filter((event) => event.type === "step");
const lossesOf = (events: readonly MethodEvent[]) => stepsOf(events).map(({ loss }) => loss);
const lastEvaluation = (events: readonly MethodEvent[]) => events.findLast((event) => event.type === "evaluation");

describe("a model learns which answers are better, and a run that was cut is the one that was not", () => {
  const preference = (settings: object) => ({ name: "preference", ...settings });
  const cases: [string, Change][] = [
    ["DPO, numbers computed before", { method: "preference" }],
    ["DPO with LoRA beside its base", { method: "preference", adapter: lora }],
    ["DPO beside a copy", { method: preference({ reference: "copy" }) }],
    ["DPO without a reference", { method: preference({ reference: "none", lossChunk: 64 }) }],
    ["IPO", { method: preference({ loss: "ipo" }) }],
    ["hinge", { method: preference({ loss: "hinge", beta: 0.5 }) }],
    ["robust", { method: preference({ loss: "robust", labelSmoothing: 0.1 }) }],
    ["ORPO", { method: preference({ loss: "orpo" }) }],
    ["SimPO", { method: preference({ loss: "simpo" }), adapter: lora }],
    ["CPO", { method: preference({ loss: "cpo" }) }],
    [
      "KTO",
      {
        method: preference({ loss: "kto" }),
        data: { ...config.data, train: "rated.jsonl", validation: "rated.jsonl" },
      },
    ],
    ["rewards", { method: { name: "reward", centering: 0.01 }, model: { new: bert } }],
    [
      "rewards with margins",
      { method: "reward", model: { new: bert }, data: { ...config.data, train: "margins.jsonl" } },
    ],
  ];
  const cutToo = [
    "DPO, numbers computed before",
    "DPO with LoRA beside its base",
    "DPO beside a copy",
    "KTO",
    "rewards",
  ];
  test.each(cases)("%s", async (name, change) => {
    const straight = await run(name, change);
    const evaluation = lastEvaluation(straight);
    const { metrics = {} } = evaluation ?? {};
    const margin = metrics["rewards/margins"] ?? metrics.margin;
    expect(margin).toBeGreaterThan(0.05);
    if (name !== "KTO") expect(metrics["rewards/accuracies"] ?? metrics.accuracy).toBe(1);
    expect(straight.at(-1)).toMatchObject({ type: "saved" });
    if (!cutToo.includes(name)) return;
    const controller = new AbortController();
    const cut = ({ type, step }: { type: string; step: number }) => {
      if (type === "step" && step === 4) controller.abort();
    };
    await run(`${name}, cut`, change, { signal: controller.signal, callbacks: [cut] });
    const rest = await run(`${name}, cut`, change);
    expect(rest[0]).toMatchObject({ type: "ready" });
    expect(lossesOf(rest)).toEqual(lossesOf(straight).slice(4));
  });
});

test("the first loss of DPO is log 2, for the model is its reference, whichever way that is asked", async () => {
  const methods: [string, Change][] = [
    ["precomputed", { method: "preference" }],
    ["copy", { method: { name: "preference", reference: "copy" } }],
    ["adapter-off", { method: "preference", adapter: { ...lora, dropout: 0 } }],
  ];
  for (const [name, change] of methods) {
    const quick = { model: { new: llama }, training: { steps: 2, batchSize: 4 } };
    const [first, second] = lossesOf(await run(`first ${name}`, { ...quick, ...change }));
    expect(first).toBeCloseTo(Math.LN2, 5);
    expect(second).toBeLessThan(first);
  }
});

test("an adapter that training goes on with is part of the reference", async () => {
  const quick = { method: "preference", training: { steps: 6, batchSize: 4 }, adapter: { ...lora, dropout: 0 } };
  await run("earlier", { ...quick, model: { new: llama } });
  const adapter = { ...quick.adapter, from: join(root, "earlier", "model") };
  for (const reference of ["precomputed", "copy"]) {
    const method = { name: "preference", reference };
    const further = await run(`further ${reference}`, { ...quick, model: { new: llama }, method, adapter });
    expect(lossesOf(further)[0]).toBeCloseTo(Math.LN2, 5);
  }
  const base = await run("further off", {
    ...quick,
    model: { new: llama },
    method: { name: "preference", reference: "adapter-off" },
    adapter,
  });
  expect(lossesOf(base)[0]).toBeLessThan(Math.LN2 - 0.01); // it is better than the base already
});

test("accumulated, in bf16 and with layers that are computed again; with a prefix", async () => {
  const training = { steps: 2, batchSize: 2, accumulation: 2, checkpointActivations: true, precision: "bf16" };
  const model = { new: llama };
  const much = await run("much", { method: "preference", model, adapter: { ...lora, dropout: 0 }, training });
  expect(lossesOf(much)[0]).toBeCloseTo(Math.LN2, 2);
  const prefix = { type: "prefix", numVirtualTokens: 2 };
  expect(lossesOf(await run("prefix", { method: "preference", model, adapter: prefix, training }))).toHaveLength(2);
});

test("numbers of the reference are computed once, and anew for another model", async () => {
  const change = { method: "preference", training: { steps: 1, batchSize: 4 } };
  const stages: string[] = [];
  const onProgress = (stage: string) => stages.push(stage);
  await run("kept", change, { onProgress });
  const path = join(root, "kept", "reference-train.json");
  const first = await readFile(path, "utf8");
  expect(stages).toContain("asking the reference");
  stages.length = 0;
  await run("kept", { ...change, training: { steps: 2, batchSize: 4 } }, { onProgress });
  expect(stages).not.toContain("asking the reference");
  expect(await readFile(path, "utf8")).toBe(first);
  await run("kept", { ...change, training: { steps: 1, batchSize: 4, seed: 5 } }, { onProgress, restart: true });
  expect(stages).toContain("asking the reference");
  expect((await readJson(path)).values).not.toEqual(JSON.parse(first).values);
});

test("a reference stays as it is while the model learns", async () => {
  const {
    method,
    config: resolved,
    folder,
  } = await resolve("unchanged", {
    method: { name: "preference", reference: "copy" },
    model: { new: llama },
  });
  const prepared = await method.prepare(resolved, { folder, onWarning: () => {} });
  const reference = [...prepared.objective.state].filter(([name]) => name.startsWith("reference."));
  expect(reference).toHaveLength(prepared.objective.trained.size);
  expect([...prepared.objective.trained.keys()].some((name) => name.startsWith("reference."))).toBe(false);
  const before = await Promise.all(reference.map(([, variable]) => variable.read()));
  await planOf(resolved, prepared, { isTimed: true }); // two steps
  expect(await Promise.all(reference.map(([, variable]) => variable.read()))).toEqual(before);
  await prepared.close();
});

test("the result is a folder that opens, with the adapter alone or merged", async () => {
  const { tensors } = await readSafetensors(
    join(root, "DPO with LoRA beside its base", "model", "adapter_model.safetensors"),
  );
  expect(tensors.size).toBe(2 * 3);
  const rewards = await fromPretrained(join(root, "rewards", "model"), { task: "sequence-classification" });
  expect(rewards.config).toMatchObject({ labels: ["reward"] });
  const preview = await (await prepared("preview", { method: "preference" })).preview?.(1);
  expect(preview).toMatch(/^--- example 1, chosen ---\n.*the .*?«.*good.*»\n--- example 1, rejected ---/s);
  expect(preview).toMatch(/rejected ---\n.*«.*bad.*»/s);
});

test("an adapter trains the head of rewards too", async () => {
  const change = { method: "reward", model: { new: bert }, training: { steps: 1, batchSize: 4 } };
  await run("adapted rewards", { ...change, adapter: { type: "lora", rank: 2 } });
  const path = join(root, "adapted rewards", "model", "adapter_config.json");
  expect(JSON.parse(await readFile(path, "utf8")).modules_to_save).toEqual(["classifier"]);
});

async function prepared(name: string, change: Change, warnings: string[] = []) {
  const { method, config: resolved, folder } = await resolve(name, change);
  const onWarning = ({ notes }: { notes: readonly string[] }) => warnings.push(...notes);
  const ready = await method.prepare(resolved, { folder: join(folder, ".."), onWarning });
  await ready.close(); // what is asked of it needs no files
  return ready;
}

describe("bad rows and settings", () => {
  const withData = async (
    rows: readonly object[],
    data: object,
    method: object | string = { name: "preference", reference: "none" },
  ) => {
    const name = `bad-${Math.random().toString(36).slice(2)}.jsonl`;
    await writeFile(join(root, name), lines(rows));
    return { method, data: { train: name, validationShare: 0, maxLength: 48, ...data } };
  };
  const answer = (count: number) => Array.from({ length: count }, (_, i) => `word ${i}`).join(" ");

  test("the prompt is cut at the left, and a completion only where it is too long alone", async () => {
    const long = { prompt: answer(30), chosen: "good", rejected: "bad" };
    const warnings: string[] = [];
    const { preview } = await prepared("long", await withData([long, ...pairs], { maxLength: 24 }), warnings);
    expect(warnings.join()).toMatch(/1 of 11 pairs are longer than maxLength 24: their prompts are cut at the left/);
    const [, chosen, rejected] = (await preview?.(1))?.split(/^---.*---$/m) ?? [];
    expect(chosen).toMatch(/29.*«.*good.*»/s);
    expect(rejected).toMatch(/29.*«.*bad.*»/s);
    expect(chosen).not.toMatch(/word 1 /);
    const skipped: string[] = [];
    const { facts } = await prepared(
      "skip",
      await withData([long, ...pairs], { maxLength: 24, onTooLong: "skip" }),
      skipped,
    );
    expect(skipped.join()).toMatch(/1 of 11 pairs are longer than maxLength 24 and left out/);
    expect(facts.pairs).toBe(10);
  });

  test("pairs that say nothing within the length are counted and left out", async () => {
    const alike = { prompt: "a", chosen: `${answer(40)} good`, rejected: `${answer(40)} bad` };
    const warnings: string[] = [];
    const { facts } = await prepared("alike", await withData([alike, ...pairs], {}), warnings);
    expect(warnings.join()).toMatch(/1 of 11 pairs differ in nothing within maxLength, and are left out/);
    expect(facts.pairs).toBe(10);
    await expect(prepared("none", await withData(pairs, { maxLength: 1 }))).rejects.toThrow(
      /pairs that fit into maxLength 1; received 10 of 10 pairs have a completion of no token/,
    );
  });

  test("rows that are no pairs are named", async () => {
    const same = { prompt: "a", chosen: "b", rejected: "b" };
    await expect(prepared("same", await withData([same, ...pairs], {}))).rejects.toThrow(
      /the same chosen and rejected/,
    );
    const warnings: string[] = [];
    const { facts } = await prepared("bad rows", await withData([same, ...pairs], { onBadRow: "skip" }), warnings);
    expect(facts.pairs).toBe(10);
    await expect(prepared("kto rows", await withData(pairs, {}, { name: "preference", loss: "kto" }))).rejects.toThrow(
      /label/,
    );
    const wanted = rated.filter(({ label }) => label);
    const oneKind = await withData(wanted, {}, { name: "preference", loss: "kto" });
    await prepared("one kind", oneKind, warnings);
    expect(warnings.join()).toMatch(/all 10 completions are desirable/);
  });

  test("settings that a loss would pass over are refused", async () => {
    const refusals: [object, RegExp][] = [
      [{ loss: "ipo", labelSmoothing: 0.1 }, /labelSmoothing/],
      [{ loss: "orpo", reference: "copy" }, /method\.reference/],
      [{ loss: "kto", margin: 1 }, /method\.margin/],
      [{ desirableWeight: 2 }, /method\.desirableWeight/],
      [{ reference: "adapter-off" }, /an adapter that is trained/],
      [{ loss: "dpo" }, /loss/],
      [{ gamma: 1 }, /gamma/],
    ];
    for (const [settings, message] of refusals)
      await expect(prepared("refused", { method: { name: "preference", ...settings } })).rejects.toThrow(message);
  });
});
