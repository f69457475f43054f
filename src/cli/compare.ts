import { writeFile } from "node:fs/promises";
import { type Command, InvalidArgumentError } from "commander";
import { OptionError } from "../base/index.ts";
import type { CompareReport, JudgeMode, MetricName, Target } from "../compare/index.ts";
import { withWriteErrors } from "../files/index.ts";
import { abortOnInterrupt, INTERRUPTED } from "./interrupt.ts";
import { choice, namesOf } from "./option-names.ts";
import { integer, number } from "./parse-values.ts";
import { ProgressLine } from "./terminal.ts";

/** Named here, so that help needs no import of compare/. */
const metrics: Record<MetricName, true> = { exact: true, contains: true, regex: true, f1: true, "json-schema": true };
const importCompare = () => import("../compare/index.ts");

/** "name,http://127.0.0.1:8080/v1,model,KEY": the last is the environment variable of the key. */
function targetOf(text: string): Target {
  const [name, url, model, variable, ...rest] = text.split(",");
  if (!name || !url || !model || rest.length > 0)
    throw new InvalidArgumentError(
      "write a name, an address, a model and, where there is a key, its variable: a,http://127.0.0.1:8080/v1,m,A_KEY",
    );
  if (variable === undefined) return { name, url, model };
  const apiKey = process.env[variable];
  if (!apiKey) throw new InvalidArgumentError(`the environment variable ${variable} is not set.`);
  return { name, url, model, apiKey };
}

const addTarget = (text: string, before: Target[] = []) => [...before, targetOf(text)];

const EXAMPLES = `
Examples:
  kindling compare prompts.jsonl --upstream a,http://127.0.0.1:8080/v1,sotu --upstream b,http://127.0.0.1:11434/v1,qwen3 --metric exact
  kindling compare prompts.jsonl --upstream a,https://api.openai.com/v1,gpt-4o-mini,OPENAI_API_KEY --results answers.jsonl --prices prices.yaml
  kindling compare prompts.jsonl --upstream a,http://127.0.0.1:8090/v1,x --upstream b,http://127.0.0.1:8090/v1,y --judge j,http://127.0.0.1:8090/v1,z --judge-mode pairwise --plot report.html

Lines of prompts: {"prompt": "2+2?", "expected": "4"} or {"messages": [...]}, with "schema", "max_tokens", "id" or without.
Ctrl-C ends it and prints what there is; with --results the same command goes on. Exit codes: 0 done, 130 interrupted, 1 failed.`;

interface CompareFlags {
  upstream: Target[];
  metric?: MetricName;
  judge?: Target;
  judgeMode: JudgeMode;
  rubric?: string;
  concurrency: number;
  temperature: number;
  results?: string;
  prices?: string;
  json?: string;
  markdown?: string;
  plot?: string;
}

/** Declares `kindling compare`. */
export function addCompare(program: Command): void {
  program
    .command("compare")
    .argument("<prompts>", "a JSON Lines file of prompts")
    .description("Put the same questions to several models, and show how good, how fast and how dear they are.")
    .requiredOption(
      "--upstream <name,url,model[,VARIABLE]>",
      "a model, with the variable of its key (repeatable)",
      addTarget,
    )
    .addOption(choice("--metric <name>", "how good an answer is", namesOf(metrics)))
    .option("--judge <name,url,model[,VARIABLE]>", "a model that judges answers, in place of a metric", targetOf)
    .addOption(
      choice("--judge-mode <mode>", "a score for each answer, or against the first upstream's", [
        "score",
        "pairwise",
      ]).default("score"),
    )
    .option("--rubric <text>", "what the judge looks at")
    .option("--concurrency <n>", "requests at a time to each upstream", integer, 4)
    .option("--temperature <t>", "of the answers", number, 0)
    .option("--results <file>", "answers as JSON Lines; a comparison that was ended goes on with it")
    .option("--prices <file>", "prices of a million tokens, as the gateway's")
    .option("--json <file>", "write the report as JSON too")
    .option("--markdown <file>", "write the report as Markdown too")
    .option("--plot <file>", "write a plot, .svg or .html")
    .addHelpText("after", EXAMPLES)
    .action((prompts, flags) => compareCommand(prompts, flags));
}

/** `kindling compare`: a table on standard output. */
async function compareCommand(path: string, flags: CompareFlags): Promise<void> {
  const {
    upstream: targets,
    metric,
    judge,
    judgeMode,
    rubric,
    concurrency,
    temperature,
    results,
    prices,
    plot,
  } = flags;
  if (plot !== undefined && !/\.(svg|html?)$/i.test(plot))
    throw new OptionError({ where: "compare", expected: "a plot in .svg or .html", received: plot, fix: "rename it" });
  const progress = new ProgressLine(process.stderr);
  const { signal, dispose } = abortOnInterrupt(() => {});
  try {
    const { compare, formatCompareReport, readPrompts } = await importCompare();
    const report = await compare({
      targets,
      prompts: await readPrompts(path),
      concurrency,
      temperature,
      signal,
      onProgress: (done, all) => progress.show(`answers: ${done} of ${all}`),
      ...(metric && { metric }),
      ...(judge && { judge: { ...judge, mode: judgeMode, ...(rubric !== undefined && { rubric }) } }),
      ...(results !== undefined && { resultsFile: results }),
      ...(prices !== undefined && { prices: await (await import("../gateway/index.ts")).readPrices(prices) }),
    });
    progress.end();
    process.stdout.write(formatCompareReport(report));
    await writeReports(report, flags);
    if (report.isInterrupted) process.exitCode = INTERRUPTED;
    else if (report.targets.every(({ answers }) => answers === 0)) process.exitCode = 1;
  } finally {
    progress.end();
    dispose();
  }
}

async function writeReports(report: CompareReport, { json, markdown, plot }: CompareFlags): Promise<void> {
  const { formatCompareReport, plotHtml, plotSvg } = await importCompare();
  const write = (path: string, text: string) => withWriteErrors(path, () => writeFile(path, text));
  if (json !== undefined) await write(json, `${JSON.stringify(report, null, 2)}\n`);
  if (markdown !== undefined) await write(markdown, formatCompareReport(report));
  if (plot !== undefined) await write(plot, /\.svg$/i.test(plot) ? plotSvg(report) : plotHtml(report));
}
