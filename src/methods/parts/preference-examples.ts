/** Rows of preferences and ratings as texts of tokens. */
import { DataError } from "../../base/index.ts";
import { type BadRows, type Preference, type RatedCompletion, type Rows, readExamples } from "../../data/index.ts";
import { chatFormat, type Tokenizer } from "../../tokenizers/index.ts";
import type { SharedConfig } from "../config/schema.ts";
import type { MethodContext } from "../method.ts";
import { type CompletionTokens, completionTokens, fitCompletions, isLearnable } from "./completion-tokens.ts";
import type { LearnedTokens } from "./conversation-tokens.ts";
import { datasetsOf, openData } from "./datasets.ts";

/** An example of two texts. */
export interface PreferenceExample {
  /** Of a pair the one with the chosen completion and that with the rejected one; of a rated completion it and another
   * with the same prompt and the completion of another row. */
  texts: readonly [LearnedTokens, LearnedTokens];
  /** Of a rated completion. */
  isDesirable?: boolean;
  /** Of a pair, how much better the chosen one is to be. */
  margin?: number;
  /** What the reference model gives the completions of both texts, in nats, where that was computed before. */
  reference?: readonly [number, number];
}

/** The examples of a config, in memory. */
export interface OpenedPreferences {
  train: PreferenceExample[];
  validation: PreferenceExample[] | undefined;
  facts: Readonly<Record<string, number>>;
  fingerprint: Readonly<Record<string, string>>;
}

/** What rows are read with. */
interface ReadParts {
  config: SharedConfig;
  tokenizer: Tokenizer;
  context: MethodContext;
}

/**
 * The examples of a config: pairs, or completions that are rated.
 * @throws DataError for rows that are none, and when none is left within maxLength
 */
export async function openPreferences(
  parts: ReadParts,
  { isRated = false }: { isRated?: boolean } = {},
): Promise<OpenedPreferences> {
  const { train, validation, badRows, close } = await openData(parts.config.data, parts.context);
  const read = isRated ? readRated : readPairs;
  try {
    const learned = await read(train, parts, badRows);
    const measured = validation && (await read(validation, parts, badRows));
    return {
      train: learned,
      validation: measured,
      facts: { ...factsOf(learned), ...(measured && { "validation examples": measured.length }) },
      fingerprint: { data: (await train.fingerprint()) ?? "none" },
    };
  } finally {
    await close();
  }
}

/** How many there are, of which kind, and how long. */
function factsOf(examples: readonly PreferenceExample[]): Record<string, number> {
  const isRated = examples[0].isDesirable !== undefined;
  const lengths = examples.flatMap(({ texts }) => texts.map(({ ids }) => ids.length));
  return {
    [isRated ? "completions" : "pairs"]: examples.length,
    ...(isRated && { desirable: examples.filter(({ isDesirable }) => isDesirable).length }),
    tokens: lengths.reduce((a, b) => a + b, 0),
    "longest text": Math.max(...lengths),
  };
}

async function readPairs(rows: Rows, parts: ReadParts, badRows: BadRows): Promise<PreferenceExample[]> {
  const { columns } = namedOf(parts.config);
  const { examples: pairs } = await readExamples(rows, { format: "preference", columns, badRows });
  const format = chatFormat(parts.tokenizer.chatTemplate, parts.tokenizer);
  const fit = new Fit(parts, pairs.count);
  for await (const { prompt, chosen, rejected, margin } of pairs as AsyncIterable<Preference>) {
    const encode = (completion: Preference["chosen"]) =>
      completionTokens({ prompt, completion }, { tokenizer: parts.tokenizer, format });
    fit.add([await encode(chosen), await encode(rejected)], margin === undefined ? {} : { margin });
  }
  return fit.finish("pairs");
}

/** Each with its prompt before the completion of another row as well. */
async function readRated(rows: Rows, parts: ReadParts, badRows: BadRows): Promise<PreferenceExample[]> {
  const { columns } = namedOf(parts.config);
  const { examples: rated } = await readExamples(rows, { format: "kto", columns, badRows });
  const format = chatFormat(parts.tokenizer.chatTemplate, parts.tokenizer);
  const tokens: (CompletionTokens & { isDesirable: boolean })[] = [];
  for await (const example of rated as AsyncIterable<RatedCompletion>) {
    const { isDesirable } = example;
    tokens.push({ ...(await completionTokens(example, { tokenizer: parts.tokenizer, format })), isDesirable });
  }
  const fit = new Fit(parts, tokens.length);
  for (const [i, { isDesirable, ...text }] of tokens.entries()) {
    const { completion } = tokens[otherRow(tokens, i)];
    fit.add([text, { prompt: text.prompt, completion }], { isDesirable });
  }
  const examples = fit.finish("rated completions");
  warnOfOneKind(examples, parts.context);
  return examples;
}

/** The next row that has another prompt; the next one where all have the same. */
function otherRow(tokens: readonly CompletionTokens[], i: number): number {
  const { prompt } = tokens[i];
  for (let distance = 1; distance < tokens.length; distance++) {
    const other = (i + distance) % tokens.length;
    if (!isSame(tokens[other].prompt, prompt)) return other;
  }
  return (i + 1) % tokens.length;
}

function warnOfOneKind(examples: readonly PreferenceExample[], { onWarning }: MethodContext): void {
  const [{ isDesirable }] = examples;
  if (examples.some((example) => example.isDesirable !== isDesirable)) return;
  const kind = isDesirable ? "desirable" : "undesirable";
  onWarning({
    where: "data",
    notes: [`all ${examples.length} completions are ${kind}: there is nothing to tell them from`],
  });
}

const isSame = (a: Int32Array, b: Int32Array): boolean => a.length === b.length && a.every((id, i) => id === b[i]);

/** The first data set's columns. */
const namedOf = (config: SharedConfig) =>
  datasetsOf(config.data.train)[0] as { columns?: Readonly<Record<string, string>> };

/** Holds examples to maxLength, and counts what that changes. */
class Fit {
  private readonly examples: PreferenceExample[] = [];
  private readonly parts: ReadParts;
  private readonly count: number;
  private counts = { seen: 0, cut: 0, skipped: 0, empty: 0, alike: 0 };

  constructor(parts: ReadParts, count: number) {
    this.parts = parts;
    this.count = count;
  }

  add(texts: readonly [CompletionTokens, CompletionTokens], more: Omit<PreferenceExample, "texts">): void {
    const { config, context } = this.parts;
    const { maxLength, onTooLong } = config.data;
    context.signal?.throwIfAborted();
    this.counts.seen++;
    context.onProgress?.("encoding preferences", this.counts.seen / this.count);
    const isLong = texts.some(({ prompt, completion }) => prompt.length + completion.length > maxLength);
    if (isLong && onTooLong === "skip") {
      this.counts.skipped++;
      return;
    }
    const fitted = fitCompletions(texts, maxLength) as [LearnedTokens, LearnedTokens];
    if (!fitted.every(isLearnable)) this.counts.empty++;
    else if (more.isDesirable === undefined && isSame(fitted[0].ids, fitted[1].ids)) this.counts.alike++;
    else {
      if (isLong) this.counts.cut++;
      this.examples.push({ texts: fitted, ...more });
    }
  }

  /** @throws DataError when none is left */
  finish(kind: string): PreferenceExample[] {
    const { seen, cut, skipped, empty, alike } = this.counts;
    const { maxLength } = this.parts.config.data;
    const notes = [
      cut > 0 && `${cut} of ${seen} ${kind} are longer than maxLength ${maxLength}: their prompts are cut at the left`,
      skipped > 0 && `${skipped} of ${seen} ${kind} are longer than maxLength ${maxLength} and left out`,
      empty > 0 && `${empty} of ${seen} ${kind} have a completion of no token within maxLength, and are left out`,
      alike > 0 && `${alike} of ${seen} ${kind} differ in nothing within maxLength, and are left out`,
    ].filter((note) => note !== false);
    if (this.examples.length === 0)
      throw new DataError({
        where: "data",
        expected: `${kind} that fit into maxLength ${maxLength}`,
        received: notes.join("; ") || "none",
        fix: "raise maxLength, or look at the rows",
      });
    if (notes.length > 0) this.parts.context.onWarning({ where: "data", notes });
    return this.examples;
  }
}
