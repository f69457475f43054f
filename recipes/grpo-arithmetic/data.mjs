// Writes data/: sums of two numbers below 50, with two digits each, by a seed. No sum is in two of the files that
// train.jsonl, validation.jsonl and test.jsonl are; first.jsonl has those of train.jsonl, often with a wrong answer.
//   node recipes/grpo-arithmetic/data.mjs [--seed 0]
import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const LARGEST = 49;
const [TEST_SUMS, VALIDATION_SUMS] = [300, 100];
/** How often each sum is in the first training, and the share of these rows that has a wrong answer. */
const [COPIES, WRONG_SHARE] = [3, 0.4];
const END = ".";
/** A message as it stands; an answer ends with the token for the end. */
const TEMPLATE =
  "{% for message in messages %}{{ message.content }}{% if message.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}";

/** Numbers from 0 to below 1 (mulberry32). */
function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

function shuffled(values, random) {
  const list = [...values];
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [list[i], list[j]] = [list[j], list[i]];
  }
  return list;
}

/** Another number of the size of an answer: off by one or by ten, as from a carry that was forgotten. */
const wrongOf = (answer, random) => Math.abs(answer + [1, -1, 10, -10][Math.floor(random() * 4)]);

const two = (number) => String(number).padStart(2, "0");

/** The rows of all files. */
export function sums(seed) {
  const random = randomOf(seed);
  const numbers = Array.from({ length: LARGEST + 1 }, (_, i) => i);
  const pairs = numbers.flatMap((a) => numbers.map((b) => [a, b]));
  const rows = shuffled(pairs, random).map(([a, b]) => ({ prompt: `${two(a)}+${two(b)}=`, answer: two(a + b) }));
  const known = TEST_SUMS + VALIDATION_SUMS;
  const parts = { test: rows.slice(0, TEST_SUMS), validation: rows.slice(TEST_SUMS, known), train: rows.slice(known) };
  const first = Array.from({ length: COPIES }, () => parts.train).flatMap((copy) =>
    copy.map(({ prompt, answer }) => {
      const isWrong = random() < WRONG_SHARE;
      return { prompt, completion: isWrong ? two(wrongOf(Number(answer), random)) : answer };
    }),
  );
  return { first, ...parts };
}

/** The files of a tokenizer with a token for each character. */
export function tokenizerFiles() {
  const vocab = Object.fromEntries([END, ..."0123456789+="].map((text, id) => [text, id]));
  const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  return {
    "tokenizer.json": {
      version: "1.0",
      added_tokens: [{ id: 0, content: END, ...plain }],
      normalizer: null,
      pre_tokenizer: null,
      post_processor: null,
      decoder: { type: "Fuse" },
      model: { type: "BPE", vocab, merges: [] },
    },
    "tokenizer_config.json": {
      tokenizer_class: "PreTrainedTokenizerFast",
      eos_token: END,
      pad_token: END,
      chat_template: TEMPLATE,
    },
  };
}

/** Writes everything into a folder. */
export async function writeData(folder, seed) {
  await mkdir(`${folder}/tokenizer`, { recursive: true });
  for (const [name, rows] of Object.entries(sums(seed)))
    await writeFile(`${folder}/${name}.jsonl`, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  for (const [name, content] of Object.entries(tokenizerFiles()))
    await writeFile(`${folder}/tokenizer/${name}`, JSON.stringify(content));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { seed: { type: "string", default: "0" } } });
  await writeData(fileURLToPath(new URL("data", import.meta.url)), Number(values.seed));
}
