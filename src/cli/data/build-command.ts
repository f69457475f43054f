import { type Command, Option } from "commander";
import { choice } from "../option-names.ts";
import { integer, number } from "../parse-values.ts";
import { withReading } from "./reading.ts";

const EXAMPLES = `
Examples:
  kindling data build docs/ --url http://127.0.0.1:8080/v1 --model sotu --dry-run
  kindling data build docs/ --url http://127.0.0.1:8080/v1 --model qwen3 --out pairs.jsonl
  kindling data build manual.txt --kind instruction --url https://api.openai.com/v1 --model gpt-4o-mini --price-prompt 0.15 --price-completion 0.6 --max-cost 2 --out pairs.jsonl

Answers are kept in <out>.answers.jsonl as they come: the same command goes on behind them, and other checks ask nobody.
Text files are documents; of other files each row is one. Exit codes: 0 done, 130 interrupted, 1 failed.`;

/** Declares `kindling data build`. */
export function addBuild(data: Command): void {
  withReading(data.command("build"))
    .description(
      "Have a model behind OpenAI's API write question-answer or instruction pairs about documents, and check them.",
    )
    .requiredOption("--url <address>", "the API, such as http://127.0.0.1:8080/v1")
    .requiredOption("--model <name>", "model to ask")
    .addOption(new Option("--api-key <key>", "sent as a bearer token").env("KINDLING_API_KEY"))
    .option("--out <file>", "file to write (not needed with --dry-run)")
    .option("--force", "replace a file that is there")
    .option("--text <column>", "column of the text (default: the texts of all columns)")
    .addOption(choice("--kind <name>", "what is written", ["qa", "instruction"]).default("qa"))
    .option("--pairs <n>", "pairs that are asked for of each passage", integer, 5)
    .option("--passage <characters>", "longest passage that is asked about at once", integer, 4000)
    .option("--concurrency <n>", "requests at the same time", integer, 4)
    .option("--max-tokens <n>", "most tokens of an answer", integer, 2048)
    .option("--temperature <t>", "of the answers", number, 0.7)
    .option("--retries <n>", "how often a request is sent again that failed for a moment", integer, 5)
    .option("--price-prompt <n>", "price of a million tokens of prompts", number)
    .option("--price-completion <n>", "price of a million tokens of answers", number)
    .option("--max-cost <n>", "send no more requests once so much was spent", number)
    .option("--min-overlap <share>", "least words of an answer that must be in the passage", number, 0.5)
    .option("--no-quote", "the sentence that an answer rests on need not stand in the passage")
    .option("--dry-run", "show the passages, the first request and an estimate of tokens and cost; ask nobody")
    .addHelpText("after", EXAMPLES)
    .action(async (files, flags) => (await import("./build.ts")).buildCommand(files, flags));
}
