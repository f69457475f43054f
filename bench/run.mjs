// @ts-check
/**
 * `npm run bench -- [name] [options]`: runs one benchmark, or all but those on request. Each prints ratios against a
 * peer in the same run.
 * `--smallest` runs them once at the least size, to see that they work.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { benchFolder, torchPython } from "./torch-python.mjs";

const benchmarks = ["compare", "nanogpt", "limits", "passes", "loading", "decode", "streams", "start", "overhead"];
/** By their names alone: their peers are large to fetch, or they take minutes. */
const onRequest = [
  ...["embeddings", "transformers-js", "soak", "loss-memory", "doctor-accuracy", "finetune", "tokenise"],
];
const name = process.argv.slice(2, 3).find((arg) => !arg.startsWith("--"));
const args = process.argv.slice(name === undefined ? 2 : 3);
if (name !== undefined && ![...benchmarks, ...onRequest].includes(name)) {
  console.error(`there is no benchmark "${name}"; there are: ${[...benchmarks, ...onRequest].join(", ")}`);
  process.exit(1);
}
torchPython(); // set up once, before anything is timed
for (const benchmark of name ? [name] : benchmarks) {
  console.log(`\n## ${benchmark}`);
  const { status } = spawnSync(process.execPath, [join(benchFolder, `${benchmark}.mjs`), ...args], {
    stdio: "inherit",
  });
  if (status !== 0) process.exit(status ?? 1);
}
