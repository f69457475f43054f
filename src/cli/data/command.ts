/**
 * `kindling data`: files of rows are looked at, cleaned, split and converted. What a command needs is imported
 * then.
 */
import { type Command, InvalidArgumentError } from "commander";
import { choice } from "../option-names.ts";
import { collect, integer, number } from "../parse-values.ts";
import { addBuild } from "./build-command.ts";
import { withReading } from "./reading.ts";

/** "prompt=question" */
function addColumn(text: string, before: Record<string, string> = {}): Record<string, string> {
  const [part, column, ...rest] = text.split("=");
  if (!part || !column || rest.length > 0)
    throw new InvalidArgumentError("write the part of an example and the column that has it, as prompt=question.");
  return { ...before, [part]: column };
}

const TEXT = ["--text <column>", "column of the text (default: the texts of all columns)"] as const;
const OUT = ["--out <file>", "file to write: .jsonl, .json, .csv, .tsv, .parquet or .txt, also .gz"] as const;
const FORCE = ["--force", "replace files that are there"] as const;
const COLUMN = ["--column <part=column>", "a column of another name than usual (repeatable)", addColumn] as const;

const EXAMPLES = `
Examples:
  kindling data stats talks.jsonl
  kindling data dedup talks.jsonl --method minhash --out unique.jsonl
  kindling data filter pages.parquet --text text --gopher --language en --decontaminate eval.jsonl --out clean.jsonl.gz
  kindling data split clean.jsonl --validation 0.05 --out data/
  kindling data preview data/train.jsonl --rows 3
  kindling data convert data/train.jsonl --as messages --out train.parquet

Files are JSON Lines, JSON, CSV, TSV, Parquet, Arrow (Feather) and text, also gzipped. Rows that cannot be read are left
out and told with file and line; --on-bad-row fail makes the first of them an error.`;

/** Declares `kindling data` and its commands. */
export function addData(program: Command): void {
  const data = program
    .command("data")
    .description("Look at files of rows, and clean, split, convert and build data sets.")
    .addHelpText("after", EXAMPLES);
  addLooking(data);
  addCleaning(data);
  addWritingOthers(data);
  addBuild(data);
}

function addLooking(data: Command): void {
  withReading(data.command("stats"))
    .description("Show rows, columns, lengths, classes, duplicates and the format of examples.")
    .option("--tokenizer <model>", "count tokens too, by the tokenizer of a model")
    .option("--languages", "tell the languages too")
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      "\nExamples:\n  kindling data stats train.jsonl --tokenizer runs/sotu/model\n  kindling data stats data/ --json",
    )
    .action(async (files, flags) => (await import("./stats.ts")).statsCommand(files, flags));

  withReading(data.command("preview"))
    .description("Show some rows, and what is recognised of them.")
    .option("--rows <n>", "how many", integer, 3)
    .option("--skip <n>", "rows before them", integer, 0)
    .option(...COLUMN)
    .option("--tokenizer <model>", "show conversations as the chat template of a model writes them")
    .option("--json", "the rows as JSON Lines")
    .addHelpText(
      "after",
      "\nExamples:\n  kindling data preview train.jsonl\n  kindling data preview qa.csv --column prompt=frage --column completion=antwort",
    )
    .action(async (files, flags) => (await import("./preview.ts")).previewCommand(files, flags));
}

function addCleaning(data: Command): void {
  withReading(data.command("dedup"))
    .description("Leave out rows that repeat earlier ones.")
    .requiredOption(...OUT)
    .option(...FORCE)
    .option(...TEXT)
    .addOption(
      choice("--method <name>", "exact: the same words; minhash: most of the same sequences of words", [
        "exact",
        "minhash",
      ]).default("exact"),
    )
    .option("--threshold <s>", "of minhash: Jaccard similarity from which on rows are the same (default: 0.7)", number)
    .option("--permutations <n>", "of minhash: values of a signature (default: 128)", integer)
    .option("--shingle <words>", "of minhash: words of a sequence (default: 5)", integer)
    .option("--removed <file>", "write what is left out there, with the number of the row that it repeats")
    .addHelpText(
      "after",
      "\nExamples:\n  kindling data dedup a.jsonl b.jsonl --out unique.jsonl\n  kindling data dedup pages.parquet --method minhash --threshold 0.8 --out unique.parquet",
    )
    .action(async (files, flags) => (await import("./dedup.ts")).dedupCommand(files, flags));

  withReading(data.command("filter"))
    .description("Keep rows whose texts are good enough.")
    .requiredOption(...OUT)
    .option(...FORCE)
    .option(...TEXT)
    .option("--min-chars <n>", "least characters", integer)
    .option("--max-chars <n>", "most characters", integer)
    .option("--language <codes>", "only these languages, as en,zh (repeatable)", collect)
    .option("--gopher", "Gopher's rules of length, symbols, stop words and repetition, for English")
    .option("--c4", "C4's cleaning: lines that end as sentences do, pages without code")
    .option(
      "--decontaminate <file>",
      "leave out what shares 13 words in a row with this evaluation set (repeatable)",
      collect,
    )
    .option("--ngram <words>", "so many words in a row, in place of 13", integer)
    .option("--rejected <file>", "write what is left out there, with the reason")
    .addHelpText(
      "after",
      "\nExamples:\n  kindling data filter pages.jsonl --text text --gopher --language en --out clean.jsonl\n  kindling data filter train.jsonl --decontaminate test.jsonl --out clean.jsonl --rejected seen.jsonl",
    )
    .action(async (files, flags) => (await import("./filter.ts")).filterCommand(files, flags));
}

function addWritingOthers(data: Command): void {
  withReading(data.command("split"))
    .description("Write files for training, validation and test; a row stays in its part when others are added.")
    .requiredOption("--out <folder>", "folder of the files train, validation and test")
    .option(...FORCE)
    .option("--validation <share>", "share of rows for validation", number, 0.1)
    .option("--test <share>", "share of rows for the test", number, 0)
    .option("--seed <n>", "another seed is another split", integer, 0)
    .option("--group <column>", "rows with the same value stay together (default: the same texts)")
    .addOption(
      choice("--to <format>", "format of the files", ["jsonl", "jsonl.gz", "csv", "tsv", "json", "parquet"]).default(
        "jsonl",
      ),
    )
    .addHelpText(
      "after",
      "\nExamples:\n  kindling data split talks.jsonl --validation 0.05 --test 0.05 --out data/\n  kindling data split reviews.csv --group author --to parquet --out data/",
    )
    .action(async (files, flags) => (await import("./split.ts")).splitCommand(files, flags));

  withReading(data.command("convert"))
    .description("Write rows in another format of files, or as messages.")
    .requiredOption(...OUT)
    .option(...FORCE)
    .addOption(choice("--as <format>", "write Alpaca, ShareGPT, prompts and others as messages", ["messages"]))
    .option(...COLUMN)
    .option("--limit <n>", "so many rows (default: all)", integer)
    .addHelpText(
      "after",
      "\nExamples:\n  kindling data convert reviews.ft --out reviews.csv\n  kindling data convert alpaca.json --as messages --out train.jsonl",
    )
    .action(async (files, flags) => (await import("./convert.ts")).convertDataCommand(files, flags));
}
