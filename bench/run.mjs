// @ts-check
/** `npm run bench -- [name] [options]`: runs one benchmark, or all. Each prints ratios against PyTorch in the same run. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { benchFolder, torchPython } from "./torch-python.mjs";

const benchmarks = ["compare", "nanogpt", "limits", "passes", "loading"];
const [name, ...args] = process.argv.slice(2);
if (name !== undefined && !benchmarks.includes(name)) {
  console.error(`there is no benchmark "${name}"; there are: ${benchmarks.join(", ")}`);
  process.exit(1);
}
torchPython(); // set up once, before anything is timed
for (const benchmark of name ? [name] : benchmarks) {
  console.log(`\n## ${benchmark}`);
  const { status } = spawnSync(process.execPath, [join(benchFolder, `${benchmark}.mjs`), ...args], { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
