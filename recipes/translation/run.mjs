// Data, training, and the quality of the translations of verses that no training has seen, as JSON.
//   node recipes/translation/run.mjs [--seed 0] [--steps 1000]
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Seq2SeqGenerator } from "kindling/generate";
import { metricsOf } from "kindling/metrics";
import { fromPretrained } from "kindling/models";
import { Tokenizer } from "kindling/tokenizers";
import { writeOrder } from "../common/order.mjs";
import { numbersOf, trained } from "../common/train.mjs";
import { writeData } from "./data.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const LONGEST = 64; // tokens of a translation
const { seed, steps } = numbersOf({ seed: 0, steps: undefined });
await writeData(join(here, "data"));
const rowsOf = (name) =>
  readFileSync(join(here, "data", `${name}.jsonl`), "utf8")
    .trim()
    .split("\n")
    .map(JSON.parse);
const run = await trained(join(here, "config.yaml"), { output: join(here, "runs", `seed-${seed}`), seed, steps });

const tokenizer = await Tokenizer.open(join(here, "data", "tokenizer"));
/** How many tokens a text has. */
const lengthOf = async (text) => (await tokenizer.encode(text)).length;
const lengths = await Promise.all(
  rowsOf("train").map(async ({ source, target }) => (await lengthOf(source)) + (await lengthOf(target)) + 1),
);
await writeOrder(join(here, "data", `order-${seed}.json`), lengths, { seed, ...run });

const model = await fromPretrained(run.path, { task: "seq2seq-lm" });
const generator = new Seq2SeqGenerator(model);
const test = rowsOf("test");
const settings = { maxNewTokens: LONGEST, numBeams: 1, temperature: 0 };
const sources = await Promise.all(test.map(({ source }) => tokenizer.encode(source)));
const written = test.map(() => []);
const requests = sources.map((inputIds) => ({ source: { inputIds }, ...settings }));
for await (const { row, id } of generator.generateBatch(requests)) written[row].push(id);
const texts = await Promise.all(written.map((ids) => tokenizer.decode(ids)));
const metric = metricsOf("seq2seq", { language: "zh" });
const references = test.map(({ target }) => target);
metric.add(texts, references);
for (const i of [0, 1, 2]) console.error(`${test[i].source}\n  -> ${texts[i]}\n  for ${references[i]}`);
const { bleu, chrf } = metric.result();
console.log(JSON.stringify({ seed, steps: run.steps, bleu, chrf, seconds: run.seconds }));
process.exit(0);
