// @ts-check
/**
 * What picking a token costs beside the model: processors, limits and log probabilities over logits of a vocabulary.
 * node bench/picking.mjs [vocabulary, default 151936]
 */
import { TokenPicker } from "../dist/generate/index.js";
import { isSmallest, median } from "./torch-python.mjs";

const vocabSize = Number(process.argv.slice(2).find((arg) => !arg.startsWith("--")) ?? 151_936);
const PROMPT_TOKENS = 2000;
const ROUNDS = isSmallest ? 3 : 60;
/** Tokens of each text that are likelier than by chance. */
const LIKELY = 200;

/** @type {Record<string, object>} */
const cases = {
  greedy: { temperature: 0 },
  "temperature, top 50": { temperature: 0.7 },
  "temperature, top 50, top p 0.9": { temperature: 0.7, topP: 0.9 },
  "temperature, top p 0.9": { temperature: 0.7, topK: 0, topP: 0.9 },
  "temperature, min p 0.05": { temperature: 0.7, topK: 0, minP: 0.05 },
  "temperature, typical p 0.9": { temperature: 0.7, topK: 0, typicalP: 0.9 },
  "temperature alone": { temperature: 0.7, topK: 0 },
  "mirostat 2": { mirostat: 2 },
  "repetition, presence, frequency, top 50": {
    temperature: 0.7,
    repetitionPenalty: 1.1,
    presencePenalty: 0.5,
    frequencyPenalty: 0.3,
  },
  "3-grams, DRY, bad words, greedy": {
    temperature: 0,
    noRepeatNgramSize: 3,
    dryMultiplier: 0.8,
    badWordsIds: [[1, 2], [3]],
  },
  "greedy, 5 log probabilities": { temperature: 0, topLogprobs: 5 },
};

let state = 1;
function random() {
  state = (state * 1664525 + 1013904223) >>> 0;
  return (state + 1) / 2 ** 32;
}
const normal = () => Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
const base = Float32Array.from({ length: vocabSize }, () => 2.5 * normal());
const prompt = Array.from({ length: PROMPT_TOKENS }, () => Math.floor(random() * (vocabSize - 1)));
const model = { config: { eosTokenId: null }, generationConfig: {} };

console.log(`${vocabSize} tokens in the vocabulary, ${PROMPT_TOKENS} in the prompt; ms for one, median of ${ROUNDS}`);
for (const [name, options] of Object.entries(cases)) {
  const picker = new TokenPicker(model, prompt, prompt, { seed: 1, ...options });
  const logits = new Float32Array(vocabSize);
  const times = Array.from({ length: ROUNDS }, (_, round) => {
    logits.set(base);
    for (let i = 0; i < LIKELY; i++) logits[(round * 7919 + i * 104_729) % vocabSize] += 3;
    const start = performance.now();
    picker.next(logits);
    return performance.now() - start;
  });
  console.log(`${name.padEnd(42)} ${median(times).toFixed(3)}`);
}
