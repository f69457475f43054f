/** Readers of files of rows, and of the formats of examples. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { limits } from "../../base/index.ts";
import {
  BadRows,
  openConll,
  openRows,
  readConversations,
  readExamples,
  rowsOf,
  StatsCollector,
} from "../../data/index.ts";
import { mutateBytes, mutateJson } from "./mutate.ts";
import type { Target } from "./target.ts";

const csv = 'text;label\n"a ""b""\r\n;c";1\nd;0\n\n"e";"f"\n';
const lines = '{"text": "a", "label": 1}\n\n{"text": "\\ud83d\\ude00 [{", "label": null}\r\n{"text": [1, {"a": {}}]}\n';
const list = '[\n  {"text": "a, ]}"},\n  {"text": "b\\"", "n": [[], {}]}\n]\n';
const conll = "-DOCSTART- -X- O\n\nEU NNP B-ORG\nrejects VBZ O\n\nPeter\tNNP\tB-PER\n";

/** Rows of the formats of examples. */
const examples: readonly object[] = [
  {
    messages: [
      { role: "user", content: "a" },
      { role: "assistant", content: null, tool_calls: [{}] },
    ],
    tools: "[{}]",
  },
  {
    conversations: [
      { from: "human", value: "a" },
      { from: "gpt", value: "b" },
    ],
  },
  { instruction: "a", input: "b", output: "c", system: null },
  { chosen: "\n\nHuman: a\n\nAssistant: b", rejected: "\n\nHuman: a\n\nAssistant: c" },
  { prompt: [{ role: "user", content: "a" }], completion: "b", label: true },
  { question: "q", context: "in Rome", answers: { text: ["Rome"], answer_start: [3] } },
  { tokens: ["a", "b"], ner_tags: [0, 1] },
  { translation: { en: "a", zh: "b" } },
  { anchor: "a", positive: "b", negatives: ["c"], score: 0.5 },
];

/** @param golden the folder of golden files @param scratch a folder for inputs */
export function rowTargets(golden: string, scratch: string): Record<string, Target> {
  const target = (name: string, originals: readonly Uint8Array[], count: number): Target => ({
    count,
    make: (random) => mutateBytes(random.pick(originals), random),
    run: async (input) => {
      const path = join(scratch, name);
      writeFileSync(path, input as Uint8Array);
      const rows = await openRows(path, { onBadRow: "skip" });
      try {
        const stats = new StatsCollector();
        for await (const row of rows) stats.add(row);
        stats.stats();
        if (rows.count > 0) await rows.row(rows.count - 1);
      } finally {
        await rows.close();
      }
    },
  });
  /** A table that takes long is given up, which is not before the limit. */
  const tables = (name: string, endings: readonly string[]): Target => {
    const names = readdirSync(join(golden, "tables")).filter((each) => endings.some((ending) => each.endsWith(ending)));
    const originals = names.map((each) => readFileSync(join(golden, "tables", each)));
    return { ...target(name, originals, 600), seconds: 3 * limits.tableSeconds };
  };
  return {
    "rows-text": target(
      "x.bin",
      [csv, lines, list].map((text) => Buffer.from(text)),
      1500,
    ),
    "rows-csv": target("x.csv", [Buffer.from(csv)], 1000),
    "rows-gzip": target("x.jsonl.gz", [gzipSync(lines)], 300),
    parquet: tables("x.parquet", [".parquet"]),
    arrow: tables("x.arrow", [".feather", ".arrow"]),
    conll: {
      count: 500,
      make: (random) => mutateBytes(Buffer.from(conll), random),
      run: async (input) => {
        writeFileSync(join(scratch, "x.conll"), input as Uint8Array);
        await openConll(join(scratch, "x.conll"));
      },
    },
    examples: {
      count: 2000,
      make: (random) => JSON.stringify(mutateJson(random.pick(examples), random)),
      run: async (input) => {
        const rows = rowsOf([JSON.parse(input as string)]);
        const { recognised } = await readExamples(rows, { badRows: new BadRows({ onBadRow: "skip" }) });
        if (recognised.format === "messages") await readConversations(rows);
      },
    },
  };
}
