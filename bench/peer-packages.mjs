// @ts-check
/** Packages of npm that benchmarks compare with, each installed once beside them. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { benchFolder } from "./torch-python.mjs";

/** The folder with transformers.js. */
export function transformersJsFolder() {
  const folder = join(benchFolder, "peers", "transformers-js");
  if (existsSync(join(folder, "node_modules"))) return folder;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), "{}");
  const options = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "@huggingface/transformers@4"];
  if (spawnSync("npm", options, { cwd: folder, stdio: "inherit" }).status !== 0)
    throw new Error("@huggingface/transformers could not be installed");
  return folder;
}
