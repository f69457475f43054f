import { OptionError } from "../../base/index.ts";
import type { PromptLookupOptions } from "./prompt-lookup.ts";
import { type DraftOptions, DraftProposer, type DraftWriter, LookupProposer, type Proposer } from "./proposer.ts";

/**
 * How tokens are proposed, so that several can be run at once; those are kept that the model itself would have picked
 * (speculative decoding: Leviathan et al. 2022, arXiv:2211.17192). A text is distributed as without, and comes faster
 * where much is accepted. For texts that are written alone, since those of several are run together anyway, and for
 * the CPU with koffi; elsewhere nothing is proposed. Names are those of transformers.
 */
export interface SpeculationOptions
  extends Pick<PromptLookupOptions, "promptLookupNumTokens" | "maxMatchingNgramSize">,
    DraftOptions {
  /** A generator of a smaller model with the same tokenizer, whose likeliest tokens are proposed. @default none */
  assistant?: DraftWriter;
}

export const speculationNames = [
  "assistant",
  "numAssistantTokens",
  "assistantConfidenceThreshold",
  "promptLookupNumTokens",
  "maxMatchingNgramSize",
] as const satisfies readonly (keyof SpeculationOptions)[];

/** The other settings of a text. */
export function withoutSpeculation<T extends SpeculationOptions>(settings: T): Omit<T, keyof SpeculationOptions> {
  const names: readonly string[] = speculationNames;
  return Object.fromEntries(Object.entries(settings).filter(([name]) => !names.includes(name))) as T;
}

/** Settings that see each token when it is picked, which is before it is accepted. */
const watchers = ["onLogits", "onLogprobs", "topLogprobs"] as const;
type Watched = { [name in (typeof watchers)[number]]?: unknown };

/**
 * What proposes the tokens of a text; undefined where nothing is to.
 * @param writer the generator of the model that decides
 * @throws OptionError for settings that do not go together or are out of range
 */
export function proposerOf(options: SpeculationOptions & Watched, writer: DraftWriter): Proposer | undefined {
  const { assistant, promptLookupNumTokens, maxMatchingNgramSize } = options;
  requireTogether(options, writer);
  if (assistant) return new DraftProposer(assistant, writer.model.config.vocabSize, options);
  if (promptLookupNumTokens === undefined) return undefined;
  return new LookupProposer({ promptLookupNumTokens, maxMatchingNgramSize });
}

function requireTogether(options: SpeculationOptions & Watched, writer: DraftWriter): void {
  const { assistant, promptLookupNumTokens: lookup } = options;
  const set = (names: readonly (keyof typeof options)[]) => names.filter((name) => options[name] !== undefined);
  const refuse = (expected: string, received: string, fix: string) => {
    throw new OptionError({ where: "generate", expected, received, fix });
  };
  if (assistant === writer)
    refuse("an assistant of a smaller model", "the generator itself", "make a Generator of the smaller model");
  if (assistant && lookup !== undefined) refuse("an assistant or promptLookupNumTokens", "both", "leave one out");
  const [watcher] = set(watchers);
  if ((assistant || lookup !== undefined) && watcher)
    refuse(`no ${watcher} where tokens are proposed`, "both", "leave one out");
  const [stray] = assistant ? [] : set(["numAssistantTokens", "assistantConfidenceThreshold"]);
  if (stray) refuse(`an assistant with ${stray}`, "none", "give one, or leave it out");
  if (lookup === undefined && options.maxMatchingNgramSize !== undefined)
    refuse("promptLookupNumTokens with maxMatchingNgramSize", "none", "give it, or leave the other out");
}
