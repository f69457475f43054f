/** `kindling data filter`: keeps rows whose texts are good enough. */
import { OptionError } from "../../base/index.ts";
import {
  ContaminationIndex,
  cleanC4,
  gopherFaults,
  languageDetector,
  type Row,
  rowText,
  streamRows,
} from "../../data/index.ts";
import { dropUndefined } from "../sampling.ts";
import { type ReadFlags, Reading, writing } from "./reading.ts";

export interface FilterFlags extends ReadFlags {
  out: string;
  force?: boolean;
  text?: string;
  minChars?: number;
  maxChars?: number;
  language?: string[];
  gopher?: boolean;
  c4?: boolean;
  decontaminate?: string[];
  ngram?: number;
  rejected?: string;
}

/** What is done to a row: it is kept, maybe changed, or left out for a reason. */
type Rule = (row: Row, text: string) => { row?: Row; reason?: string };

/** Passes rows through the rules that were asked for, one after another. */
export async function filterCommand(files: string[], flags: FilterFlags): Promise<void> {
  const rules = await rulesOf(flags);
  if (rules.length === 0)
    throw new OptionError({
      where: "data filter",
      expected: "a rule: --min-chars, --max-chars, --language, --gopher, --c4 or --decontaminate",
      received: "none",
      fix: "add one",
    });
  const reading = new Reading(files, flags);
  await writing(flags, async (output, progress) => {
    const write = await output.open(flags.out);
    const reject = flags.rejected === undefined ? undefined : await output.open(flags.rejected);
    const reasons = new Map<string, number>();
    let count = 0;
    for await (const { row } of reading.rows()) {
      const { row: kept, reason } = apply(rules, row, flags.text);
      if (kept) await write(kept);
      else {
        const kind = (reason as string).replace(/:.*| [\d.]+$/s, "");
        reasons.set(kind, (reasons.get(kind) ?? 0) + 1);
        await reject?.({ ...row, rejected_for: reason });
      }
      progress(++count);
    }
    const left = [...reasons].sort(([, a], [, b]) => b - a);
    process.stderr.write(`${left.reduce((sum, [, each]) => sum + each, 0)} of ${count} rows left out\n`);
    for (const [reason, each] of left) process.stderr.write(`  ${each}  ${reason}\n`);
  });
  reading.report();
}

function apply(rules: readonly Rule[], row: Row, column: string | undefined): { row?: Row; reason?: string } {
  let current = row;
  for (const rule of rules) {
    const { row: changed, reason } = rule(current, rowText(current, column));
    if (reason !== undefined) return { reason };
    current = changed ?? current;
  }
  return { row: current };
}

async function rulesOf(flags: FilterFlags): Promise<Rule[]> {
  const rules: Rule[] = [];
  const { minChars, maxChars, text: column } = flags;
  if (minChars !== undefined || maxChars !== undefined)
    rules.push((_, text) => {
      if (text.length < (minChars ?? 0)) return { reason: `too short: ${text.length} characters` };
      return text.length > (maxChars ?? Number.POSITIVE_INFINITY)
        ? { reason: `too long: ${text.length} characters` }
        : {};
    });
  if (flags.language) rules.push(await languageRule(flags.language.flatMap((each) => each.split(","))));
  if (flags.c4) rules.push(c4Rule(column ?? "text"));
  if (flags.gopher)
    rules.push((_, text) => {
      const [fault] = gopherFaults(text);
      return fault === undefined ? {} : { reason: `Gopher, ${fault}` };
    });
  if (flags.decontaminate) rules.push(await decontamination(flags.decontaminate, flags.ngram));
  return rules;
}

async function languageRule(languages: readonly string[]): Promise<Rule> {
  const detect = await languageDetector(languages);
  return (_, text) => {
    const { language } = detect(text);
    return languages.includes(language) ? {} : { reason: `language ${language}` };
  };
}

function c4Rule(column: string): Rule {
  return (row) => {
    const { text, reason } = cleanC4(rowText(row, column));
    return reason === undefined ? { row: { ...row, [column]: text } } : { reason: `C4, ${reason}` };
  };
}

async function decontamination(files: readonly string[], ngram: number | undefined): Promise<Rule> {
  const texts: string[] = [];
  for await (const { row } of streamRows(files)) texts.push(rowText(row));
  const index = new ContaminationIndex(texts, dropUndefined({ ngram }));
  return (_, text) => {
    const overlap = index.overlap(text);
    return overlap ? { reason: `of the evaluation set: "${overlap.sequence}"` } : {};
  };
}
