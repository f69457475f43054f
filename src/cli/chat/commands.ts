import { writeFile } from "node:fs/promises";
import type { Conversation } from "./conversation.ts";

const help = `/system <text>   how the model is to behave; alone: shows it; /system - removes it
/clear           forget what was said
/save <file>     write the talk to a new file, as JSON
/help            this text
/exit            end, as Ctrl-D
A line that ends with \\ goes on with the next; """ begins and ends a text of several lines.
Several lines that are pasted are one message, which the Enter key sends.
An answer goes on to its end, or as long as the context has room; --tokens <n> cuts it off earlier. A model without a chat template writes 128 tokens.
Ctrl-C stops an answer; again, or at an empty prompt, it ends the talk.`;

/** A command is a slash and letters, alone or before a space: paths such as /etc/hosts are none. */
const shape = /^\/([a-z]+)(?:\s+([\s\S]*))?$/;

type Command = (conversation: Conversation, argument: string) => string | Promise<string>;

const commands: Readonly<Record<string, Command>> = {
  help: () => help,
  clear: (conversation) => {
    conversation.messages = [];
    return "forgotten; the system prompt stays";
  },
  system: (conversation, text) => {
    if (text !== "") conversation.system = text === "-" ? undefined : text;
    return conversation.system === undefined ? "no system prompt" : `system prompt: ${conversation.system}`;
  },
  save: async (conversation, file) => {
    if (file === "") return "which file? /save talk.json";
    try {
      await writeFile(file, `${JSON.stringify(conversation.transcript, null, 2)}\n`, { flag: "wx" });
      return `saved ${file}`;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      return code === "EEXIST" ? `${file} is there already; choose another name` : `cannot save: ${message}`;
    }
  },
};

/** What a line that begins with a slash does: the text to show, "exit", or undefined where it is a message. */
export async function runCommand(
  conversation: Conversation,
  line: string,
): Promise<{ reply: string } | "exit" | undefined> {
  const [, name, argument = ""] = shape.exec(line.trimEnd()) ?? [];
  if (name === undefined) return undefined;
  if (name === "exit" || name === "quit" || name === "bye") return "exit";
  if (!Object.hasOwn(commands, name))
    return { reply: `/${name} is no command; /help lists them. With a space before it, the line is a message` };
  return { reply: await commands[name](conversation, argument.trim()) };
}
