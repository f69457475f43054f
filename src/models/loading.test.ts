/** Model folders as people have them. */
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { readJson, readSafetensors, type StoredTensor, writeJson, writeSafetensors } from "../files/index.ts";
import { fromConfig, fromPretrained, type LoadOptions, type LoadWarning, savePretrained } from "./index.ts";

const golden = (name: string) => fileURLToPath(new URL(`../../golden/${name}`, import.meta.url));
const BERT = golden("models/bert-sequence-classification");
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterEach(() => rm(folder, { recursive: true }));

type Tensors = Map<string, StoredTensor>;
const tensorsOf = async (source: string): Promise<Tensors> =>
  (await readSafetensors(join(source, "model.safetensors"))).tensors;
const one: StoredTensor = { dtype: "f32", shape: [1], data: Float32Array.of(1) };

/** A folder with a golden model, and changes to its files. */
async function withChanges(
  source: string,
  changeTensors: (tensors: Tensors) => void,
  changeConfig: (json: Record<string, unknown>) => void = () => {},
) {
  const [tensors, json] = [await tensorsOf(source), await readJson(join(source, "config.json"))];
  changeTensors(tensors);
  changeConfig(json);
  await writeSafetensors(join(folder, "model.safetensors"), tensors);
  await writeJson(join(folder, "config.json"), json);
}

async function open(options: LoadOptions = {}) {
  const warnings: LoadWarning[] = [];
  const model = await fromPretrained(folder, { onWarning: (warning) => warnings.push(warning), ...options });
  return { model, warnings, notes: warnings.flatMap(({ notes }) => notes) };
}

describe("weights", () => {
  test("one warning names what is left over and what starts anew, by default on the console", async () => {
    await withChanges(BERT, (tensors) => tensors.delete("classifier.bias") && tensors.set("cls.predictions.bias", one));
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    await fromPretrained(folder);
    expect(warn.mock.calls.length).toBe(1);
    expect(warn.mock.calls[0][0]).toMatch(
      /not used, since BertForSequenceClassification has no such weights: cls\.predictions\.bias/,
    );
    expect(warn.mock.calls[0][0]).toMatch(/start anew and want training: classifier\.bias/);
    warn.mockRestore();
  });

  test("strict loading refuses both", async () => {
    await withChanges(BERT, (tensors) => tensors.delete("classifier.bias") && tensors.set("cls.predictions.bias", one));
    await expect(open({ strict: true })).rejects.toThrow(/without classifier\.bias; with extra cls\.predictions\.bias/);
  });

  test("fields of config.json may be otherwise than stored, and are saved so; a GGUF file has none", async () => {
    await withChanges(BERT, () => {});
    const { model } = await open({ config: { hidden_dropout_prob: 0.25 } });
    await savePretrained(model, join(folder, "saved"));
    expect(await readJson(join(folder, "saved", "config.json"))).toMatchObject({ hidden_dropout_prob: 0.25 });
    await rm(join(folder, "saved"), { recursive: true });
    await writeFile(join(folder, "model.gguf"), "GGUF");
    const file = fromPretrained(join(folder, "model.gguf"), { config: { hidden_dropout_prob: 0.25 } });
    await expect(file).rejects.toThrow("no fields of config.json, which a file has not");
    await rm(join(folder, "model.gguf"));
  });

  test("a head of another size is an error, or starts anew", async () => {
    await withChanges(BERT, (tensors) => tensors.set("classifier.bias", one));
    await expect(open()).rejects.toThrow(
      /classifier\.bias: expected shape \[\d\]; received \[1\].*ignoreMismatchedSizes/,
    );
    const { warnings } = await open({ ignoreMismatchedSizes: true });
    expect(warnings[0].initialized).toEqual(["classifier.bias"]);
    expect((await open({ head: "new" })).warnings).toEqual([]);
    expect((await open({ head: "new", labels: ["a", "b", "c", "d", "e", "f", "g"] })).warnings).toEqual([]);
  });

  test("a file of another model is refused", async () => {
    await withChanges(BERT, (tensors) => {
      tensors.clear();
      tensors.set("_orig_mod.h.0.x", one).set("_orig_mod.h.1.x", one);
    });
    await expect(open()).rejects.toThrow(
      /weights of BertForSequenceClassification, such as bert\.embeddings.*received _orig_mod\.h\.\*\.x \(2\)/,
    );
  });

  test("tied weights that differ are not tied", async () => {
    const tied = golden("decoders/llama-yarn");
    const words = "model.embed_tokens.weight";
    await withChanges(tied, (tensors) => {
      const { shape, data } = tensors.get(words) as StoredTensor;
      tensors.set("lm_head.weight", { dtype: "f32", shape, data: (data as Float32Array).map((x) => 2 * x) });
    });
    const { model, notes } = await open();
    expect(notes).toEqual([
      `lm_head.weight and ${words} are stored with other numbers: they are not tied, though tie_word_embeddings is true`,
    ]);
    const state = model.namedState();
    const [head, table] = await Promise.all([state.get("lm_head.weight")?.read(), state.get(words)?.read()]);
    expect(head).toEqual((table as Float32Array).map((x) => 2 * x));
  });

  test("tied weights may be stored under either name", async () => {
    const words = "model.embed_tokens.weight";
    await withChanges(
      golden("decoders/llama-yarn"),
      (tensors) => tensors.set("lm_head.weight", tensors.get(words) as StoredTensor) && tensors.delete(words),
    );
    expect((await open()).notes).toEqual([]);
  });
});

describe("files", () => {
  const bare = async () => copyFile(join(BERT, "config.json"), join(folder, "config.json"));
  const weights = (name: string) => copyFile(join(BERT, "model.safetensors"), join(folder, name));

  test("an index without metadata, beside files that it does not name", async () => {
    await bare();
    const tensors = await tensorsOf(BERT);
    const parts = [[...tensors].slice(0, 5), [...tensors].slice(5)];
    for (const [i, part] of parts.entries())
      await writeSafetensors(join(folder, `model-0000${i + 1}-of-00002.safetensors`), new Map(part));
    const map = Object.fromEntries(
      parts.flatMap((part, i) => part.map(([name]) => [name, `model-0000${i + 1}-of-00002.safetensors`])),
    );
    await writeJson(join(folder, "model.safetensors.index.json"), { weight_map: map });
    await writeFile(join(folder, "pytorch_model.bin"), "not read, since there are safetensors");
    await writeFile(join(folder, "training_args.bin"), "not read");
    expect((await open()).warnings).toEqual([]);
  });

  test("a variant is named, and must be", async () => {
    await bare();
    await weights("model.fp16.safetensors");
    await expect(open()).rejects.toThrow(/expected one of model\.safetensors.*name the variant: \{ variant: "fp16" \}/);
    expect((await open({ variant: "fp16" })).warnings).toEqual([]);
    await expect(open({ variant: "int8" })).rejects.toThrow(
      /model\.int8\.safetensors, model\.safetensors\.index\.int8\.json/,
    );
  });

  test("a folder inside of the model's", async () => {
    const model = await fromPretrained(golden("models"), { subfolder: "bert-sequence-classification" });
    expect(model.architecture).toBe("BertForSequenceClassification");
  });

  test("adapters and other layouts are refused by name", async () => {
    await bare();
    await expect(open()).rejects.toThrow(/a folder with config\.json.*check the path/);
    await weights("consolidated.safetensors");
    await expect(open()).rejects.toThrow(/consolidated\.safetensors has a layout that is not read/);
    await weights("model.safetensors");
    await writeJson(join(folder, "adapter_config.json"), { peft_type: "LORA" });
    await expect(open()).rejects.toThrow(/adapter_config\.json.*applyAdapter/);
  });
});

describe("config.json", () => {
  const same = () => {};
  test.each<[string, Record<string, unknown>, RegExp | undefined]>([
    ["-1 for no token", { pad_token_id: -1 }, /pad_token_id: -1 is no token of a vocabulary of \d+/],
    ["no list of classes", { architectures: null }, undefined],
    ["both names of the dtype", { torch_dtype: "float16", dtype: "bfloat16" }, undefined],
    [
      "what transformers notes",
      {
        _name_or_path: "x",
        transformers_version: "4.2.0",
        use_cache: false,
        gradient_checkpointing: true,
        finetuning_task: "mrpc",
      },
      undefined,
    ],
    ["labels that begin at 1", { id2label: { 1: "a", 2: "b", 3: "c" } }, /id2label: no names for 0/],
    ["labels in another order", { id2label: { 2: "c", 0: "a", 1: "b" } }, undefined],
    ["labels that are numbers", { id2label: { 0: 0, 1: 1, 2: 2 } }, undefined],
    ["another number of labels", { id2label: { 0: "a" }, num_labels: 3 }, /num_labels: 3, but id2label has 1 names/],
  ])("%s", async (_, changes, warning) => {
    await withChanges(BERT, same, (json) => Object.assign(json, changes));
    const count = (await tensorsOf(BERT)).get("classifier.bias")?.shape[0];
    expect(count).toBe(3);
    const { notes } = await open({ task: "sequence-classification" });
    expect(notes.length).toBe(warning ? 1 : 0);
    if (warning) expect(notes[0]).toMatch(warning);
  });

  test("quantized weights and other variants are refused by name", async () => {
    await withChanges(BERT, same, (json) =>
      Object.assign(json, { quantization_config: { quant_method: "gptq", bits: 4 } }),
    );
    await expect(open()).rejects.toThrow(/quantization_config: expected weights that are not quantized; received gptq/);
    await withChanges(BERT, same, (json) => Object.assign(json, { is_decoder: true }));
    await expect(open()).rejects.toThrow(/is_decoder: expected false; received true/);
    await withChanges(golden("models/whisper"), same, (json) => Object.assign(json, { scale_embedding: true }));
    await expect(open()).rejects.toThrow(/scale_embedding: expected false/);
  });

  test("what matters in training alone is warned of", async () => {
    await withChanges(golden("models/bart"), same, (json) => Object.assign(json, { encoder_layerdrop: 0.1 }));
    expect((await open()).notes).toEqual([expect.stringMatching(/encoder_layerdrop: 0\.1 would matter in training/)]);
  });

  test("-1 for no window, and other names of keys", async () => {
    const sizes = {
      vocab_size: 32,
      hidden_size: 16,
      intermediate_size: 16,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      num_key_value_heads: 2,
    };
    const mistral = fromConfig({ model_type: "mistral", ...sizes, sliding_window: -1 }, { task: "causal-lm" });
    expect((mistral.config as unknown as { slidingWindow: unknown }).slidingWindow).toBe(null);
    const gpt2 = fromConfig(
      {
        model_type: "gpt2",
        vocab_size: 32,
        hidden_size: 16,
        num_hidden_layers: 3,
        num_attention_heads: 2,
        n_layer: 1,
        bos_token_id: 1,
        eos_token_id: 1,
      },
      { task: "causal-lm" },
    );
    expect(gpt2.config.numLayers).toBe(3);
  });

  test("LLaVA's tower is CLIP's where a part of it is told, and LLaVA 1.5's where nothing is", async () => {
    const source = JSON.parse(await readFile(join(golden("models/llava"), "config.json"), "utf8"));
    const towerOf = (vision_config?: object) => {
      const model = fromConfig({ ...source, vision_config }, { task: "image-text-to-text" });
      return (model.config as unknown as { vision: { hiddenSize: number } }).vision.hiddenSize;
    };
    expect([towerOf({ num_hidden_layers: 2 }), towerOf()]).toEqual([768, 1024]);
  });
});
