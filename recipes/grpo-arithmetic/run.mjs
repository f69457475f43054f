// Data, first training, GRPO, and exact match on sums that no training has seen.
//   node recipes/grpo-arithmetic/run.mjs [--seed 0] [--sft-steps 400] [--steps 400]
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Generator } from "kindling/generate";
import { methods, readConfigFile, runMethod } from "kindling/methods";
import { fromPretrained } from "kindling/models";
import { Tokenizer } from "kindling/tokenizers";
import { sums, writeData } from "./data.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const options = { seed: "0", "sft-steps": "400", steps: "400" };
const { values } = parseArgs({
  options: Object.fromEntries(
    Object.entries(options).map(([name, value]) => [name, { type: "string", default: value }]),
  ),
});
const [seed, sftSteps, steps] = Object.keys(options).map((name) => Number(values[name]));
await writeData(join(here, "data"), seed);
const { test } = sums(seed);

/** Share of the test's sums that a model answers rightly: the likeliest answer, and ones that are drawn. */
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

/** Trains by a config; -> seconds */
async function train(name, stepCount) {
  const output = join(here, "runs", name);
  const overrides = [`output=${JSON.stringify(output)}`, `training.seed=${seed}`, `training.steps=${stepCount}`];
  const resolved = await readConfigFile(join(here, `${name}.yaml`), overrides, methods);
  const started = performance.now();
  for await (const event of runMethod(resolved, { restart: true, onWarning: console.warn })) {
    if (event.type === "step" && event.step % 50 === 0)
      console.log(
        `${name} ${event.step}: loss ${event.loss.toFixed(4)}, reward ${event.metrics.reward?.toFixed(3) ?? "-"}`,
      );
    if (event.type === "evaluation") console.log(`${name} ${event.step}: exact match ${event.metrics.reward}`);
  }
  return (performance.now() - started) / 1000;
}

const sftSeconds = await train("sft", sftSteps);
const start = await exactMatch(join(here, "runs/sft/model"));
console.log("before GRPO", start);
const grpoSeconds = await train("grpo", steps);
const end = await exactMatch(join(here, "runs/grpo/model"));
console.log("after GRPO", end);
const result = { seed, sftSteps, steps, start, end, sftSeconds, grpoSeconds };
await writeFile(join(here, "runs", "result.json"), `${JSON.stringify(result, null, 2)}\n`);
console.log(result);
process.exit(0);
