// @ts-check
/**
 * Joins the modules of the built command-line program into few files: a program of 800 files spends half a second of
 * each start on finding them. Takes the place of what tsc has written to dist/cli; packages stay outside, and so do
 * workers, pages and the rooms that are imported by name.
 */
import { readdir, readFile, rm } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const dist = join(dirname(dirname(fileURLToPath(import.meta.url))), "dist");
const folder = join(dist, "cli");
/** The program, one that it starts, and what scripts/gpu-check uses. */
const entries = ["main.js", "probe.js", "gpu-libraries.js"];

/**
 * Each module goes on to find its files beside where it was.
 * @type {import("esbuild").Plugin}
 */
const placesOfModules = {
  name: "places of modules",
  setup({ onLoad }) {
    onLoad({ filter: /\.m?js$/ }, async ({ path }) => {
      const place = relative(folder, path).split(sep).join("/");
      const url = `new URL(${JSON.stringify(`./${place}`)}, import.meta.url).href`;
      const contents = (await readFile(path, "utf8")).replaceAll("import.meta.url", url);
      return { contents, loader: "js" };
    });
  },
};

const { metafile } = await build({
  entryPoints: entries.map((name) => join(folder, name)),
  outdir: folder,
  allowOverwrite: true,
  bundle: true,
  splitting: true,
  chunkNames: "program-[name]-[hash]", // in the same folder, from which the places lead
  packages: "external",
  format: "esm",
  platform: "node",
  target: "node20",
  minifySyntax: true,
  minifyWhitespace: true, // names stay: errors show them
  plugins: [placesOfModules],
  logLevel: "warning",
  metafile: true,
});
const written = new Set(Object.keys(metafile.outputs).map((path) => basename(path)));
for (const name of await readdir(folder))
  if (!written.has(name.replace(/\.d\.ts$/, ".js"))) await rm(join(folder, name), { recursive: true });
