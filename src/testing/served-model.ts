/** Small models for tests of the server. */
import { type GenerateOptions, Generator } from "../generate/index.ts";
import { GPT2LMHeadModel } from "../models/index.ts";
import type { ServedModel } from "../serve/index.ts";
import { randomKey } from "../tensor/index.ts";
import { characterTokenizer } from "./characters.ts";

/** Printable ASCII and the line break: ids 1 to 96. */
const asciiTokenizer = await characterTokenizer(
  `${Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join("")}\n`,
);

/** A tiny GPT-2 of random weights over characters. */
function tinyModel(contextLength: number, { hiddenSize = 32, numLayers = 1 } = {}): GPT2LMHeadModel {
  const { vocabSize } = asciiTokenizer;
  const config = {
    vocabSize,
    maxPositionEmbeddings: contextLength,
    hiddenSize,
    numLayers,
    numHeads: 2,
    bosTokenId: 0,
    eosTokenId: null,
  };
  return new GPT2LMHeadModel(config, randomKey(1));
}

/** A model that needs some seconds for a prompt of 2000 tokens, in one run. */
export const slowServedModel = (): ServedModel => ({
  id: "slow",
  generator: new Generator(tinyModel(2048, { hiddenSize: 512, numLayers: 6 }), { prefillTokens: 2048 }),
  tokenizer: asciiTokenizer,
});

export const tinyServedModel = ({
  contextLength = 64,
  chatTemplate,
}: {
  contextLength?: number;
  chatTemplate?: string;
} = {}): ServedModel => ({
  id: "tiny",
  generator: new Generator(tinyModel(contextLength)),
  tokenizer: asciiTokenizer,
  chatTemplate,
});

/** Gives tokens when the test says so, and notes what it was asked. */
export class HeldGenerator extends Generator {
  readonly prompts: (readonly number[])[] = [];
  readonly options: GenerateOptions[] = [];
  /** Tokens of an answer that come before the others wait. */
  private free = 0;
  private open = () => {};
  private gate: Promise<void> = Promise.resolve();

  /** From now on tokens wait for `release`, all but the first few of each answer. */
  hold(free = 0): void {
    this.free = free;
    this.gate = new Promise((resolve) => {
      this.open = resolve;
    });
  }

  release(): void {
    this.open();
  }

  override async *generate(
    prompt: readonly number[],
    options: GenerateOptions = {},
  ): AsyncGenerator<number, "stop" | "length", void> {
    this.prompts.push(prompt);
    this.options.push(options);
    const { maxNewTokens = 1, signal } = options;
    const ended = new AbortController(); // of listening
    const aborted = new Promise((resolve) => signal?.addEventListener("abort", resolve, { signal: ended.signal }));
    try {
      for (let i = 0; i < maxNewTokens; i++) {
        if (i >= this.free) await Promise.race([this.gate, aborted]);
        // as a model, which leaves time to others
        if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
        signal?.throwIfAborted();
        yield 1 + (i % 95);
      }
      return "length";
    } finally {
      ended.abort();
    }
  }
}

/** Writes the same text each time. */
export class ScriptedGenerator extends HeldGenerator {
  text = "";
  /** What comes in place of its end. */
  failure: Error | undefined;

  override async *generate(
    prompt: readonly number[],
    options: GenerateOptions = {},
  ): AsyncGenerator<number, "stop" | "length", void> {
    this.prompts.push(prompt);
    this.options.push(options);
    for (const [i, character] of [...this.text].entries()) {
      if (i === options.maxNewTokens) return "length";
      await new Promise((resolve) => setImmediate(resolve));
      yield character === "\n" ? 96 : character.charCodeAt(0) - 31;
    }
    if (this.failure) throw this.failure;
    return "stop";
  }
}

/** A model that writes what the test says. */
export function scriptedModel(chatTemplate: string): ServedModel & { generator: ScriptedGenerator } {
  const generator = new ScriptedGenerator(tinyModel(4096), { maxSequences: 4 });
  return { id: "scripted", generator, tokenizer: asciiTokenizer, chatTemplate };
}

/** A chat template with Hermes' form of calls, and with thoughts where they are asked for. */
export const callTemplate =
  "{% for m in messages %}{{ m.role }}: {{ m.reasoning_content }}{{ m.content }}{% for c in m.tool_calls %}<tool_call>{{ c.function | tojson }}{% endfor %}{{ '\n' }}{% endfor %}{% if tools %}<tool_call>{{ tools | tojson }}{% endif %}{% if enable_thinking %}<think>\n{% endif %}{# <think></think> #}";

/** A call of the tool "add" in that form. */
export const addCall = '<tool_call>\n{"name": "add", "arguments": {"a": 5}}\n</tool_call>';

/** The text of the last prompt that a model got. */
export const lastPromptOf = ({ generator, tokenizer }: ServedModel & { generator: HeldGenerator }): Promise<string> =>
  tokenizer.decode([...(generator.prompts.at(-1) ?? [])]);

/** @param maxSequences texts at the same time */
export function heldModel(contextLength = 64, maxSequences = 1): ServedModel & { generator: HeldGenerator } {
  const generator = new HeldGenerator(tinyModel(contextLength), { maxSequences });
  return { id: "held", generator, tokenizer: asciiTokenizer };
}
