import { createInterface } from "node:readline/promises";
import { text } from "node:stream/consumers";
import { freshSeed, generateText, settingsOf, type TextOptions } from "../generate/index.ts";
import type { ServedModel } from "../serve/index.ts";
import { type ChatMessage, chatFormat } from "../tokenizers/index.ts";
import { abortOnInterrupt } from "./interrupt.ts";

/** `kindling generate`: continues a prompt on standard output; "-" reads it from standard input. Tells the seed of a text that was drawn without one. */
export async function generateCommand({ generator, tokenizer }: ServedModel, given: string, asked: TextOptions): Promise<void> {
  const prompt = given === "-" ? await text(process.stdin) : given;
  const options = withSeed(generator, asked);
  const { signal, dispose } = abortOnInterrupt(() => {});
  try {
    process.stdout.write(prompt);
    for await (const piece of generateText(generator, tokenizer, prompt, { ...options, signal })) process.stdout.write(piece.text);
    process.stdout.write("\n");
    if (options.seed !== undefined && asked.seed === undefined) process.stderr.write(`(--seed ${options.seed} gives this text again)\n`);
  } catch (error) {
    if (!signal.aborted) throw error;
    process.stdout.write("\n");
  } finally {
    dispose();
  }
}

/** The options with a seed that can be told, where something is drawn. */
function withSeed({ model }: ServedModel["generator"], options: TextOptions): TextOptions {
  const isDrawn = settingsOf(model.generationConfig, options).limits.temperature !== 0;
  return isDrawn ? { seed: freshSeed(), ...options } : options;
}

/** `kindling chat`: a conversation in the terminal, by the model's chat template; a base model continues a transcript. */
export async function chatCommand({ generator, tokenizer, chatTemplate }: ServedModel, options: TextOptions): Promise<void> {
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
      contextShift: true, // a long talk goes on
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
