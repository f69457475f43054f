// @ts-check
/** Packs the package, installs it in an empty folder as a user would, and tries every entry. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = mkdtempSync(join(tmpdir(), "kindling-package-"));
const npm = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : ["npm"];
/**
 * So that nothing gets in that does not belong there: the code, its types and pages are 2,010 KiB, the joined program
 * 920.
 */
const LARGEST_KIB = 3100;
/** Rooms that a page may import whole. */
const inPages = [
  "tensor",
  "nn",
  "losses",
  "optim",
  "onnx",
  "files",
  "hub",
  "tokenizers",
  "processors",
  "models",
  "generate",
  "peft",
  "pipelines",
];
let checks = 0;

/** @param {string} what @param {boolean} isFine */
function check(what, isFine) {
  if (!isFine) throw new Error(`package: ${what}`);
  checks++;
}

/** @param {string[]} command @param {string} cwd @param {Record<string, string>} [env] */
function run([program, ...args], cwd, env = {}) {
  return execFileSync(program, args, {
    cwd,
    encoding: "utf8",
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
}

try {
  run([...npm, "run", "--silent", "prepack"], root); // apart: what it prints would stand in the way of pack's JSON
  const [{ filename, files }] = JSON.parse(
    run([...npm, "pack", "--json", "--ignore-scripts", "--pack-destination", folder], root),
  );
  const kib = Math.round(statSync(join(folder, filename)).size / 1024);
  check(`the tarball is ${kib} KiB, at most ${LARGEST_KIB}`, kib <= LARGEST_KIB);
  const paths = files.map((/** @type {{ path: string }} */ file) => file.path);
  check("no tests inside", !paths.some((/** @type {string} */ path) => /\.test\.|testing\//.test(path)));
  for (const path of ["dist/cli/main.js", "dist/runtime/worker.mjs", "README.md", "LICENSE", "NOTICE"])
    check(`${path} is inside`, paths.includes(path));

  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "user", private: true, type: "module" }));
  run([...npm, "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefer-offline", `./${filename}`], folder, {
    ONNXRUNTIME_NODE_INSTALL: "skip",
  });

  const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  for (const subpath of Object.keys(exports).filter((path) => !path.endsWith(".json"))) {
    const name = `kindling${subpath.slice(1)}`;
    const count = run(
      [process.execPath, "--input-type=module", "-e", `console.log(Object.keys(await import("${name}")).length)`],
      folder,
    );
    check(`${name} exports something`, Number(count) > 0);
  }
  const program = join(folder, "node_modules", "kindling", "dist", "cli", "main.js");
  const help = run([process.execPath, program, "--help"], folder);
  check("kindling --help", help.includes("Train a model as a config says"));
  check("kindling doctor starts the runtime", run([process.execPath, program, "doctor"], folder).includes("starts"));
  const script = `import { tensor, mul } from "kindling"; console.log(JSON.stringify(await mul(tensor([1, 2, 3]), 2).toArray()))`;
  check("a computation", run([process.execPath, "--input-type=module", "-e", script], folder).trim() === "[2,4,6]");
  const page = {
    contents: `import * as kindling from "kindling";
      ${inPages.map((room) => `import * as ${room} from "kindling/${room}";`).join("\n")}
      console.log(kindling, ${inPages.join(", ")})`,
    resolveDir: folder,
  };
  const bundle = await build({
    stdin: page,
    bundle: true,
    format: "esm",
    platform: "browser",
    write: false,
    logLevel: "silent",
    external: ["onnxruntime-web/webgpu"],
  });
  const text = bundle.outputFiles[0].text;
  check(
    "a bundle for the browser has nothing of Node in it",
    !/["']node:\w+/.test(text) && text.includes("onnxruntime-web/webgpu"),
  );
  console.log(`package: ${checks} checks passed (${kib} KiB, ${paths.length} files)`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
