/** Misspelt fields at every level of a config: each is refused before a model is read, and the right one named. */
import { expect, test } from "vitest";
import { parse } from "yaml";
import { checkConfigKeys } from "../models/index.ts";
import { methods, resolveConfig } from "./index.ts";

const shared = {
  training: { epochs: 1, batchSize: 2, clipNorm: 1, spikes: { deviations: 3, window: 5 } },
  evaluation: { interval: 3, patience: 3 },
  checkpoints: { keep: 1 },
  samples: { prompts: ["a"], maxNewTokens: 3 },
  card: { license: "mit" },
  optimizer: {
    ...{ name: "adamw", learningRate: 1e-3, weightDecay: 0.1, average: { type: "ema", decay: 0.9 } },
    lookahead: { interval: 3 },
  },
  schedule: { name: "warmup-stable-decay", warmupSteps: 3 },
};
/** The last two letters change places. */
const misspelt = (key: string) => key.slice(0, -2) + key.slice(-1) + key.slice(-2, -1);

type Node = Record<string, unknown>;
/** Copies of a config with one field misspelt each. */
function* typos(value: unknown): Generator<{ key: string; copy: unknown }> {
  if (typeof value !== "object" || value === null) return;
  for (const [key, inside] of Object.entries(value)) {
    const replace = (name: string, each: unknown) =>
      Array.isArray(value)
        ? value.map((old, i) => (String(i) === key ? each : old))
        : Object.fromEntries(Object.entries(value as Node).map(([k, old]) => (k === key ? [name, each] : [k, old])));
    if (!Array.isArray(value) && key.length > 3 && misspelt(key) !== key)
      yield { key, copy: replace(misspelt(key), inside) };
    for (const { key: name, copy } of typos(inside)) yield { key: name, copy: replace(key, copy) };
  }
}

/** Of peft's options, a model's config.json and augmentations, which their own readers check. */
const later = new Set([
  ...["rank", "targetModules", "scale", "magnitude", "brightness", "contrast"],
  ...["shortestSizes", "minSize", "maxSize", "probability"],
]);

test.each([...methods])("%s", async (_, method) => {
  const { adapter: __, ...template } = parse(method.template);
  const model = typeof template.model === "object" ? "a/b" : template.model;
  let count = 0;
  for (const { key, copy } of typos({ ...template, model, ...shared })) {
    if (later.has(key)) continue;
    if (key === "model" && template.method.rewards) continue; // of a reward: "modle" is as near to "module"
    count++;
    const read = resolveConfig(copy, { methods, where: "c.yaml", folder: ".", name: "x" });
    await expect(read, key).rejects.toThrow(`did you mean "${key}"?`);
  }
  expect(count).toBeGreaterThan(30);
});

test("a schedule that has no settings refuses them, and another's", async () => {
  const read = (schedule: object) =>
    resolveConfig(
      { method: "sft", model: "a/b", data: { train: "c.jsonl" }, schedule },
      { methods, where: "c.yaml", folder: ".", name: "x" },
    );
  await expect(read({ name: "constant", gamma: 0.5 })).rejects.toThrow("c.yaml, schedule: schedule constant: expected");
  await expect(read({ name: "cosine", gamma: 0.5 })).rejects.toThrow('received "gamma"');
});

test.each([
  [{ model_type: "gpt2", n_layerr: 2 }, "n_layer"],
  [{ model_type: "bert", num_hiden_layers: 2 }, "num_hidden_layers"],
  [{ model_type: "convnet", hiden_sizes: [8] }, "hidden_sizes"],
  [{ model_type: "clip", text_config: { hiden_size: 8 } }, "hidden_size"],
])("a key of a new model's config.json: %j", (json, key) =>
  expect(() => checkConfigKeys(json)).toThrow(`did you mean "${key}"?`),
);
