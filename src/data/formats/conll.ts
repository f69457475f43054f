/** Files of words and tags in columns, and SQuAD's nested files, as rows. */
import { readFile } from "node:fs/promises";
import { DataError, isObject } from "../../base/index.ts";
import { withReadErrors } from "../../files/index.ts";
import { BadRows } from "../rows/bad-rows.ts";
import { mapRows } from "../rows/combine.ts";
import { makeRows, type Row, type Rows, rowsOf } from "../rows/rows.ts";

/** Which column of a line has the word, and which its tag; negative numbers count from the end. */
export interface ConllOptions {
  /** @default 0 */
  tokenColumn?: number;
  /** @default -1, the last */
  tagColumn?: number;
  /** Counts lines that have too few columns. @default the first is an error */
  badRows?: BadRows;
}

/**
 * Sentences of a CoNLL file, in memory: a word a line with columns between spaces or tabs, a blank line between
 * sentences. Lines "-DOCSTART-" and comments of CoNLL-U, from "#" on at the beginning of a sentence, are passed over.
 * @throws DataError for a file without sentences, or a line that lacks columns
 */
export async function openConll(path: string, options: ConllOptions = {}): Promise<Rows> {
  const { tokenColumn = 0, tagColumn = -1, badRows = new BadRows() } = options;
  const text = (await withReadErrors(path, "a CoNLL file", () => readFile(path, "utf8"))).replace(/^\ufeff/, "");
  const sentences: { tokens: string[]; tags: string[]; line: number }[] = [];
  let current: (typeof sentences)[number] | undefined;
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === "" || line.startsWith("-DOCSTART-")) {
      current = undefined;
      continue;
    }
    if (current === undefined && /^#( |$)/.test(line)) continue;
    const cells = line.includes("\t") ? line.split("\t") : line.trim().split(/ +/);
    const [token, tag] = [cells.at(tokenColumn), cells.at(tagColumn)];
    if (token === undefined || tag === undefined || cells.length < 2) {
      badRows.add({ file: path, line: i + 1, reason: `${cells.length} columns where a word and a tag are expected` });
      continue;
    }
    if (!current) {
      current = { tokens: [], tags: [], line: i + 1 };
      sentences.push(current);
    }
    current.tokens.push(token);
    current.tags.push(tag);
  }
  if (sentences.length === 0)
    throw new DataError({
      where: path,
      expected: "sentences",
      received: text === "" ? "an empty file" : "none",
      fix: "write a word and its tag on each line, and a blank line between sentences",
    });
  const rows = rowsOf(
    sentences.map(({ tokens, tags }) => ({ tokens, tags })),
    path,
  );
  return makeRows({
    count: rows.count,
    row: (index) => rows.row(index),
    fingerprint: () => rows.fingerprint(),
    placeOf: (index) => `${path}:${sentences[index].line}`,
  });
}

/**
 * Questions of SQuAD's own files, whose rows are articles with paragraphs with questions: a row for each question.
 * Rajpurkar et al. 2018, arXiv:1806.03822.
 */
export async function squadRows(articles: Rows): Promise<Rows> {
  const questions: Row[] = [];
  const lists = (value: unknown) => (Array.isArray(value) ? value.filter(isObject) : []);
  for await (const { title, paragraphs } of articles)
    for (const { context, qas } of lists(paragraphs))
      for (const { id, question, answers } of lists(qas)) questions.push({ id, title, context, question, answers });
  return mapRows(rowsOf(questions, "SQuAD"), (row) => row, { name: "SQuAD" });
}
