import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createProgram } from "../cli/program.ts";
import { docPage, runBlock } from "../testing/doc-programs.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import * as data from "./index.ts";

/* Runs the examples of docs/data.md, whose files lie in a folder of the test. */
const { blocks } = await docPage("data.md");

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  await mkdir(join(folder, "data"));
  const write = (name: string, content: string) => writeFile(join(folder, "data", name), content);
  const review = (i: number) =>
    JSON.stringify({ text: `Room ${i} was clean and quiet, and the staff were kind to us.` });
  await write(
    "reviews.jsonl",
    `${[0, 1, 2].map(review).join("\n")}\n{"text"\n${[...Array(40).keys()].map(review).join("\n")}`,
  );
  await write("table.csv", "text,label\nfine,good\nawful,bad\n");
  await write("qa.csv", "frage,antwort\nWas?,Das.\n");
  await write("alpaca.json", JSON.stringify([{ instruction: "Add.", input: "1 2", output: "3" }]));
  await write("notes.txt", "The harbour of Nantucket held ninety ships.\n");
  const tokenizer = await readFile(new URL("../../golden/tokenizers/bpe-600.tokenizer.json", import.meta.url), "utf8");
  await write("tokenizer.json", tokenizer);
});
afterAll(() => rm(folder, { recursive: true }));

const inFolder = (code: string) => code.replace(/(?<=["\s])data\//g, `${folder}/data/`);

test.each(blocks("ts").map((code, i) => [i, code] as const))("program %i", async (_, code) => {
  const errors = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  try {
    const logged = await runBlock(inFolder(code), { kindling: { ...data, Tokenizer } });
    expect(logged.length).toBeGreaterThan(0);
  } finally {
    errors.mockRestore();
  }
});

test("commands", async () => {
  const out = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  const errors = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  try {
    const lines = blocks("sh").flatMap((code) => code.trim().split("\n"));
    expect(lines.length).toBeGreaterThan(6);
    for (const line of lines) {
      const words = inFolder(line).split(" ").slice(2);
      await createProgram().parseAsync(words, { from: "user" });
    }
    expect((await readFile(join(folder, "data/parts/train.jsonl"), "utf8")).split("\n").length).toBeGreaterThan(10);
  } finally {
    out.mockRestore();
    errors.mockRestore();
  }
});
