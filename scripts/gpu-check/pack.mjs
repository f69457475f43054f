// @ts-check
/**
 * Makes one archive with all that the check of a GPU needs on a bare Linux x64 machine: Node, ONNX Runtime, the built
 * package, the golden files of the ops, the workloads of the benchmark, Vulkan's loader. On a Debian or Ubuntu x64.
 *   node scripts/gpu-check/pack.mjs [ARCHIVE, or FOLDER/ to leave it unpacked]
 *   node scripts/gpu-check/pack.mjs --cuda [ARCHIVE]   the CUDA provider, to be unpacked over the first
 */
import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { keepArchitecture } from "./fatbin.mjs";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const require = createRequire(join(root, "package.json"));
const LARGEST_BYTES = 60e6;

/** Modules of src/testing/ that the parts use. The package has none of them: parts that need one name src/ for all. */
const testingModules = ["close", "golden-case", "op-table", "check-program", "random-graph"];

/** Vulkan's loader, and what NVIDIA's driver loads beside itself, which a container may lack. */
const debianPackages = [
  ...["libvulkan1", "libglvnd0", "libegl1", "libglx0", "libgl1", "libopengl0", "libgles2"],
  ...["libx11-6", "libxext6", "libxcb1", "libxau6", "libxdmcp6", "libbsd0", "libmd0"],
];

/** Packages that are loaded by name when the program runs, so that no bundler sees them. */
const packagesByName = [
  ...["onnxruntime-node", "onnxruntime-common", "koffi", "@koromix/koffi-linux-x64"],
  ...["ml-matrix", "is-any-array", "ml-array-rescale", "ml-array-max", "ml-array-min"],
];

/** Files of a package that no program loads. @param {string} path */
export const isNeeded = (path) =>
  !/\.([cm]?ts|map|md|txt|h|c|cc|cpp|gz)$|(^|\/)(tests?|docs?|vendor)(\/|$)/.test(path) &&
  !/bin\/napi-v\d+\/(?!linux$|linux\/x64(\/|$))./.test(path);

/** The package that a file in node_modules belongs to. @param {string} path @returns {string | undefined} */
export function packageOf(path) {
  const [, name] = /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)(?!.*\/node_modules\/)/.exec(path) ?? [];
  return name;
}

/** @param {string} program @param {string[]} args @param {string} [cwd] */
const run = (program, args, cwd = root) => execFileSync(program, args, { cwd, stdio: ["ignore", "ignore", "inherit"] });

/** @param {string} stage */
function copyProgram(stage) {
  if (!existsSync(join(root, "dist", "index.js"))) throw new Error("the package is not built: npm run build");
  for (const path of [
    "dist",
    "golden/ops",
    "scripts/gpu-check",
    "bench/torch",
    "bench/workloads.mjs",
    "bench/gpt-sizes.mjs",
  ])
    cpSync(join(root, path), join(stage, path), {
      recursive: true,
      filter: (from) => isNeeded(relative(root, from)),
      dereference: true,
    });
  const ts = /** @type {typeof import("typescript")} */ (require("typescript"));
  mkdirSync(join(stage, "dist", "testing"), { recursive: true });
  for (const name of testingModules) {
    const { outputText } = ts.transpileModule(readFileSync(join(root, "src", "testing", `${name}.ts`), "utf8"), {
      compilerOptions: {
        target: ts.ScriptTarget.ES2022,
        module: ts.ModuleKind.ESNext,
        rewriteRelativeImportExtensions: true,
        verbatimModuleSyntax: true,
      },
    });
    writeFileSync(join(stage, "dist", "testing", `${name}.js`), outputText);
  }
  const parts = join(stage, "scripts/gpu-check/parts");
  for (const name of readdirSync(parts)) {
    const text = readFileSync(join(parts, name), "utf8");
    writeFileSync(join(parts, name), text.replaceAll(/"\.\.\/\.\.\/\.\.\/src\/(.*?)\.ts"/g, '"../../../dist/$1.js"'));
  }
  // "#system" and others, of which Node has other files than pages
  const { imports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  writeFileSync(join(stage, "package.json"), JSON.stringify({ name: "kindling-gpu-check", type: "module", imports }));
}

/** The packages that the parts and the built package load. @param {string} stage */
async function copyPackages(stage) {
  const parts = readdirSync(join(stage, "scripts/gpu-check/parts")).filter((name) => name.endsWith(".mjs"));
  const { metafile } = await build({
    entryPoints: parts.map((name) => join(stage, "scripts/gpu-check/parts", name)),
    bundle: true,
    write: false,
    outdir: "out",
    metafile: true,
    format: "esm",
    platform: "node",
    logLevel: "error",
    nodePaths: [join(root, "node_modules")],
    external: packagesByName.concat("sharp", "tokenizers", "onnxruntime-web"),
  });
  const packages = new Set(
    Object.keys(metafile.inputs)
      .map(packageOf)
      .filter((name) => name !== undefined),
  );
  for (const name of [...packages, ...packagesByName]) {
    const from = join(root, "node_modules", name);
    cpSync(from, join(stage, "node_modules", name), {
      recursive: true,
      dereference: true,
      filter: (path) => isNeeded(relative(from, path)),
    });
  }
}

/** @param {string} stage @param {string} work */
function copySystem(stage, work) {
  cpSync(process.execPath, join(stage, "node"), { dereference: true });
  try {
    run("strip", [join(stage, "node")]);
  } catch {} // without binutils it stays larger
  const debs = join(work, "debs");
  const unpacked = join(work, "unpacked");
  for (const folder of [debs, unpacked, join(stage, "lib/system"), join(stage, "lib/fallback")])
    mkdirSync(folder, { recursive: true });
  run("apt-get", ["-q", "-oAPT::Sandbox::User=root", "download", ...debianPackages], debs);
  for (const name of readdirSync(debs)) run("dpkg", ["-x", join(debs, name), unpacked]);
  copyLibraries(join(unpacked, "usr/lib/x86_64-linux-gnu"), join(stage, "lib/system"));
  for (const name of ["libstdc++.so.6", "libgcc_s.so.1"]) {
    const path = ["/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu"]
      .map((folder) => join(folder, name))
      .find(existsSync);
    if (path) cpSync(path, join(stage, "lib/fallback", name), { dereference: true });
  }
}

/** Libraries under the names that programs load them by. @param {string} from @param {string} to */
function copyLibraries(from, to) {
  for (const name of readdirSync(from))
    if (/\.so\.\d+$/.test(name)) cpSync(join(from, name), join(to, name), { dereference: true });
}

/** The ONNX Runtime for CUDA of the same version, for Python 3.12. */
const CUDA_WHEEL = `onnxruntime-gpu==${require("onnxruntime-node/package.json").version}`;
/** Its files, and their names beside onnxruntime-node's binding. */
const cudaFiles = {
  "libonnxruntime_providers_cuda.so": "libonnxruntime_providers_cuda.so",
  "libonnxruntime_providers_shared.so": "libonnxruntime_providers_shared.so",
  [`libonnxruntime.so.${require("onnxruntime-node/package.json").version}`]: "libonnxruntime.so.1",
};
/** Compute capability 9.0: H100 and H200. The kernels of other cards are left out. */
const CUDA_ARCHITECTURE = 90;

/** The second archive, unpacked over the first: ONNX Runtime's CUDA provider. @param {string} archive */
function packCuda(archive) {
  const work = mkdtempSync(join(tmpdir(), "kindling-gpu-check-"));
  try {
    const options = ["--no-deps", "--only-binary=:all:", "--python-version=3.12", "--platform=manylinux_2_28_x86_64"];
    const unpacked = unpackWheel(CUDA_WHEEL, options, join(work, "wheel"));
    const target = join(work, "stage", "node_modules/onnxruntime-node/bin/napi-v6/linux/x64");
    mkdirSync(target, { recursive: true });
    for (const [from, to] of Object.entries(cudaFiles)) {
      const bytes = readFileSync(join(unpacked, "onnxruntime/capi", from));
      keepArchitecture(bytes, CUDA_ARCHITECTURE);
      writeFileSync(join(target, to), bytes);
    }
    execFileSync("tar", ["-cJf", archive, "-C", join(work, "stage"), "."], {
      env: { ...process.env, XZ_OPT: "-6 -T0" },
      stdio: "inherit",
    });
    console.log(`${archive}: ${(statSync(archive).size / 1e6).toFixed(1)} MB`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** A real model of 3 MB inside a Python package. */
const MODEL = { wheel: "magika==1.0.3", path: "magika/models/standard_v3_3/model.onnx" };

/** @param {string} stage @param {string} work */
function copyModel(stage, work) {
  const unpacked = unpackWheel(MODEL.wheel, ["--no-deps"], join(work, "model"));
  mkdirSync(join(stage, "models"));
  cpSync(join(unpacked, MODEL.path), join(stage, "models", "magika.onnx"));
}

/**
 * A folder with the files of a Python package. @param {string} name @param {string[]} options of pip @param {string}
 * work
 */
function unpackWheel(name, options, work) {
  run("python3", ["-m", "pip", "download", "-q", ...options, "-d", work, name]);
  const wheel = readdirSync(work).find((file) => file.endsWith(".whl")) ?? "";
  run("python3", ["-m", "zipfile", "-e", join(work, wheel), join(work, "files")]);
  return join(work, "files");
}

/** @param {string} stage an empty folder @param {string} work a folder for what is needed on the way */
async function fill(stage, work) {
  copyProgram(stage);
  await copyPackages(stage);
  copySystem(stage, work);
  copyModel(stage, work);
}

/** @param {string} archive */
async function pack(archive) {
  const work = mkdtempSync(join(tmpdir(), "kindling-gpu-check-"));
  const stage = join(work, "stage");
  try {
    mkdirSync(stage);
    await fill(stage, work);
    if (archive.endsWith("/")) return cpSync(stage, archive, { recursive: true });
    execFileSync("tar", ["-cJf", archive, "-C", stage, "."], {
      env: { ...process.env, XZ_OPT: "-9 -T0" },
      stdio: "inherit",
    });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  const { size } = statSync(archive);
  console.log(`${archive}: ${(size / 1e6).toFixed(1)} MB`);
  if (size > LARGEST_BYTES) throw new Error(`the archive is larger than ${LARGEST_BYTES / 1e6} MB`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [first, second = join(root, "gpu-check-cuda.tar.xz")] = process.argv.slice(2);
  if (first === "--cuda") packCuda(second);
  else await pack(first ?? join(root, "gpu-check.tar.xz"));
}
