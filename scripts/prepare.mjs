// @ts-check
/**
 * Runs before `npm start` and `npm test`: installs the dependencies when they are missing or out of date, then builds
 * when a source is newer than the build. Uses nothing but Node, since nothing may be installed yet.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { isInstalled } from "./installed.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const OLDEST_NODE = 20;

/** @param {string} program @param {string[]} args @param {string} failure */
function run(program, args, failure) {
  const isScript = program.endsWith(".js") || program.endsWith(".cjs");
  const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: "skip" };
  const { status } = spawnSync(isScript ? process.execPath : program, isScript ? [program, ...args] : args, {
    cwd: root,
    stdio: "inherit",
    env,
    shell: !isScript && process.platform === "win32",
  });
  if (status === 0) return;
  console.error(failure);
  process.exit(status ?? 1);
}

if (Number(process.versions.node.split(".")[0]) < OLDEST_NODE) {
  console.error(`Kindling needs Node ${OLDEST_NODE} or newer; this is ${process.version}.`);
  process.exit(1);
}

const installed = join(root, "node_modules", ".kindling-installed");
const lock = createHash("sha256")
  .update(readFileSync(join(root, "package-lock.json")))
  .digest("hex");
if ((!existsSync(installed) || readFileSync(installed, "utf8") !== lock) && !isInstalled(root)) {
  console.log("installing dependencies (npm ci) ...");
  run(
    process.env.npm_execpath ?? "npm",
    ["ci", "--no-audit", "--no-fund", "--loglevel=error"],
    "npm ci failed: see above. Is the npm registry reachable?",
  );
  mkdirSync(dirname(installed), { recursive: true });
  writeFileSync(installed, lock);
}

/** Newest change below a path. @param {string} path @returns {number} */
function newest(path) {
  const info = statSync(path);
  if (!info.isDirectory()) return info.mtimeMs;
  return readdirSync(path).reduce((latest, name) => Math.max(latest, newest(join(path, name))), info.mtimeMs);
}

const marker = join(root, "dist", ".built");
const sources = ["src", "tsconfig.json", "tsconfig.build.json", "package.json"].map((name) => newest(join(root, name)));
if (!existsSync(marker) || statSync(marker).mtimeMs < Math.max(...sources)) {
  console.log("building ...");
  rmSync(join(root, "dist"), { recursive: true, force: true });
  for (const script of [
    [join("node_modules", "typescript", "bin", "tsc"), "-p", "tsconfig.build.json"],
    [join("scripts", "bundle-cli.mjs")],
  ])
    run(process.execPath, script, "the build failed: see above");
  writeFileSync(marker, "");
}
