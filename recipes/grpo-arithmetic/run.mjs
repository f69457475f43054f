// Data, first training, GRPO, and exact match on sums that no training has seen before and after it, as JSON.
//   node recipes/grpo-arithmetic/run.mjs [--seed 0] [--sft-steps 500] [--steps 500]
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Generator } from "kindling/generate";
import { fromPretrained } from "kindling/models";
import { Tokenizer } from "kindling/tokenizers";
import { numbersOf, trained } from "../common/train.mjs";
import { sums, writeData } from "./data.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const { seed, ...steps } = numbersOf({ seed: 0, "sft-steps": undefined, steps: undefined });
await writeData(join(here, "data"), seed);
const { test } = sums(seed);

/** Share of the test's sums that a model answers rightly: with the likeliest answer, and with one that is drawn. */
async function exactMatch(folder) {
  const [model, tokenizer] = [await fromPretrained(folder, { task: "causal-lm" }), await Tokenizer.open(folder)];
  const generator = new Generator(model, { maxSequences: 128 });
  const shares = {};
  for (const [name, settings] of [
    ["greedy", { doSample: false }],
    ["drawn", { doSample: true, temperature: 1 }],
  ]) {
    const ids = await Promise.all(test.map(({ prompt }) => tokenizer.encode(prompt)));
    const prompts = ids.map((each, row) => ({ ids: each, maxNewTokens: 4, seed: row, ...settings }));
    const answers = test.map(() => []);
    for await (const { row, id } of generator.generateBatch(prompts)) answers[row].push(id);
    const texts = await Promise.all(answers.map((answer) => tokenizer.decode(answer)));
    shares[name] = texts.filter((text, i) => text === test[i].answer).length / test.length;
  }
  generator.dispose();
  model.dispose();
  return shares;
}

/** Trains by the config of that name. grpo.yaml goes on from the result of sft.yaml. */
const train = (name, count) =>
  trained(join(here, `${name}.yaml`), { output: join(here, "runs", name), seed, steps: count });

const sft = await train("sft", steps["sft-steps"]);
const start = await exactMatch(sft.path);
console.error("before GRPO", start);
const grpo = await train("grpo", steps.steps);
const end = await exactMatch(grpo.path);
const result = { seed, sftSteps: sft.steps, steps: grpo.steps, start, end };
console.log(JSON.stringify({ ...result, sftSeconds: sft.seconds, grpoSeconds: grpo.seconds }));
process.exit(0);
