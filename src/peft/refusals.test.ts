/** What of an adapter's folder is not followed, or does not fit, is said by name. */
import { expect, test } from "vitest";
import { memoryFolder } from "../files/index.ts";
import { LlamaForCausalLM, llamaConfig, savePretrained } from "../models/index.ts";
import { randomKey } from "../tensor/index.ts";
import { applyAdapter, newAdapter, readAdapter } from "./index.ts";

const model = () =>
  new LlamaForCausalLM(
    llamaConfig({ vocabSize: 20, hiddenSize: 8, intermediateSize: 12, numLayers: 2, numHeads: 2, numKeyHeads: 2 }),
    randomKey(1),
  );
const base = { peft_type: "LORA", r: 2, target_modules: ["q_proj"] };
const read = (json: object, tensors: Record<string, unknown> = {}) => {
  const header = new TextEncoder().encode(JSON.stringify(tensors));
  const bytes = new Uint8Array(8 + header.length);
  new DataView(bytes.buffer).setUint32(0, header.length, true);
  bytes.set(header, 8);
  return readAdapter(
    memoryFolder({ "adapter_config.json": JSON.stringify(json), "adapter_model.safetensors": bytes }, "adapter"),
  );
};

test.each<[object, RegExp]>([
  [{ peft_type: "BOFT" }, /peft_type: expected one of "LORA", "IA3", .*; received "BOFT"/],
  [{ target_parameters: ["experts.gate_up_proj"] }, /target_parameters: expected nothing there/],
  [{ trainable_token_indices: [1] }, /trainable_token_indices/],
  [{ layer_replication: [[0, 2]] }, /layer_replication/],
  [{ init_lora_weights: "pissa" }, /init_lora_weights/],
  [{ something_new: true }, /something_new/],
  [{ r: 0 }, /, r: expected/],
  [{ r: 1e9 }, /, r: expected/],
  [{ rank_pattern: { q_proj: -1 } }, /rank_pattern/],
  [{ bias: "some" }, /bias: expected one of none, all, lora_only/],
  [{ target_modules: null }, /target_modules: expected the layers/],
  [{ use_dora: "yes" }, /use_dora: expected true or false/],
])("%j", async (json, message) => {
  await expect(read({ ...base, ...json })).rejects.toThrow(message);
});

test("keys that ask for nothing are no matter", async () => {
  const quiet = {
    megatron_config: null,
    use_qalora: false,
    loftq_config: {},
    target_parameters: [],
    peft_version: "1",
  };
  expect((await read({ ...base, ...quiet })).config).toMatchObject({ rank: 2 });
});

test("a folder without weights, and tensors by other names", async () => {
  const config = JSON.stringify(base);
  await expect(readAdapter(memoryFolder({ "adapter_config.json": config }))).rejects.toThrow("neither");
  const empty = { dtype: "F32", shape: [0], data_offsets: [0, 0] };
  await expect(read(base, { "layers.0.q_proj.lora_A.weight": empty })).rejects.toThrow("base_model.model.");
  await expect(read(base, { "base_model.model.q_proj.lora_C.weight": empty })).rejects.toThrow("lora_A.weight");
});

test("an adapter that does not fit says what is missing, extra or misshapen, and changes nothing", async () => {
  const llama = model();
  const adapter = await newAdapter(llama, { rank: 2, targetModules: ["q_proj"] }, randomKey(2));
  const without = new Map(adapter.layers);
  const [path] = without.keys();
  without.delete(path);
  const apply = (changes: Partial<typeof adapter>) => () => applyAdapter(llama, { ...adapter, ...changes });
  expect(apply({ layers: without })).toThrow(`without ${path} a, ${path} b`);
  const parts = adapter.layers.get(path) as NonNullable<ReturnType<typeof adapter.layers.get>>;
  expect(apply({ layers: new Map(adapter.layers).set("model.norm", parts) })).toThrow("extra model.norm a");
  expect(apply({ config: { ...adapter.config, rank: 3 } })).toThrow("shape [3, 8]; received [2, 8]");
  expect(apply({ config: { ...adapter.config, targetModules: ["query"] } })).toThrow("of which it has none");
  expect(apply({ config: { ...adapter.config, targetModules: "(q_proj" } })).toThrow("a regular expression");
  expect(apply({ config: { ...adapter.config, targetModules: ["mlp"] } })).toThrow("a linear layer or an embedding");
  expect([...llama.namedState().keys()].some((key) => key.includes("lora"))).toBe(false);
  const applied = applyAdapter(llama, adapter);
  expect(apply({})).toThrow("one at model.layers.0.self_attn.q_proj");
  applied.remove();
  applyAdapter(llama, adapter);
});

test("a model with an adapter beside its weights is not saved as if it had none", async () => {
  const llama = model();
  applyAdapter(llama, await newAdapter(llama, { targetModules: ["q_proj"] }, randomKey(2)));
  await expect(savePretrained(llama, "nowhere")).rejects.toThrow(/received .*lora_A.weight. Fix: merge the adapter/);
});

test.each([
  ["models/tiny", "someone/other", ["it was made for someone/other, and the model is models/tiny"]],
  ["models/Tiny", "someone/tiny", []],
  ["hub/models--someone--tiny/snapshots/0123abc", "someone/tiny", []],
])("an adapter for another model is warned of: %s, made for %s", async (place, baseModel, expected) => {
  const llama = Object.assign(model(), { source: memoryFolder({}, place) });
  const adapter = await newAdapter(llama, { targetModules: "all-linear", baseModel }, randomKey(2));
  const notes: string[] = [];
  applyAdapter(llama, adapter, { onWarning: (warning) => notes.push(...warning.notes) });
  expect(notes).toEqual(expected);
});
