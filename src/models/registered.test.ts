/** A family of somebody else: made, saved, opened, generated from, exported. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeJson } from "../files/index.ts";
import { Generator } from "../generate/index.ts";
import { randomKey, type Tensor, tensor } from "../tensor/index.ts";
import { ParallelForCausalLM, parallel } from "../testing/example-family.ts";
import {
  exportModel,
  type Family,
  FamilyRegistry,
  families,
  fromPretrained,
  registerFamily,
  savePretrained,
} from "./index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

const config = { vocabSize: 40, hiddenSize: 16, numLayers: 2, numHeads: 2, maxPositionEmbeddings: 32 };
const newModel = () => new ParallelForCausalLM(config, randomKey(3));
const ids = tensor(Int32Array.of(5, 6, 7), { shape: [1, 3] });

/** What a model writes after a prompt, greedily. */
async function written(model: ParallelForCausalLM): Promise<number[]> {
  const tokens: number[] = [];
  for await (const id of new Generator(model).generate([5, 6, 7], { maxNewTokens: 6, temperature: 0 })) tokens.push(id);
  return tokens;
}

/** The same, each token by running the whole text again. */
async function writtenWithoutCache(model: ParallelForCausalLM): Promise<number[]> {
  const tokens = [5, 6, 7];
  for (let i = 0; i < 6; i++) {
    const logits = await model
      .forward({ inputIds: tensor(Int32Array.from(tokens), { shape: [1, tokens.length] }) })
      .logits.read();
    const last = logits.subarray(logits.length - config.vocabSize);
    tokens.push(last.indexOf(Math.max(...last)));
  }
  return tokens.slice(3);
}

test("a registered family is saved, opened for its task, and generates", async () => {
  const model = newModel();
  expect([model.modelType, model.architecture, model.task]).toEqual(["parallel", "ParallelForCausalLM", "causal-lm"]);
  await savePretrained(model, join(folder, "saved"));
  const opened = await fromPretrained(join(folder, "saved"), { task: "causal-lm", strict: true });
  expect(opened).toBeInstanceOf(ParallelForCausalLM);
  expect(opened.config).toEqual(model.config);
  expect(await opened.forward({ inputIds: ids }).logits.read()).toEqual(
    await model.forward({ inputIds: ids }).logits.read(),
  );
  const tokens = await written(opened as ParallelForCausalLM);
  expect(tokens).toEqual(await writtenWithoutCache(model));
});

test("a class that extends another of its family is saved and opened as itself", async () => {
  class NegativeForCausalLM extends ParallelForCausalLM {
    override readonly family: Family = both;
    override logits(states: Tensor<"f32">): Tensor<"f32"> {
      return super.logits(states).mul(-1);
    }
  }
  class TrainedForCausalLM extends NegativeForCausalLM {} // of no name in the family: saved as what it extends
  const classes = { ParallelForCausalLM, NegativeForCausalLM };
  const both: Family = { ...parallel, modelType: "parallel-both", classes };
  registerFamily(both);
  const model = new TrainedForCausalLM(config, randomKey(3));
  const logits = await model.forward({ inputIds: ids }).logits.read();
  expect(logits).toEqual((await newModel().forward({ inputIds: ids }).logits.read()).map((x) => -x));
  expect(model.architecture).toBe("NegativeForCausalLM");
  expect(newModel().architecture).toBe("ParallelForCausalLM");
  await savePretrained(model, join(folder, "derived"));
  for (const options of [{}, { task: "causal-lm" as const }]) {
    const opened = await fromPretrained(join(folder, "derived"), options);
    expect(opened).toBeInstanceOf(NegativeForCausalLM);
    expect(await (opened as NegativeForCausalLM).forward({ inputIds: ids }).logits.read()).toEqual(logits);
  }
});

test("the example starts with the loss of even chances, and refuses heads that do not divide its width", async () => {
  const model = newModel();
  const inputIds = tensor(
    Int32Array.from({ length: 32 }, (_, i) => (7 * i) % 40),
    { shape: [1, 32] },
  );
  expect(await model.loss({ inputIds, labels: inputIds }).item()).toBeCloseTo(Math.log(40), 1);
  expect(() => new ParallelForCausalLM({ ...config, numHeads: 3 }, randomKey(3))).toThrow(
    "ParallelConfig: expected hiddenSize to be a multiple of numHeads; received [16,3]. Fix: correct the config.",
  );
});

test("a registered family is exported to ONNX, and the folder opens again", async () => {
  const model = newModel();
  expect(await exportModel(model, join(folder, "onnx"))).toEqual(["model.onnx"]);
  expect((await readdir(join(folder, "onnx"))).sort()).toEqual(["config.json", "generation_config.json", "model.onnx"]);
  const opened = await fromPretrained(join(folder, "onnx"), { task: "causal-lm" });
  expect(await opened.forward({ inputIds: ids }).logits.read()).toEqual(
    await model.forward({ inputIds: ids }).logits.read(),
  );
});

test("unknown keys of a config are refused by name", () => {
  expect(() => new ParallelForCausalLM({ hidenSize: 16 } as object, randomKey(0))).toThrow(
    /ParallelConfig: .*hidenSize.*did you mean "hiddenSize"/,
  );
});

test("a name belongs to one family; the same object may be registered again", () => {
  registerFamily(parallel);
  expect([...families].filter(({ modelType }) => modelType === "parallel")).toEqual([parallel]);
  expect(() => registerFamily({ ...parallel })).toThrow(
    /registerFamily: expected a model_type that no other family has/,
  );
  expect(() => registerFamily({ ...parallel, modelType: "none", classes: {} })).toThrow(/at least one class/);
});

test("a family may take files that model_type does not tell, and translate them", async () => {
  const foreign: Family = {
    ...parallel,
    modelType: "foreign",
    matches: (json) => json.kind === "foreign",
    translate: ({ width, ...json }) => ({ ...json, hidden_size: width }),
  };
  const registry = new FamilyRegistry([parallel]);
  expect(() => registry.find("config.json", { kind: "foreign" })).toThrow(
    /config.json, model_type: expected a supported architecture: parallel; received none.*registerFamily/,
  );
  registry.register(foreign);
  expect(registry.find("config.json", { kind: "foreign" })).toBe(foreign);
  expect(registry.find("config.json", { model_type: "parallel" })).toBe(parallel);
  registerFamily(foreign);
  await savePretrained(newModel(), join(folder, "foreign"));
  const { hiddenSize: width, vocabSize, numLayers, numHeads, maxPositionEmbeddings } = config;
  await writeJson(join(folder, "foreign", "config.json"), {
    kind: "foreign",
    width,
    vocab_size: vocabSize,
    num_hidden_layers: numLayers,
    num_attention_heads: numHeads,
    max_position_embeddings: maxPositionEmbeddings,
  });
  const opened = await fromPretrained(join(folder, "foreign"), { task: "causal-lm", strict: true });
  expect(await opened.forward({ inputIds: ids }).logits.read()).toEqual(
    await newModel().forward({ inputIds: ids }).logits.read(),
  );
});
