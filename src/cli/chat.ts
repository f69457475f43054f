import { createInterface } from "node:readline/promises";
import { generateText } from "../generate/index.ts";
import type { ServedModel } from "../serve/index.ts";
import { type ChatMessage, chatFormat } from "../tokenizers/index.ts";
import { abortOnInterrupt } from "./interrupt.ts";

export interface SampleOptions {
  maxNewTokens?: number;
  contextShift?: boolean;
  temperature: number;
  topK?: number;
  topP: number;
  seed: number;
  stop?: string[];
}

/** `kindling generate`: continues a prompt on standard output. */
export async function generateCommand({ generator, tokenizer }: ServedModel, prompt: string, options: SampleOptions): Promise<void> {
  const { signal, dispose } = abortOnInterrupt(() => {});
  try {
    process.stdout.write(prompt);
    for await (const { text } of generateText(generator, tokenizer, prompt, { ...options, signal })) process.stdout.write(text);
    process.stdout.write("\n");
  } catch (error) {
    if (!signal.aborted) throw error;
    process.stdout.write("\n");
  } finally {
    dispose();
  }
}

/** `kindling chat`: a conversation in the terminal, by the model's chat template; a base model continues a transcript. */
export async function chatCommand({ generator, tokenizer, chatTemplate }: ServedModel, options: SampleOptions): Promise<void> {
  const format = chatFormat(chatTemplate, tokenizer);
  const terminal = createInterface({ input: process.stdin, output: process.stdout, prompt: "user: " });
  process.stdout.write("Type a line; the model answers. Ctrl-D ends.\n");
  const messages: ChatMessage[] = [];
  terminal.prompt();
  for await (const line of terminal) {
    messages.push({ role: "user", content: line });
    process.stdout.write("assistant: ");
    let answer = "";
    for await (const { text } of generateText(generator, tokenizer, format.render(messages), {
      ...options,
      addSpecialTokens: format.addSpecialTokens,
      stop: [...format.stop, ...(options.stop ?? [])],
    })) {
      process.stdout.write(text);
      answer += text;
    }
    messages.push({ role: "assistant", content: answer.trim() });
    process.stdout.write("\n");
    terminal.prompt();
  }
  process.stdout.write("\n");
}
