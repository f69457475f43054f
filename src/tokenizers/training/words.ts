/** From texts to counted words: what a tokenizer's normalizer and pre-tokenizer make of them, before any model. */
import { OptionError, RuntimeError } from "../../ir/index.ts";
import { pretokens, toByteCharacters } from "../byte-level.ts";
import { type Json, tokenizerJson } from "../json-parts.ts";

/** The parts of a tokenizer.json that cut texts into words; null where there is none. */
export interface CuttingParts {
  normalizer: Json | null;
  preTokenizer: Json | null;
}

/** By code points, as Python and Rust order strings; JavaScript's own order is by UTF-16 units. */
export function byCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x === y) continue;
    const isPair = (unit: number) => unit >= 0xd800 && unit < 0xe000;
    return isPair(x) === isPair(y) ? x - y : isPair(x) ? 1 : -1;
  }
  return a.length - b.length;
}

/** Counts the words of texts. */
export interface WordCounter {
  add(text: string): void;
  /** How often each word occurs, in the order of code points. */
  counts(): Map<string, number>;
}

/**
 * A counter for how a tokenizer cuts texts. GPT-2's cut is made here, all others by Hugging Face's library.
 * @throws RuntimeError where the cut needs that library and it is not installed, OptionError for parts that it does not know
 */
export async function wordCounter({ normalizer, preTokenizer }: CuttingParts): Promise<WordCounter> {
  if (!normalizer && isByteLevel(preTokenizer)) return new ByteLevelCounter();
  const library = await import("tokenizers").then(
    (module) => (module as unknown as { default: typeof import("tokenizers") }).default,
    (cause) => {
      throw new RuntimeError({ where: "tokenizer training", expected: "the package tokenizers", received: "none", fix: "npm install tokenizers", cause });
    },
  );
  const empty = { type: "WordLevel", vocab: { a: 0 }, unk_token: "a" };
  const file = tokenizerJson({ normalizer, pre_tokenizer: preTokenizer, model: empty });
  try {
    const parts = library.Tokenizer.fromString(JSON.stringify(file));
    const [first, second] = [parts.getNormalizer(), parts.getPreTokenizer()];
    return new LibraryCounter(
      (text) => first?.normalizeString(text) ?? text,
      (text) => (second ? (second.preTokenizeString(text) as [string, unknown][]).map(([word]) => word) : [text]),
    );
  } catch (cause) {
    const received = (cause as Error).message;
    throw new OptionError({ where: "tokenizer training", expected: "a normalizer and preTokenizer of tokenizer.json", received, fix: "correct them", cause });
  }
}

const isByteLevel = (json: Json | null): boolean => json?.type === "ByteLevel" && json.add_prefix_space === false && json.use_regex !== false;

const inOrder = (counts: ReadonlyMap<string, number>): Map<string, number> => new Map([...counts].sort(([a], [b]) => byCodePoints(a, b)));

/** GPT-2's words, written in the byte-level alphabet once all are counted. */
export class ByteLevelCounter implements WordCounter {
  private readonly found = new Map<string, number>();

  add(text: string): void {
    for (const [word] of text.matchAll(pretokens())) this.found.set(word, (this.found.get(word) ?? 0) + 1);
  }

  counts(): Map<string, number> {
    return inOrder(new Map([...this.found].map(([word, count]) => [toByteCharacters(word), count])));
  }
}

class LibraryCounter implements WordCounter {
  private readonly found = new Map<string, number>();
  private readonly normalize: (text: string) => string;
  private readonly cut: (text: string) => string[];

  constructor(normalize: (text: string) => string, cut: (text: string) => string[]) {
    this.normalize = normalize;
    this.cut = cut;
  }

  add(text: string): void {
    for (const word of this.cut(this.normalize(text))) if (word !== "") this.found.set(word, (this.found.get(word) ?? 0) + 1);
  }

  counts(): Map<string, number> {
    return inOrder(this.found);
  }
}
