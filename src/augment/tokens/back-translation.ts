import { checkOptions, DataError, numberRules, requireNumbers } from "../../base/index.ts";
import type { Draws } from "../draws.ts";

/** Texts in another language, in their order: by a pipeline, a server, a table. */
export type Translate = (texts: readonly string[]) => Promise<readonly string[]>;

/** What was translated before: a Map, or anything that keeps longer. */
export interface TranslationCache {
  /** The translation of a text, where it is known. */
  get(text: string): string | undefined;
  /** Keeps a translation. */
  set(text: string, translation: string): unknown;
}

/** How texts go to another language and back. */
export interface BackTranslationOptions {
  /** To the other language. */
  there: Translate;
  /** From the other language. */
  back: Translate;
  /** Share of the texts that are replaced. @default 0.5 */
  probability?: number;
  /** Most texts of one call of `there` and of `back`. @default 8 */
  batchSize?: number;
  /** Texts with what they came back as. @default a Map that lives as long as the function */
  cache?: TranslationCache;
}

/** Some of the texts, replaced. `draws` decides which, so the same sample has the same texts. */
export type TextAugmentation = (texts: readonly string[], draws: Draws) => Promise<string[]>;

/**
 * Replaces texts by what they come back as from another language. Sennrich et al. 2015, arXiv:1511.06709; Edunov et al.
 * 2018, arXiv:1808.09381. A text is translated once, also where several ask for it at the same time.
 *
 * @example
 * const there = async (texts) => texts.map((text) => text.toUpperCase());
 * const back = async (texts) => texts.map((text) => text.toLowerCase() + "!");
 * const paraphrase = backTranslation({ there, back, probability: 1 });
 * await paraphrase(["thar", "she"], drawsOf(0)); // ["thar!", "she!"]
 */
export function backTranslation(options: BackTranslationOptions): TextAugmentation {
  checkOptions("backTranslation", options, ["there", "back", "probability", "batchSize", "cache"]);
  const { there, back, probability = 0.5, batchSize = 8, cache = new Map<string, string>() } = options;
  const rules = { probability: numberRules.fraction, batchSize: numberRules.positiveInteger };
  requireNumbers("backTranslation", { probability, batchSize }, rules);
  const pending = new Map<string, Promise<string>>();

  const translateNew = (texts: readonly string[]): void => {
    const batch = translated("there", there, texts).then((foreign) => translated("back", back, foreign));
    texts.forEach((text, i) => {
      const result = batch.then((list) => {
        cache.set(text, list[i]);
        return list[i];
      });
      const forget = () => pending.delete(text);
      pending.set(text, result);
      result.then(forget, forget); // an error is told to who waits, and the text is tried again the next time
    });
  };

  return async (texts, draws) => {
    const picked = texts.map((_, i) => draws.fold(i).isLikely(probability));
    const wanted = texts.filter((text, i) => picked[i] && cache.get(text) === undefined && !pending.has(text));
    const unknown = [...new Set(wanted)];
    for (let i = 0; i < unknown.length; i += batchSize) translateNew(unknown.slice(i, i + batchSize));
    return Promise.all(texts.map((text, i) => (picked[i] ? (cache.get(text) ?? pending.get(text) ?? text) : text)));
  };
}

/** @throws DataError for another number of translations */
async function translated(name: string, translate: Translate, texts: readonly string[]): Promise<readonly string[]> {
  const results = await translate(texts);
  if (results.length === texts.length && results.every((text) => typeof text === "string")) return results;
  throw new DataError({
    where: `backTranslation, ${name}`,
    expected: `${texts.length} texts, one for each`,
    received: `${results.length}`,
    fix: "return the translations as strings, in the order of the texts",
  });
}
