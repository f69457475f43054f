import { text } from "node:stream/consumers";
import { freshSeed, generateText, settingsOf, type TextOptions } from "../generate/index.ts";
import type { ServedModel } from "../serve/index.ts";
import { encodePrompt } from "../tokenizers/index.ts";
import { abortOnInterrupt, INTERRUPTED } from "./interrupt.ts";

/**
 * `kindling generate`: continues a prompt on standard output; "-" reads it from standard input. Tells the seed of a
 * text that was drawn without one.
 */
export async function generateCommand(
  { generator, tokenizer, speculation }: ServedModel,
  promptOption: string,
  asked: TextOptions,
): Promise<void> {
  // echo ends with a newline that nobody meant
  const prompt = promptOption === "-" ? (await text(process.stdin)).replace(/\r?\n$/, "") : promptOption;
  const options = withSeed(generator, asked);
  const ids = await encodePrompt(tokenizer, prompt); // before anything is shown: what it warns of has lines of its own
  const { signal, dispose } = abortOnInterrupt(() => {});
  try {
    process.stdout.write(prompt);
    for await (const piece of generateText(generator, tokenizer, ids, { ...speculation, ...options, signal }))
      process.stdout.write(piece.text);
    process.stdout.write("\n");
    if (options.seed !== undefined && asked.seed === undefined)
      process.stderr.write(`(--seed ${options.seed} gives this text again)\n`);
  } catch (error) {
    process.stdout.write("\n"); // the prompt, and perhaps a part of the text, are there
    if (!signal.aborted) throw error;
    process.exitCode = INTERRUPTED;
  } finally {
    dispose();
  }
}

/** The options with a seed that can be told, where something is drawn. */
function withSeed({ model }: ServedModel["generator"], options: TextOptions): TextOptions {
  const isDrawn = settingsOf(model.generationConfig, options).limits.temperature !== 0;
  return isDrawn ? { seed: freshSeed(), ...options } : options;
}
