/** `kindling data preview`: what the rows are, and what a model reads of them. */
import { DataError } from "../../base/index.ts";
import { type RecognisedFormat, type Row, recogniseFormat, toConversation, toExample } from "../../data/index.ts";
import { chatFormat, Tokenizer } from "../../tokenizers/index.ts";
import { type ReadFlags, Reading } from "./reading.ts";

export interface PreviewFlags extends ReadFlags {
  rows: number;
  skip: number;
  tokenizer?: string;
  column?: Record<string, string>;
  json?: boolean;
}

/** Longer texts are cut, in characters. */
const MOST = 600;

/** Prints some rows, with what was recognised of them. */
export async function previewCommand(files: string[], flags: PreviewFlags): Promise<void> {
  const reading = new Reading(files, flags);
  const rows: { row: Row; place: string }[] = [];
  let index = 0;
  for await (const each of reading.rows()) {
    if (index++ >= flags.skip) rows.push(each);
    if (rows.length >= flags.rows) break;
  }
  if (flags.json) {
    for (const { row } of rows) process.stdout.write(`${JSON.stringify(row)}\n`);
    return;
  }
  const recognised = recognisedOf(
    rows.map(({ row }) => row),
    flags,
  );
  if (typeof recognised !== "string") {
    const columns = Object.entries(recognised.columns).map(([part, column]) => `${part}=${column}`);
    process.stdout.write(`format ${recognised.format} (${columns.join(", ")})\n`);
  } else process.stdout.write(`format not recognised: ${recognised}\n`);
  const render = flags.tokenizer === undefined ? undefined : await renderer(flags.tokenizer);
  for (const { row, place } of rows) {
    process.stdout.write(`\n${place}\n`);
    process.stdout.write(`${typeof recognised === "string" ? shown(row) : exampleText(row, recognised, render)}\n`);
  }
  reading.report();
}

function recognisedOf(rows: readonly Row[], { column }: PreviewFlags): RecognisedFormat | string {
  try {
    return recogniseFormat(rows, { columns: column ?? {} });
  } catch (error) {
    if (error instanceof DataError) return error.received;
    throw error;
  }
}

const cut = (text: string) => (text.length > MOST ? `${text.slice(0, MOST)}... (${text.length} characters)` : text);
const shown = (value: object) =>
  Object.entries(value)
    .map(([name, field]) => `  ${name}: ${cut(typeof field === "string" ? field : (JSON.stringify(field) ?? ""))}`)
    .join("\n");

const conversations = new Set(["messages", "sharegpt", "alpaca", "prompt-completion"]);

function exampleText(row: Row, recognised: RecognisedFormat, render: Renderer | undefined): string {
  try {
    if (!conversations.has(recognised.format)) return shown(toExample(row, recognised));
    const { messages, tools } = toConversation(row, recognised);
    if (render) return cut(render(messages, tools));
    const lines = messages.map(({ role, content, ...rest }) => {
      const more = Object.keys(rest).length > 0 ? ` ${JSON.stringify(rest)}` : "";
      return `  ${role}: ${cut(typeof content === "string" ? content : JSON.stringify(content))}${more}`;
    });
    return lines.join("\n");
  } catch (error) {
    if (error instanceof DataError) return `  bad row: ${error.received}`;
    throw error;
  }
}

type Renderer = (messages: Parameters<ReturnType<typeof chatFormat>["render"]>[0], tools?: readonly object[]) => string;

/** Conversations as the chat template of a model writes them. */
async function renderer(name: string): Promise<Renderer> {
  const tokenizer = await Tokenizer.open(name);
  const format = chatFormat(tokenizer.chatTemplates.get("default"), tokenizer);
  return (messages, tools) => format.render(messages, { addGenerationPrompt: false, ...(tools && { tools }) });
}
