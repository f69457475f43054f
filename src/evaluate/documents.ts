import { dirname, isAbsolute, join } from "node:path";
import { DataError, isObject, parseJson } from "../base/index.ts";
import { readText } from "../files/index.ts";
import type { Doc, EvalTask } from "./task.ts";

/** Rows of the splits of a task, read once. */
export class TaskDocuments {
  /** Rows that are judged. */
  readonly docs: readonly Doc[];
  /** Rows that examples are taken from. */
  readonly examples: readonly Doc[];
  /** Names of the fields of rows that are judged. */
  readonly fields: ReadonlySet<string>;

  private constructor(docs: readonly Doc[], examples: readonly Doc[]) {
    this.docs = docs;
    this.examples = examples;
    this.fields = new Set(docs.flatMap((doc) => Object.keys(doc)));
  }

  /** @throws DataError for a file that is missing or malformed, with its line, and for a split without rows */
  static async open(task: EvalTask): Promise<TaskDocuments> {
    const splits = new Map<string, readonly Doc[]>();
    const read = async (split: string): Promise<readonly Doc[]> => {
      const present = splits.get(split) ?? (await readSplit(task, split));
      splits.set(split, present);
      return present;
    };
    const docs = await read(task.evalSplit);
    if (docs.length === 0) throw emptySplit(task, task.evalSplit);
    if (task.numFewshot === 0) return new TaskDocuments(docs, []);
    const { samples, fewshotIndices } = task.fewshot;
    const split = task.fewshotSplit ?? task.trainingSplit ?? task.validationSplit ?? task.evalSplit;
    const all = samples ?? (await read(split));
    const examples = fewshotIndices ? fewshotIndices.map((i) => all[i]) : all;
    const needed = task.numFewshot + Number(leavesOutAsked(task) && task.fewshot.sampler !== "first_n");
    if (examples.length < needed || examples.includes(undefined as never))
      throw new DataError({
        where: `task ${task.name}`,
        expected: `at least ${needed} examples to take ${task.numFewshot} of`,
        received: `${all.length} of the split ${split}`,
        fix: "take fewer, or another split in fewshotSplit",
      });
    return new TaskDocuments(docs, examples);
  }
}

/** Whether the row that is asked about may be among the examples, and must be left out. */
export const leavesOutAsked = ({ fewshotSplit, testSplit }: EvalTask): boolean => fewshotSplit === testSplit;

const emptySplit = ({ name }: EvalTask, split: string) =>
  new DataError({
    where: `task ${name}`,
    expected: `rows of the split ${split}`,
    received: "none",
    fix: "check the file",
  });

async function readSplit({ data, processDoc, name }: EvalTask, split: string): Promise<readonly Doc[]> {
  const source = typeof data[split] === "string" ? [data[split]] : data[split];
  if (source === undefined)
    throw new DataError({
      where: `task ${name}`,
      expected: `data of the split ${split}`,
      received: Object.keys(data).join(", "),
      fix: "name a file for it",
    });
  const rows: Doc[] = [];
  for (const part of source) {
    if (typeof part === "string") rows.push(...(await readRows(part)));
    else rows.push(part);
  }
  const complete = withAllFields(rows);
  return processDoc ? complete.map(processDoc) : complete;
}

/** Rows with all fields that some row has: those that one has not are null in it, as in a table. */
function withAllFields(rows: readonly Doc[]): readonly Doc[] {
  const fields = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  if (rows.every((row) => Object.keys(row).length === fields.length)) return rows;
  return rows.map((row) => Object.fromEntries(fields.map((field) => [field, row[field] ?? null])));
}

async function readRows(path: string): Promise<Doc[]> {
  const text = await readText(path, "a file of JSON lines");
  return text.split("\n").flatMap((line, i) => {
    if (line.trim() === "") return [];
    const where = `${path}, line ${i + 1}`;
    const row = parseJson(line, where, { expected: "a JSON object", fix: "write one JSON object a line" });
    if (isObject(row)) return [row];
    const received = line.slice(0, 60);
    throw new DataError({ where, expected: "a JSON object", received, fix: "write one JSON object a line" });
  });
}

/** A path that a file names, seen from that file. */
export const besideFile = (file: string, path: string): string => (isAbsolute(path) ? path : join(dirname(file), path));
