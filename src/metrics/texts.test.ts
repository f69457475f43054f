/** Metrics of texts: golden/metrics.json of sacrebleu, rouge-score, jiwer, SQuAD's and CMRC's rules. */
import { describe, expect, test } from "vitest";
import { goldenMetrics } from "../testing/golden-metrics.ts";
import { alignmentOf } from "./edit-distance.ts";
import {
  type BleuOptions,
  type ChrfOptions,
  characterErrorRate,
  corpusBleu,
  corpusChrf,
  corpusRouge,
  exactMatch,
  normalizeAnswer,
  rouge,
  sentenceBleu,
  sentenceChrf,
  tokenF1,
  wordErrorRate,
} from "./index.ts";

const golden = await goldenMetrics();
const { translations } = golden;

const optionNames: Record<string, string> = {
  smooth_method: "smoothing",
  smooth_value: "smoothingValue",
  tokenize: "tokenizer",
  max_ngram_order: "maxOrder",
  effective_order: "effectiveOrder",
  word_order: "wordOrder",
  char_order: "characterOrder",
  eps_smoothing: "epsilonSmoothing",
};
const translated = (options: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(options).map(([name, value]) => [optionNames[name] ?? name, value]));
const textsOf = (language: "english" | "chinese") => ({
  predictions: translations[language].map(([text]) => text),
  references: translations[language].map(([, list]) => list),
});
const expectAll = (actual: readonly number[], expected: readonly number[], digits = 9) => {
  expect(actual).toHaveLength(expected.length);
  for (const [i, value] of actual.entries()) expect(value, `number ${i}`).toBeCloseTo(expected[i], digits);
};

test.each(translations.bleu.map((one) => [one.language, JSON.stringify(one.options), one] as const))(
  "BLEU of %s with %s",
  (language, _, one) => {
    const options = translated(one.options) as BleuOptions;
    const { predictions, references } = textsOf(language);
    const corpus = corpusBleu(predictions, references, options);
    expectAll([corpus.score, ...corpus.precisions], [one.corpus, ...one.precisions]);
    expect(corpus.counts).toEqual(one.counts);
    expect(corpus.totals).toEqual(one.totals);
    expect([corpus.predictionLength, corpus.referenceLength]).toEqual(one.lengths);
    expect(corpus.brevityPenalty).toBeCloseTo(one.penalty, 12);
    expectAll(
      predictions.map((text, i) => sentenceBleu(text, references[i], options).score),
      one.sentences,
    );
  },
);

test.each(translations.chrf.map((one) => [one.language, JSON.stringify(one.options), one] as const))(
  "chrF of %s with %s",
  (language, _, one) => {
    const options = translated(one.options) as ChrfOptions;
    const { predictions, references } = textsOf(language);
    expect(corpusChrf(predictions, references, options)).toBeCloseTo(one.corpus, 9);
    expectAll(
      predictions.map((text, i) => sentenceChrf(text, references[i], options)),
      one.sentences,
    );
  },
);

test("ROUGE", () => {
  for (const { text, references, tokenizer, scores } of translations.rouge) {
    const results = rouge(text, references, { tokenizer });
    for (const [name, [precision, recall, f1]] of Object.entries(scores)) {
      const score = results[name as keyof typeof scores];
      expectAll([score.precision, score.recall, score.f1], [precision, recall, f1], 12);
    }
  }
  const words = { tokenizer: (text: string) => text.split(" ") };
  expect(corpusRouge(["a b", "c"], ["a b", "d"], words).rouge1.f1).toBe(0.5);
});

describe("answers", () => {
  const { english, exact, f1, chinese, chineseF1, chineseExact } = golden.answers;

  test("as SQuAD", () => {
    for (const [i, [text, references]] of english.entries()) {
      expect(exactMatch([text], [references]), text).toBe(Number(exact[i]));
      expect(tokenF1([text], [references]), text).toBeCloseTo(f1[i], 12);
    }
    const texts = english.map(([text]) => text);
    const mean = f1.reduce((sum, value) => sum + value, 0) / f1.length;
    expect(
      tokenF1(
        texts,
        english.map(([, list]) => list),
      ),
    ).toBeCloseTo(mean, 12);
    expect(normalizeAnswer(" The  quick-fox,\n an ANT ")).toBe("quickfox ant");
  });

  test("an answer that is to be empty", () => {
    expect(tokenF1(["", "x"], ["", ""])).toBe(0.5); // SQuAD 2: no answer is right only as such
  });

  test("in Chinese as CMRC", () => {
    for (const [i, [text, references]] of chinese.entries()) {
      expect(exactMatch([text], [references], { language: "zh" }), text).toBe(chineseExact[i]);
      expect(tokenF1([text], [references], { language: "zh" }), text).toBeCloseTo(chineseF1[i], 12);
    }
  });
});

describe("error rates", () => {
  const { pairs, wer, cer } = golden.error_rates;

  test("with the alignment that jiwer takes", () => {
    for (const { reference, prediction, words, characters } of pairs) {
      const result = wordErrorRate([prediction], [reference]);
      const { hits, substitutions, deletions, insertions } = result;
      expect([hits, substitutions, deletions, insertions], reference).toEqual(words.counts);
      expect(result.rate).toBeCloseTo(words.rate, 12);
      expect(result.informationPreserved).toBeCloseTo(words.preserved, 12);
      expect(
        result.alignments[0].map((part) => [part.type, ...part.reference, ...part.prediction]),
        reference,
      ).toEqual(words.parts);
      const letters = characterErrorRate([prediction], [reference]);
      expect([letters.hits, letters.substitutions, letters.deletions, letters.insertions]).toEqual(characters.counts);
      expect(letters.rate).toBeCloseTo(characters.rate, 12);
    }
  });

  test("of all texts together", () => {
    const [predictions, references] = [pairs.map((pair) => pair.prediction), pairs.map((pair) => pair.reference)];
    expect(wordErrorRate(predictions, references).rate).toBeCloseTo(wer, 12);
    expect(characterErrorRate(predictions, references).rate).toBeCloseTo(cer, 12);
  });

  test("an alignment goes through both", () => {
    const parts = alignmentOf(["a", "b", "c"], ["b", "c", "d"]);
    expect(parts.at(0)).toEqual({ type: "delete", reference: [0, 1], prediction: [0, 0] });
    expect(parts.at(-1)).toEqual({ type: "insert", reference: [3, 3], prediction: [2, 3] });
  });
});

test("what is wrong with texts is told", () => {
  expect(() => corpusBleu(["a"], [])).toThrow("1 predictions, 0 labels");
  expect(() => corpusBleu(["a"], [[]])).toThrow("at least one reference for each prediction");
  expect(() => corpusBleu(["a"], ["a"], { tokenizer: "intl" as never })).toThrow("13a, zh, char, none");
  expect(() => corpusChrf(["a"], ["a"], { beta: 0 })).toThrow("beta above 0");
  expect(() => rouge("a", "b", { stemmer: true } as never)).toThrow('"stemmer"');
  expect(() => exactMatch(["a"], ["a"], { language: "de" as never })).toThrow("en, zh");
});
