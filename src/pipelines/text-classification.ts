import { checkOptions, OptionError } from "../base/index.ts";
import type { BartForSequenceClassification, SequenceClassifier } from "../models/index.ts";
import type { Encoding, Tokenizer } from "../tokenizers/index.ts";
import { finite, type LabelScore, labelsOf, ranked, type ScoreFunction, scoresOf, softmax } from "./common.ts";
import { encodingOfIds } from "./encoding-of-ids.ts";
import { TextPipeline } from "./text-pipeline.ts";
import { type TextBatchOptions, textBatchNames, textBatchOf } from "./text-runner.ts";

/** A model that gives the classes of texts. */
export type ClassifierModel = SequenceClassifier | BartForSequenceClassification;
/** A text, or two that belong together. */
export type TextPair = string | { text: string; textPair?: string };

/** Which classes are given, and how their scores come of logits. */
export interface TextClassificationOptions extends TextBatchOptions {
  /** How many classes of each text; null for all. Without it one, and several texts get one flat list. */
  topK?: number | null;
  /** @default sigmoid for one label or several at once, softmax otherwise, nothing for regression */
  functionToApply?: ScoreFunction;
  /** Tokens of a text, the rest is cut. @default what the model takes */
  maxLength?: number;
}

/** Classes of texts, or of pairs of texts. */
export class TextClassificationPipeline extends TextPipeline<ClassifierModel> {
  constructor(model: ClassifierModel, tokenizer: Tokenizer) {
    super(model, tokenizer, { outputs: ["logits"], per: "text" });
  }

  /** Names of the classes, in the model's order. */
  get labels(): readonly string[] {
    return labelsOf(this.model);
  }

  /** The most tokens of a text, special ones included; Infinity where nothing says. What is longer is cut. */
  get maxTokens(): number {
    return this.runner.longest(this.tokenizer);
  }

  /**
   * The tokens of texts, as `run` takes them in place of texts; it cuts them no further. Ids stay as they are.
   * @param options maxLength: most tokens of each. @default all that there are
   * @throws DataError for ids that the model has not
   */
  async tokenize(
    texts: readonly (string | readonly number[])[],
    { maxLength }: { maxLength?: number } = {},
  ): Promise<Encoding[]> {
    const encodings: Encoding[] = [];
    for (const text of texts)
      encodings.push(
        typeof text === "string"
          ? await this.tokenizer.encodeText(text, { maxLength })
          : encodingOfIds(text, this.model),
      );
    return encodings;
  }

  /** A list with the best class of the text, or of each text; with topK a list of the best for each, best first. */
  run(input: TextPair | Encoding, options?: TextClassificationOptions): Promise<LabelScore[]>;
  run(
    inputs: readonly (TextPair | Encoding)[],
    options?: TextClassificationOptions,
  ): Promise<LabelScore[] | LabelScore[][]>;
  async run(inputs: TextPair | Encoding | readonly (TextPair | Encoding)[], options: TextClassificationOptions = {}) {
    checkOptions("text-classification", options, ["topK", "functionToApply", "maxLength", ...textBatchNames]);
    const { topK, functionToApply, maxLength = Number.POSITIVE_INFINITY } = options;
    const labels = labelsOf(this.model);
    const { problemType } = this.model.config;
    const usual =
      problemType === "regression"
        ? "none"
        : problemType === "multi_label_classification" || labels.length === 1
          ? "sigmoid"
          : "softmax";
    const results = await this.runner.answers(inputs, {
      task: "text-classification",
      batch: textBatchOf(options),
      prepare: async (input: TextPair | Encoding) => {
        if (typeof input !== "string" && "ids" in input) return [input];
        if (typeof input !== "string") checkOptions("text-classification", input, ["text", "textPair"]);
        const { text, textPair: pair } = typeof input === "string" ? { text: input, textPair: undefined } : input;
        const longest = Math.min(maxLength, this.runner.longest(this.tokenizer));
        return [await this.tokenizer.encodeText(text, { pair, maxLength: finite(longest) })];
      },
      answer: (_, __, [{ logits }]) =>
        ranked(labels, scoresOf(logits, functionToApply ?? usual), topK === undefined ? 1 : (topK ?? undefined)),
    });
    return Array.isArray(inputs) && topK === undefined ? results.flat() : results;
  }
}

/** The classes, and how they are put to the model. */
export interface ZeroShotOptions extends TextBatchOptions {
  /** Names of classes, or one text with commas between them. */
  candidateLabels: readonly string[] | string;
  /** Makes a sentence of a class; "{}" stands for its name. @default "This example is {}." */
  hypothesisTemplate?: string;
  /** Several classes may be right: each is judged by itself. @default false */
  multiLabel?: boolean;
}

const zeroShotOptions = ["candidateLabels", "hypothesisTemplate", "multiLabel", ...textBatchNames];

/** A text with how well each class fits it, under the names of transformers. */
export interface ZeroShotResult {
  /** The text. */
  sequence: string;
  /** Best first. */
  labels: string[];
  /** Of each label, from 0 to 1; those of several labels sum to 1 without `multiLabel`. */
  scores: number[];
}

/**
 * Classes that the model was not trained on: whether the text entails a sentence about each. Yin et al. 2019,
 * arXiv:1909.00161.
 */
export class ZeroShotClassificationPipeline extends TextPipeline<ClassifierModel> {
  constructor(model: ClassifierModel, tokenizer: Tokenizer) {
    super(model, tokenizer, { outputs: ["logits"], per: "text" });
  }

  /**
   * How well each class fits the text, best first; for each of several texts. Too long a text is cut, never a class.
   * @throws OptionError without `candidateLabels`, or for a template without "{}"
   */
  run(input: string, options: ZeroShotOptions): Promise<ZeroShotResult>;
  run(inputs: readonly string[], options: ZeroShotOptions): Promise<ZeroShotResult[]>;
  async run(inputs: string | readonly string[], options: ZeroShotOptions = { candidateLabels: [] }) {
    checkOptions("zero-shot-classification", options, zeroShotOptions);
    const { candidateLabels, hypothesisTemplate = "This example is {}.", multiLabel = false } = options;
    const split = typeof candidateLabels === "string" ? candidateLabels.split(",") : candidateLabels;
    const candidates = split.map((label) => label.trim()).filter((label) => label !== "");
    if (candidates.length === 0 || !hypothesisTemplate.includes("{}")) {
      const received = JSON.stringify({ candidateLabels, hypothesisTemplate });
      throw new OptionError({
        where: "zero-shot-classification",
        expected: 'candidateLabels, and a template with "{}"',
        received,
        fix: "give both",
      });
    }
    const names = labelsOf(this.model).map((label) => label.toLowerCase());
    const index = names.findIndex((name) => name.startsWith("entail"));
    const entailment = index >= 0 ? index : names.length - 1;
    const contradiction = entailment === 0 ? names.length - 1 : 0;
    return this.runner.answers(inputs, {
      task: "zero-shot-classification",
      batch: textBatchOf(options),
      prepare: (sequence) => this.encode(sequence, candidates, hypothesisTemplate),
      answer: (sequence, _, results): ZeroShotResult => {
        const scores =
          multiLabel || candidates.length === 1
            ? results.map(({ logits }) => softmax([logits[contradiction], logits[entailment]])[1])
            : softmax(results.map(({ logits }) => logits[entailment]));
        const order = candidates.map((_, i) => i).sort((a, b) => scores[b] - scores[a]);
        return { sequence, labels: order.map((i) => candidates[i]), scores: order.map((i) => scores[i]) };
      },
    });
  }

  /** The text with a sentence about each class. */
  private async encode(sequence: string, candidates: readonly string[], template: string): Promise<Encoding[]> {
    const maxLength = finite(this.runner.longest(this.tokenizer));
    const encodings: Encoding[] = [];
    for (const label of candidates) {
      const pair = template.replace("{}", label);
      encodings.push(await this.tokenizer.encodeText(sequence, { pair, maxLength, truncation: "only_first" }));
    }
    return encodings;
  }
}
