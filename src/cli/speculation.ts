import { OptionError } from "../base/index.ts";
import { Generator } from "../generate/index.ts";
import { fromPretrained } from "../models/index.ts";
import type { ServedSpeculation } from "../serve/index.ts";
import { Tokenizer } from "../tokenizers/index.ts";

/** How tokens of a text are proposed. */
export interface ProposalOptions {
  /** Most tokens that are looked up in the text at once. @default none are */
  promptLookup?: number;
  /** The folder or file of a smaller model with the same tokenizer that proposes tokens. @default none */
  assistant?: string;
}

/**
 * What a model's texts are written with, its assistant loaded.
 * @param tokenizer of the model
 * @param mmap whether the assistant's weights are mapped, as `fromPretrained` takes it
 * @throws OptionError for an assistant with another tokenizer
 */
export async function openSpeculation(
  { promptLookup, assistant }: ProposalOptions,
  tokenizer: Tokenizer,
  mmap: boolean | undefined,
): Promise<ServedSpeculation | undefined> {
  if (assistant === undefined) return promptLookup === undefined ? undefined : { promptLookupNumTokens: promptLookup };
  requireSameTokens(await Tokenizer.open(assistant), tokenizer, assistant);
  const model = await fromPretrained(assistant, { task: "causal-lm", weights: "blocks", mmap });
  return { assistant: new Generator(model) };
}

/** @throws OptionError where an id stands for other tokens: vocabularies may be of different length */
function requireSameTokens(assistant: Tokenizer, tokenizer: Tokenizer, path: string): void {
  const count = Math.min(assistant.vocabSize, tokenizer.vocabSize);
  for (let id = 0; id < count; id++) {
    if (assistant.idToToken(id) === tokenizer.idToToken(id)) continue;
    const [theirs, ours] = [assistant, tokenizer].map((each) => JSON.stringify(each.idToToken(id)));
    throw new OptionError({
      where: "--assistant",
      expected: "a model with the tokenizer of the one that it helps",
      received: `${path}, whose token ${id} is ${theirs}, not ${ours}`,
      fix: "take a smaller model of the same family",
    });
  }
}
