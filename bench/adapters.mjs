// @ts-check
/**
 * What adapters cost: tokens a second of SmolLM2-135M (Q4_1) without and with adapters of rank 16 on all linear layers,
 * for one text and for eight, and of a prompt.
 *
 *     node bench/adapters.mjs [path of the GGUF file]
 */
import { Generator } from "../dist/generate/index.js";
import { fromPretrained } from "../dist/models/index.js";
import { newAdapter } from "../dist/peft/index.js";
import { Device } from "../dist/runtime/index.js";
import { normal, randomKey, setDefaultDevice } from "../dist/tensor/index.js";
import { modelFile, THREADS } from "./smollm.mjs";

const [ADAPTERS, TOKENS, PROMPT] = [4, 48, 256];
setDefaultDevice(new Device({ threads: THREADS }));
const path = process.argv[2] ?? modelFile();
const model = await fromPretrained(path, { task: "causal-lm", weights: "blocks" });
const plain = new Generator(model, { maxSequences: 8 });

/** @param {number} seed */
async function randomAdapter(seed) {
  const adapter = await newAdapter(model, { rank: 16, targetModules: "all-linear" }, randomKey(seed));
  const layers = new Map();
  for (const [name, parts] of adapter.layers) {
    const { shape } = /** @type {import("../dist/nn/index.js").StateTensor} */ (parts.b);
    const data = await normal(randomKey(seed), shape, { standardDeviation: 0.01 }).read();
    layers.set(name, { ...parts, b: { dtype: /** @type {const} */ ("f32"), shape, data } });
  }
  return { ...adapter, layers };
}

/**
 * Tokens a second of texts that are written together, the best of three.
 * @param {Generator} generator
 * @param {readonly (string | undefined)[]} adapters of each text
 */
async function decode(generator, adapters) {
  const settings = { temperature: 0, stopTokens: [], maxNewTokens: TOKENS };
  let best = 0;
  for (let round = 0; round < 3; round++) {
    const prompts = adapters.map((adapter, i) => ({ ids: [1, 500 + i, 900 + round], adapter, ...settings }));
    let [count, since] = [0, 0];
    for await (const _ of generator.generateBatch(prompts)) {
      count++;
      if (count === 2 * adapters.length) since = performance.now(); // all are being written
    }
    best = Math.max(best, ((count - 2 * adapters.length) / (performance.now() - since)) * 1000);
  }
  return best;
}

/**
 * Tokens a second of a prompt, the best of three.
 * @param {Generator} generator
 * @param {string | undefined} adapter
 */
async function prefill(generator, adapter) {
  let best = 0;
  for (let round = 0; round < 4; round++) {
    const ids = Array.from({ length: PROMPT }, (_, i) => 100 + round + ((i * 37) % 2000));
    const since = performance.now();
    for await (const _ of generator.generate(ids, { temperature: 0, maxNewTokens: 1, adapter })) break;
    if (round > 0) best = Math.max(best, (PROMPT / (performance.now() - since)) * 1000);
  }
  return best;
}

/** @param {string} what @param {number} tokens @param {number} [base] */
function report(what, tokens, base) {
  const ratio = base === undefined ? "" : ` (${Math.round((100 * tokens) / base)} %)`;
  console.log(`${what.padEnd(44)} ${tokens.toFixed(1).padStart(7)} tokens/s${ratio}`);
}

const eight = (/** @type {(i: number) => string | undefined} */ of) => Array.from({ length: 8 }, (_, i) => of(i));
const base = {
  one: await decode(plain, [undefined]),
  eight: await decode(
    plain,
    eight(() => undefined),
  ),
  prompt: await prefill(plain, undefined),
};
plain.dispose();
await new Promise((resolve) => setTimeout(resolve, 50));
const adapted = new Generator(model, { maxSequences: 8, maxAdapters: ADAPTERS, maxAdapterRank: 16 });
const since = performance.now();
for (let i = 0; i < ADAPTERS; i++) await adapted.adapters.load(`a${i}`, await randomAdapter(i));
console.log(`${ADAPTERS} adapters made and loaded in ${Math.round(performance.now() - since)} ms`);
report("1 text", base.one);
report("1 text, room for adapters", await decode(adapted, [undefined]), base.one);
report("1 text with an adapter", await decode(adapted, ["a0"]), base.one);
report("8 texts", base.eight);
report(
  "8 texts, one adapter",
  await decode(
    adapted,
    eight(() => "a0"),
  ),
  base.eight,
);
report(
  `8 texts, ${ADAPTERS} adapters`,
  await decode(
    adapted,
    eight((i) => `a${i % ADAPTERS}`),
  ),
  base.eight,
);
report("prompt", base.prompt);
report("prompt with an adapter", await prefill(adapted, "a0"), base.prompt);
process.exit(0);
