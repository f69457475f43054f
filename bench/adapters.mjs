// @ts-check
/**
 * What adapters cost: tokens a second of SmolLM2-135M (Q4_1) without and with adapters of rank 16 on all linear layers,
 * for one text and for eight, and of a prompt.
 *
 *     node bench/adapters.mjs [path of the GGUF file]
 */
import { Generator } from "../dist/generate/index.js";
import { fromPretrained } from "../dist/models/index.js";
import { namedModules, Projection } from "../dist/nn/index.js";
import { newAdapter } from "../dist/peft/index.js";
import { Device } from "../dist/runtime/index.js";
import { randomKey, setDefaultDevice } from "../dist/tensor/index.js";
import { modelFile, THREADS } from "./smollm.mjs";

const [ADAPTERS, TOKENS, PROMPT, ROUNDS] = [4, 32, 256, 5];
setDefaultDevice(new Device({ threads: THREADS }));
const path = process.argv[2] ?? modelFile();
const model = await fromPretrained(path, { task: "causal-lm", weights: "blocks" });
const plain = new Generator(model, { maxSequences: 8 });
const adapted = new Generator(model, { maxSequences: 8, maxAdapters: ADAPTERS, maxAdapterRank: 16 });

/** Random numbers for an adapter, of which many layers have the same. @param {number} seed */
async function randomAdapter(seed) {
  const adapter = await newAdapter(model, { rank: 16, targetModules: ["q_proj"] }, randomKey(seed));
  const layers = new Map();
  for (const [path, module] of namedModules(model)) {
    if (!(module instanceof Projection) || layers.has(path)) continue;
    const numbers = (/** @type {number} */ count) =>
      Float32Array.from({ length: count }, (_, i) => 0.02 * Math.sin(i + seed));
    const [a, b] = [
      [16, module.inFeatures],
      [module.outFeatures, 16],
    ].map((shape) => ({
      dtype: /** @type {const} */ ("f32"),
      shape,
      data: numbers(shape[0] * shape[1]),
    }));
    layers.set(path, { a, b });
  }
  return { ...adapter, config: { ...adapter.config, targetModules: "all-linear" }, layers };
}

/**
 * Tokens a second of texts that are written together, from their second tokens on.
 * @param {Generator} generator
 * @param {readonly (string | undefined)[]} adapters of each text
 */
async function decode(generator, adapters) {
  const settings = { temperature: 0, stopTokens: [], maxNewTokens: TOKENS };
  const prompts = adapters.map((adapter, i) => ({ ids: [1, 500 + i, 900], adapter, ...settings }));
  let [count, since] = [0, 0];
  for await (const _ of generator.generateBatch(prompts)) {
    count++;
    if (count === 2 * adapters.length) since = performance.now(); // all are being written
  }
  return ((count - 2 * adapters.length) / (performance.now() - since)) * 1000;
}

let asked = 0;
/**
 * Tokens a second of a prompt that shares nothing with others.
 * @param {Generator} generator
 * @param {string} [adapter]
 */
async function prefill(generator, adapter) {
  const ids = Array.from({ length: PROMPT }, (_, i) => 100 + asked + ((i * 37) % 2000));
  asked++;
  const since = performance.now();
  for await (const _ of generator.generate(ids, { temperature: 0, maxNewTokens: 1, adapter })) break;
  return (PROMPT / (performance.now() - since)) * 1000;
}

const adapters = await Promise.all(Array.from({ length: ADAPTERS }, (_, i) => randomAdapter(i)));
const since = performance.now();
for (const [i, adapter] of adapters.entries()) await adapted.adapters.load(`a${i}`, adapter);
console.log(`${ADAPTERS} adapters loaded in ${Math.round(performance.now() - since)} ms`);

const eight = (/** @type {(i: number) => string | undefined} */ of) => Array.from({ length: 8 }, (_, i) => of(i));
const none = () => undefined;
/** Each kind, and the one that it is compared with. @type {[string, () => Promise<number>, string?][]} */
const kinds = [
  ["1 text", () => decode(plain, [undefined])],
  ["1 text, room for adapters", () => decode(adapted, [undefined]), "1 text"],
  ["1 text with an adapter", () => decode(adapted, ["a0"]), "1 text"],
  ["8 texts", () => decode(plain, eight(none))],
  [
    "8 texts with an adapter",
    () =>
      decode(
        adapted,
        eight(() => "a0"),
      ),
    "8 texts",
  ],
  [
    `8 texts with ${ADAPTERS} adapters`,
    () =>
      decode(
        adapted,
        eight((i) => `a${i % ADAPTERS}`),
      ),
    "8 texts",
  ],
  ["prompt", () => prefill(plain)],
  ["prompt with an adapter", () => prefill(adapted, "a0"), "prompt"],
];
/** The best of some rounds, in each of which all have their turn. @type {Map<string, number>} */
const best = new Map();
for (let round = 0; round <= ROUNDS; round++)
  for (const [name, run] of kinds) {
    const tokens = await run();
    if (round > 0) best.set(name, Math.max(best.get(name) ?? 0, tokens)); // the first compiles
  }
for (const [name, , base] of kinds) {
  const tokens = best.get(name) ?? 0;
  const ratio = base === undefined ? "" : ` (${Math.round((100 * tokens) / (best.get(base) ?? 0))} %)`;
  console.log(`${name.padEnd(32)} ${tokens.toFixed(1).padStart(7)} tokens/s${ratio}`);
}
process.exit(0);
