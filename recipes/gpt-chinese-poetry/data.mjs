// Writes data/poems.jsonl: poems of the Tang dynasty, their titles in front, of the package chinese-poetry.
//   node recipes/gpt-chinese-poetry/data.mjs
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { npmPackage } from "../common/packages.mjs";

const source = {
  name: "chinese-poetry",
  version: "2.0.1",
  sha256: "25b549e46919c3a0569db6b68ddc96956b04a484ea4518ad2bbd4f137e307e86",
};
const folder = fileURLToPath(new URL("data/", import.meta.url));
const files = join(npmPackage(source.name, source.version, folder, source.sha256), "dist", "quantangshi");
const names = (await readdir(files)).filter((name) => /^poet\.tang\.\d+\.json$/.test(name));
names.sort((a, b) => Number(a.split(".")[2]) - Number(b.split(".")[2]));
const rows = [];
for (const name of names) {
  const poems = JSON.parse(await readFile(join(files, name), "utf8"));
  for (const { title, paragraphs } of poems)
    if (paragraphs.length > 0) rows.push(JSON.stringify({ text: [title, ...paragraphs].join("\n") }));
}
await writeFile(join(folder, "poems.jsonl"), `${rows.join("\n")}\n`);
console.log(`${rows.length} poems in ${join(folder, "poems.jsonl")}`);
