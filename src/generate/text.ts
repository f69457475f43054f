import { encodePrompt, type Tokenizer } from "../tokenizers/index.ts";
import type { EmbeddedPrompt } from "./causal-decoder.ts";
import { keptStream } from "./chat/index.ts";
import type { FinishReason } from "./finish-reason.ts";
import { settingsOf } from "./generation-config.ts";
import type { GenerateOptions, Generator } from "./generator.ts";
import type { Grammar } from "./grammar/grammar.ts";
import { grammarConstraint } from "./grammar/pick-constraint.ts";
import type { TokenLogprobs } from "./log-probabilities.ts";

/** How a text is continued: as `Generator.generate`, and where it ends as text. */
export interface TextOptions extends GenerateOptions {
  /**
   * Texts that end the generation and are not given out, besides `stopStrings` and those of the model's
   * generation_config.json.
   */
  stop?: readonly string[];
  /**
   * Add what the model expects around a text; a chat template writes it itself. Token ids stay as they are. @default
   * true
   */
  addSpecialTokens?: boolean;
  /** What the text must be like: a JSON Schema, a regular expression and others as a `Grammar`. @default anything */
  grammar?: Grammar;
  /** Special tokens whose texts are given out. @default none */
  keptTokens?: readonly string[];
  /** What stands in place of token ids where some of them stand for images: see `ImageEmbedder`. @default none do */
  embedded?: EmbeddedPrompt;
}

/** A piece of a text that is being written: the pieces in their order are the whole of it. */
export interface TextPiece {
  /** Whole characters, nothing of a stop text; "" in a last piece that adds none. */
  text: string;
  /** Tokens made so far. */
  tokens: number;
  /** How probable the tokens since the last piece were, with `topLogprobs`. */
  logprobs?: readonly TokenLogprobs[];
  /** Set on the last piece. */
  finishReason?: FinishReason;
  /** The stop text that has ended the text. @default it ended otherwise */
  stopText?: string;
}

/**
 * Continues a text, or token ids, giving pieces as soon as they are certain: whole characters only, and nothing that
 * may turn out to be the start of a stop text.
 */
export async function* generateText(
  generator: Generator,
  tokenizer: Tokenizer,
  prompt: string | readonly number[],
  options: TextOptions = {},
): AsyncGenerator<TextPiece, void, void> {
  const {
    addSpecialTokens = true,
    stop: ends = [],
    stopStrings,
    grammar,
    keptTokens = [],
    embedded,
    ...rest
  } = options;
  const stop = [
    ...ends,
    ...(stopStrings ?? settingsOf(generator.model.generationConfig, { stopStrings }).stopStrings ?? []),
  ];
  const ids =
    typeof prompt === "string" ? [...(await encodePrompt(tokenizer, prompt, { addSpecialTokens }))] : [...prompt];
  if (ids.length === 0 && tokenizer.endOfTextId !== null) ids.push(tokenizer.endOfTextId);
  const decoder = keptTokens.length > 0 ? keptStream(tokenizer, keptTokens) : tokenizer.stream();
  const logprobs = new CollectedLogprobs(rest);
  const settings = {
    ...rest,
    ...logprobs.options,
    ...(grammar && { constraint: grammarConstraint(grammar, tokenizer) }),
    stopStrings: [],
    ...(await breakersOf(tokenizer, rest)),
  };
  const tokens = generator.generate(ids, settings, embedded);
  let held = "";
  let count = 0;
  const piece = (length: number, finishReason?: FinishReason, stopText?: string): TextPiece => {
    const text = held.slice(0, length);
    held = held.slice(length);
    return {
      text,
      tokens: count,
      ...logprobs.take(),
      ...(finishReason && { finishReason }),
      ...(stopText && { stopText }),
    };
  };
  try {
    for (;;) {
      const next = await tokens.next();
      held += await (next.done ? decoder.flush() : decoder.push(next.value));
      if (!next.done) {
        count++;
        logprobs.keepLast();
      }
      const end = firstOccurrence(held, stop);
      if (end) return yield piece(end.at, "stop", end.text);
      if (next.done) return yield piece(held.length, next.value);
      const safe = held.length - possibleStart(held, stop);
      if (safe > 0) yield piece(safe);
    }
  } finally {
    await tokens.return("stop");
  }
}

/** How probable tokens were, of those that are given out: not of the one that ends the text. */
class CollectedLogprobs {
  readonly options: Pick<TextOptions, "onLogprobs"> = {};
  private readonly isAsked: boolean;
  private last: TokenLogprobs | undefined;
  private collected: TokenLogprobs[] = [];

  constructor({ topLogprobs, onLogprobs }: TextOptions) {
    this.isAsked = topLogprobs !== undefined;
    if (!this.isAsked) return;
    this.options.onLogprobs = (logprobs) => {
      this.last = logprobs;
      onLogprobs?.(logprobs);
    };
  }

  keepLast(): void {
    if (this.last) this.collected.push(this.last);
  }

  /** Those since this was asked last. */
  take(): Pick<TextPiece, "logprobs"> {
    const logprobs = this.collected;
    this.collected = [];
    return this.isAsked ? { logprobs } : {};
  }
}

/** What sequences of DRY do not go beyond; those of llama.cpp and text-generation-webui. */
const SEQUENCE_BREAKERS = ["\n", ":", '"', "*"];

/** Texts that break sequences as tokens: each text by the last one that it is encoded to after a letter. */
async function breakersOf(tokenizer: Tokenizer, options: TextOptions): Promise<TextOptions> {
  const { dryMultiplier = 0, drySequenceBreakers: texts, drySequenceBreakerIds: ids } = options;
  if (dryMultiplier === 0) return {};
  const last = async (text: string) => (await tokenizer.encode(`a${text}`, { addSpecialTokens: false })).at(-1);
  const encoded = await Promise.all((texts ?? (ids ? [] : SEQUENCE_BREAKERS)).map(last));
  const breakers = [...(ids ?? []), ...encoded.filter((id) => id !== undefined)];
  return { drySequenceBreakers: undefined, drySequenceBreakerIds: breakers };
}

/** The earliest stop text; of several at one place the first of the list. */
function firstOccurrence(text: string, stops: readonly string[]): { at: number; text: string } | undefined {
  const occurrences = stops.map((stop) => ({ at: text.indexOf(stop), text: stop })).filter(({ at }) => at >= 0);
  return occurrences.toSorted((a, b) => a.at - b.at)[0];
}

/** Length of the longest end of `text` that some stop text begins with. */
function possibleStart(text: string, stops: readonly string[]): number {
  for (let length = Math.min(text.length, Math.max(0, ...stops.map((stop) => stop.length - 1))); length > 0; length--) {
    const tail = text.slice(-length);
    if (stops.some((stop) => stop.startsWith(tail))) return length;
  }
  return 0;
}
