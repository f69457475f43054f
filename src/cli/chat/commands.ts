/** What a line that begins with a slash does. */
import { readdirSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { isObject, KindlingError } from "../../base/index.ts";
import { messageOf } from "../option-names.ts";
import type { Conversation, TalkMessage } from "./conversation.ts";
import { changed, listed, settingNames } from "./settings.ts";

/** A talk, and what a command may change besides it. */
export interface CommandContext {
  conversation: Conversation;
  /** They go with the next message. */
  images: string[];
  /** Of the terminal. */
  columns: number;
}

/** What is to be done after a command. */
export type CommandResult =
  | { type: "reply"; text: string }
  | { type: "exit" }
  /** A message to answer. */
  | { type: "ask"; message: TalkMessage }
  /** A text that is put in the line, to be changed. */
  | { type: "edit"; text: string };

interface Command {
  argument: string;
  help: string;
  run: (context: CommandContext, argument: string) => CommandResult | string | Promise<CommandResult | string>;
}

const NOTHING_SAID = "nothing was said yet";
const imageTypes: Readonly<Record<string, string>> = {
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".jpeg": "image/jpeg",
  ".webp": "image/webp",
  ".gif": "image/gif",
};

const commands: Readonly<Record<string, Command>> = {
  system: {
    argument: "<text>",
    help: "how the model is to behave; alone: shows it; /system - removes it",
    run: ({ conversation }, text) => {
      if (text !== "") conversation.system = text === "-" ? undefined : text;
      return conversation.system === undefined ? "no system prompt" : `system prompt: ${conversation.system}`;
    },
  },
  set: {
    argument: "<name> <value>",
    help: 'a setting, as /set temperature 0.5; "default" takes it away; alone: shows all',
    run: ({ conversation }, argument) => {
      if (argument === "") return listed(conversation.settings);
      const [, name, value] = /^(\S+)\s*([\s\S]*)$/.exec(argument) ?? [];
      const settings = changed(conversation.settings, name, value);
      if (typeof settings === "string") return settings;
      conversation.settings = settings;
      return `${name}: ${value}`;
    },
  },
  retry: {
    argument: "",
    help: "answers the last message again",
    run: ({ conversation }) => {
      const message = conversation.undo();
      return message ? { type: "ask", message } : NOTHING_SAID;
    },
  },
  undo: {
    argument: "",
    help: "takes the last message and its answer back",
    run: ({ conversation }) => (conversation.undo() ? "taken back" : NOTHING_SAID),
  },
  edit: {
    argument: "<text>",
    help: "puts another message in the place of the last; alone: to change it in the line",
    run: ({ conversation }, text) => {
      const last = conversation.lastQuestion;
      if (!last) return NOTHING_SAID;
      if (text === "" && last.content.includes("\n"))
        return "the last message has several lines: write /edit and the new text after it";
      conversation.undo();
      return text === "" ? { type: "edit", text: last.content } : { type: "ask", message: { ...last, content: text } };
    },
  },
  clear: {
    argument: "",
    help: "forgets what was said",
    run: ({ conversation }) => {
      conversation.messages = [];
      return "forgotten; the system prompt stays";
    },
  },
  save: {
    argument: "<file>",
    help: "writes the talk to a new file, as JSON",
    run: ({ conversation }, file) => write(file, `${JSON.stringify(conversation.transcript, null, 2)}\n`, "talk.json"),
  },
  load: {
    argument: "<file>",
    help: "goes on with a talk that was saved",
    run: async ({ conversation }, file) => {
      if (file === "") return "which file? /load talk.json";
      const talk = await readTalk(file);
      if (typeof talk === "string") return talk;
      Object.assign(conversation, talk);
      const { length } = talk.messages;
      return `loaded ${length} ${length === 1 ? "message" : "messages"}`;
    },
  },
  export: {
    argument: "<file>",
    help: "writes the talk to a new file, as Markdown",
    run: ({ conversation }, file) => write(file, markdown(conversation), "talk.md"),
  },
  model: {
    argument: "<name>",
    help: "lets another model answer; alone: shows which one does",
    run: async ({ conversation: { model } }, name) => {
      if (name !== "") await model.use(name);
      const names = name === "" ? await model.list() : undefined;
      const others = names && names.length > 1 ? `\nthere are: ${names.join(", ")}` : "";
      return `model: ${model.name}${others}`;
    },
  },
  tokens: {
    argument: "",
    help: "how many tokens the talk has",
    run: async ({ conversation: { model, system, messages, settings } }) => {
      if (messages.length === 0) return NOTHING_SAID;
      const count = await model.countTokens({ system, messages, settings });
      if (count === undefined) return "the server does not say";
      return `${count} tokens${model.contextLength === undefined ? "" : ` of ${model.contextLength}`}`;
    },
  },
  image: {
    argument: "<file>",
    help: "shows the model an image, with the next message",
    run: async (context, file) => {
      if (!context.conversation.model.takesImages) return "this model takes no images";
      const type = imageTypes[extname(file).toLowerCase()];
      if (!type) return `which image? ${Object.keys(imageTypes).join(", ")}`;
      const bytes = await readFile(file).catch((error: Error) => error);
      if (bytes instanceof Error) return `cannot read: ${bytes.message}`;
      context.images.push(`data:${type};base64,${bytes.toString("base64")}`);
      return `${basename(file)} goes with the next message`;
    },
  },
  help: { argument: "", help: "this text", run: ({ columns }) => help(columns) },
  exit: { argument: "", help: "ends, as Ctrl-D", run: () => ({ type: "exit" }) },
};
const aliases: Readonly<Record<string, string>> = { quit: "exit", bye: "exit", "?": "help" };

/** Narrower terminals show what a command does below it. */
const TABLE_COLUMNS = 72;

function help(columns: number): string {
  const lines = Object.entries(commands).map(([name, { argument, help: text }]) => {
    const usage = `/${name} ${argument}`.trimEnd();
    return columns < TABLE_COLUMNS ? `${usage}\n  ${text}` : `${usage.padEnd(22)} ${text}`;
  });
  return `${lines.join("\n")}
A line that ends with \\ goes on with the next; """ begins and ends a text of several lines.
Several lines that are pasted are one message, which the Enter key sends. The Tab key completes commands, the arrow keys bring earlier lines back.
An answer goes on to its end, or as long as the context has room; /set max_tokens <n> cuts it off earlier. A model without a chat template writes 128 tokens.
Ctrl-C stops an answer; twice at an empty prompt it ends the talk.`;
}

/** A command is a slash and letters, alone or before a space: paths such as /etc/hosts are none. */
const shape = /^\/([a-z]+|\?)(?:\s+([\s\S]*))?$/;

/** What a line that begins with a slash asks for; undefined where it is a message. */
export async function runCommand(context: CommandContext, line: string): Promise<CommandResult | undefined> {
  const [, typed, argument = ""] = shape.exec(line.trimEnd()) ?? [];
  if (typed === undefined) return undefined;
  const name = Object.hasOwn(aliases, typed) ? aliases[typed] : typed;
  if (!Object.hasOwn(commands, name)) {
    const text = `/${name} is no command; /help lists them. With a space before it, the line is a message`;
    return { type: "reply", text };
  }
  try {
    const result = await commands[name].run(context, argument.trim());
    return typeof result === "string" ? { type: "reply", text: result } : result;
  } catch (error) {
    if (!(error instanceof KindlingError)) throw error;
    return { type: "reply", text: `error: ${messageOf(error)}` };
  }
}

const takesFile = new Set(["save", "load", "export", "image"]);

/** What the Tab key offers for a line, as readline wants it: the candidates, and what of the line they replace. */
export async function completed(conversation: Conversation, line: string): Promise<[string[], string]> {
  const [, name, rest] = /^\/(\w+)\s+(.*)$/.exec(line) ?? [];
  if (name === undefined) {
    const all = Object.keys(commands).map((command) => `/${command}`);
    return [line.startsWith("/") ? all.filter((command) => command.startsWith(line)) : [], line];
  }
  const candidates = takesFile.has(name)
    ? files(rest)
    : name === "set"
      ? settingNames
      : name === "model"
        ? ((await conversation.model.list()) ?? [])
        : [];
  return [candidates.filter((candidate) => candidate.startsWith(rest)), rest];
}

function files(begun: string): string[] {
  const folder = begun.endsWith("/") ? begun : dirname(begun);
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    const prefix = begun.includes("/") ? folder : "";
    return entries.map((entry) => join(prefix, entry.name) + (entry.isDirectory() ? "/" : ""));
  } catch {
    return [];
  }
}

async function write(file: string, text: string, example: string): Promise<string> {
  if (file === "") return `which file? for example ${example}`;
  try {
    await writeFile(file, text, { flag: "wx" });
    return `saved ${file}`;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === "EEXIST" ? `${file} is there already; choose another name` : `cannot save: ${message}`;
  }
}

/** A talk in the form of OpenAI's messages, or what is wrong with the file. */
async function readTalk(file: string): Promise<Pick<Conversation, "system" | "messages"> | string> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    return `cannot load ${file}: ${(error as Error).message}`;
  }
  const messages: TalkMessage[] = [];
  let system: string | undefined;
  for (const [i, entry] of (Array.isArray(json) ? json : [undefined]).entries()) {
    const { role, content } = isObject(entry) ? entry : {};
    if (role === "system" && i === 0 && typeof content === "string") system = content;
    else if ((role === "user" || role === "assistant") && isContent(content))
      messages.push({ role, ...partsOf(content) });
    else return `cannot load ${file}: expected a list of messages, as /save writes it`;
  }
  return { system, messages };
}

type Part = { type: "text"; text: string } | { type: "image_url"; image_url: { url: string } };

const isContent = (value: unknown): value is string | Part[] =>
  typeof value === "string" ||
  (Array.isArray(value) &&
    value.every((part) =>
      part?.type === "text" ? typeof part.text === "string" : typeof part?.image_url?.url === "string",
    ));

function partsOf(content: string | readonly Part[]): Pick<TalkMessage, "content" | "images"> {
  if (typeof content === "string") return { content };
  const texts = content.flatMap((part) => (part.type === "text" ? [part.text] : []));
  return {
    content: texts.join("\n"),
    images: content.flatMap((part) => (part.type === "image_url" ? [part.image_url.url] : [])),
  };
}

function markdown({ system, messages }: Conversation): string {
  const names = { user: "You", assistant: "Model" };
  const parts = messages.map(({ role, content, images = [] }) => {
    const pictures = images.map((url) => `![image](${url})\n\n`).join("");
    return `## ${names[role]}\n\n${pictures}${content}\n`;
  });
  return [...(system === undefined ? [] : [`> ${system.replaceAll("\n", "\n> ")}\n`]), ...parts].join("\n");
}
