import { OptionError } from "../../base/index.ts";

/** What a text is written in. */
export interface DetectedLanguage {
  /** Two letters of ISO 639-1, such as "en"; "und" where nothing tells it. */
  language: string;
  /** Whether the text is long and clear enough to be sure. */
  isReliable: boolean;
}

/** Characters that are looked at: more do not change the answer. */
const MOST_CHARACTERS = 2000;
const count = (text: string, pattern: RegExp) => text.match(pattern)?.length ?? 0;

/**
 * Opens a detector of 60 languages, by the sequences of characters that are usual in each (eld's medium tables).
 * @param wanted languages that the caller looks for. @default any
 * @throws OptionError for a language that is no code of two letters
 */
export async function languageDetector(wanted: readonly string[] = []): Promise<(text: string) => DetectedLanguage> {
  requireLanguages("languageDetector", wanted);
  const { eld } = await import("eld/medium");
  return (text) => {
    const sample = text.slice(0, MOST_CHARACTERS);
    // Chinese and Japanese share characters, which few sequences tell apart in a short text; kana do
    const han = count(sample, /\p{Script=Han}/gu);
    const kana = count(sample, /[\p{Script=Hiragana}\p{Script=Katakana}]/gu);
    const letters = count(sample, /\p{L}/gu);
    if (han * 2 > letters && kana * 20 < han) return { language: "zh", isReliable: han >= 4 };
    const result = eld.detect(sample);
    return { language: result.language || "und", isReliable: result.language !== "" && result.isReliable() };
  };
}

/** @throws OptionError for what is no code of two letters */
function requireLanguages(where: string, languages: readonly string[]): void {
  const wrong = languages.find((language) => !/^[a-z]{2}$/.test(language));
  if (wrong === undefined) return;
  throw new OptionError({
    where,
    expected: "languages by two letters of ISO 639-1, such as en or zh",
    received: JSON.stringify(wrong),
    fix: "write the code of the language",
  });
}
