import { checkOptions, DataError } from "../base/index.ts";
import { type Folder, readJson } from "../files/index.ts";
import { openFolder } from "../hub/index.ts";
import { fromPretrained, type LoadOptions } from "../models/index.ts";
import { type Encoding, Tokenizer } from "../tokenizers/index.ts";
import { finite, labelsOf, softmax } from "./common.ts";
import { activationOf } from "./sentence-modules.ts";
import type { ClassifierModel } from "./text-classification.ts";
import { type TextBatchOptions, TextRunner, textBatchNames, textBatchOf } from "./text-runner.ts";

/** A document with its place in the ranking, under the names of sentence-transformers. */
export interface Ranked {
  /** Place of the document in the list that was given. */
  corpus_id: number;
  /** The model's, after its activation; more is better. */
  score: number;
  /** With `returnDocuments`. */
  text?: string;
}

/**
 * Judges pairs of texts read together: slower than comparing vectors, and better; it sorts what a search by vectors
 * found. Nogueira and Cho 2019, arXiv:1901.04085. Folders of sentence-transformers' CrossEncoder, or any classifier of
 * pairs.
 *
 * @example
 * const judge = await CrossEncoder.open("golden/pipelines/models/cross-encoder");
 * const ranking = await judge.rank("Who sailed?", ["It was a dark night.", "Ishmael"], { topK: 1 });
 * ranking.length; // 1
 * judge.dispose();
 */
export class CrossEncoder {
  private readonly model: ClassifierModel;
  private readonly tokenizer: Tokenizer;
  private readonly runner: TextRunner;
  private readonly activation: (value: number) => number;

  private constructor(model: ClassifierModel, tokenizer: Tokenizer, activation: (value: number) => number) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.activation = activation;
    this.runner = new TextRunner(model, { outputs: ["logits"], per: "text" });
  }

  /**
   * @param options activation: "Identity", "Sigmoid", "Tanh" or "ReLU". @default the model's; else Sigmoid for one
   * label, none for several
   */
  static async open(
    name: string | Folder,
    { activation, ...options }: Omit<LoadOptions, "task" | "head"> & { activation?: string } = {},
  ): Promise<CrossEncoder> {
    const folder = await openFolder(name, options);
    const file = folder.file("config.json");
    const config = await readJson(file);
    const model = await fromPretrained(folder, { ...options, task: "sequence-classification" });
    const modelActivation =
      (config.sentence_transformers as { activation_fn?: unknown } | undefined)?.activation_fn ??
      config.sbert_ce_default_activation_function;
    const usual = labelsOf(model).length === 1 ? "Sigmoid" : "Identity";
    return new CrossEncoder(
      model,
      await Tokenizer.open(folder),
      activationOf(file.name, activation ?? modelActivation ?? usual),
    );
  }

  /** The most tokens of a pair, special ones included; Infinity where nothing says. What is longer is cut. */
  get maxTokens(): number {
    return this.runner.longest(this.tokenizer);
  }

  /**
   * The tokens of pairs, as `predict` takes them in place of pairs; it cuts them no further.
   * @param options maxLength: most tokens of each. @default all that there are
   */
  async tokenize(
    pairs: readonly (readonly [string, string])[],
    { maxLength }: { maxLength?: number } = {},
  ): Promise<Encoding[]> {
    const encodings: Encoding[] = [];
    for (const [text, pair] of pairs) encodings.push(await this.tokenizer.encodeText(text, { pair, maxLength }));
    return encodings;
  }

  /**
   * Scores of each pair, one for each label. @param options applySoftmax: scores of a pair sum to 1. @default false
   * @throws OptionError for wrong options
   */
  async predict(
    pairs: readonly (readonly [string, string] | Encoding)[],
    options: { applySoftmax?: boolean } & TextBatchOptions = {},
  ): Promise<number[][]> {
    checkOptions("predict", options, ["applySoftmax", ...textBatchNames]);
    const maxLength = finite(this.maxTokens);
    const scores = await this.runner.answers<readonly [string, string] | Encoding, number[]>(pairs, {
      task: "predict",
      batch: textBatchOf(options),
      prepare: async (pair) => ("ids" in pair ? [pair] : this.tokenize([pair], { maxLength })),
      answer: (_, __, [{ logits }]) => {
        const scores = Array.from(logits, this.activation);
        return options.applySoftmax ? softmax(scores) : scores;
      },
    });
    return scores as number[][];
  }

  /**
   * The documents, best first. @param options topK: how many, all by default; returnDocuments: with their texts
   * @throws DataError for a model with several labels, OptionError for wrong options
   */
  async rank(
    query: string,
    documents: readonly string[],
    options: { topK?: number; returnDocuments?: boolean } & TextBatchOptions = {},
  ): Promise<Ranked[]> {
    checkOptions("rank", options, ["topK", "returnDocuments", ...textBatchNames]);
    const { topK, returnDocuments = false } = options;
    const count = labelsOf(this.model).length;
    if (count !== 1)
      throw new DataError({
        where: "rank",
        expected: "a model with one label",
        received: `${count} labels`,
        fix: "use predict",
      });
    const pairs = documents.map((text) => [query, text] as const);
    const scores = await this.predict(pairs, textBatchOf(options));
    return scores
      .map(([score], i): Ranked => ({ corpus_id: i, score, ...(returnDocuments && { text: documents[i] }) }))
      .sort((a, b) => b.score - a.score)
      .slice(0, topK);
  }

  /** Frees the model and the compiled graphs; the encoder is of no use afterwards. */
  dispose(): void {
    this.runner.dispose();
    this.model.dispose();
  }
}
