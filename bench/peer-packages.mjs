// @ts-check
/** Packages of npm that benchmarks compare with, each installed once beside them. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { benchFolder } from "./torch-python.mjs";

/** The folder with transformers.js. */
export const transformersJsFolder = () => peerFolder("transformers-js", ["@huggingface/transformers@4"]);

/** The folder with node-llama-cpp, and of the packages with its libraries the one for this machine. */
export function llamaFolder() {
  const library = `@node-llama-cpp/${process.platform}-${process.arch}@3.22.1`
    .replace("darwin", "mac")
    .replace("win32", "win");
  return peerFolder("llama", ["--omit=optional", "node-llama-cpp@3.22.1", library]);
}

/**
 * A folder with packages, installed without their scripts.
 * @param {string} name of the folder
 * @param {string[]} packages and npm's options for them
 */
function peerFolder(name, packages) {
  const folder = join(benchFolder, "peers", name);
  if (existsSync(join(folder, "node_modules"))) return folder;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), "{}");
  const options = ["install", "--no-audit", "--no-fund", "--ignore-scripts", ...packages];
  if (spawnSync("npm", options, { cwd: folder, stdio: "inherit" }).status !== 0)
    throw new Error(`${packages.join(" ")} could not be installed`);
  return folder;
}
