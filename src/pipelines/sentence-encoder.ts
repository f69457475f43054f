import { checkOptions, nearest, OptionError } from "../base/index.ts";
import { type Folder, readJson } from "../files/index.ts";
import { openFolder } from "../hub/index.ts";
import { type EncoderModel, fromPretrained, type LoadOptions } from "../models/index.ts";
import { type Encoding, Tokenizer } from "../tokenizers/index.ts";
import { finite } from "./common.ts";
import { encodingOfIds } from "./encoding-of-ids.ts";
import { type PoolingModule, readModules, type SentenceModule, unit } from "./sentence-modules.ts";
import { type TextBatchOptions, TextRunner, textBatchNames, textBatchOf } from "./text-runner.ts";

/** What is put in front of texts, and in what form their vectors come back. */
export interface SentenceOptions extends TextBatchOptions {
  /** A text that is put in front of each, with nothing between. "" for none. */
  prompt?: string;
  /** Name of a prompt of the model. @default the model's default, mostly none */
  promptName?: string;
  /**
   * Numbers that are kept of each vector, for models trained so that the first say most. Kusupati et al. 2022,
   * arXiv:2205.13147. @default all
   */
  truncateDim?: number;
  /** Vectors of length 1. @default as the model's own last step leaves them */
  normalizeEmbeddings?: boolean;
}

const optionNames = ["prompt", "promptName", "truncateDim", "normalizeEmbeddings", ...textBatchNames];

/** How alike two vectors are; more is more alike. */
export type Similarity = "cosine" | "dot" | "euclidean" | "manhattan";

const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, value, i) => sum + value * b[i], 0);
const similarities: Readonly<Record<Similarity, (a: readonly number[], b: readonly number[]) => number>> = {
  cosine: (a, b) => dot(unit(a), unit(b)),
  dot,
  euclidean: (a, b) => -Math.hypot(...a.map((value, i) => value - b[i])),
  manhattan: (a, b) => -a.reduce((sum, value, i) => sum + Math.abs(value - b[i]), 0),
};

/** A file that a folder may have. */
const readSettings = async (folder: Folder, name: string): Promise<Record<string, unknown>> =>
  (await folder.has(name)) ? readJson(folder.file(name)) : {};

interface Parts {
  model: EncoderModel;
  tokenizer: Tokenizer;
  modules: readonly SentenceModule[];
  prompts: Readonly<Record<string, string>>;
  defaultPrompt: string | null;
  similarity: Similarity;
  maxLength: number | undefined;
  lowercases: boolean;
}

/**
 * Texts as vectors, so that texts of like meaning are near: folders of sentence-transformers, with their pooling,
 * further layers and prompts; an encoder without them gives the mean of its states. Reimers and Gurevych 2019,
 * arXiv:1908.10084.
 *
 * @example
 * const encoder = await SentenceEncoder.open("golden/pipelines/models/sentence-bert");
 * const [stormy, inn] = await encoder.encode(["It was a dark and stormy night.", "The landlord of the inn"]);
 * stormy.length; // 12
 * encoder.similarity([stormy], [stormy, inn])[0].length; // 2
 * encoder.dispose();
 */
export class SentenceEncoder {
  private readonly parts: Parts;
  private readonly runner: TextRunner;
  private readonly pooling: PoolingModule;

  private constructor(parts: Parts) {
    this.parts = parts;
    this.pooling = parts.modules.find((each) => each.kind === "pooling") as PoolingModule;
    const per = this.pooling.weights ? "sums" : "token";
    this.runner = new TextRunner(parts.model, { outputs: ["lastHiddenState"], per });
  }

  /**
   * @param name a folder or a repository of the hub. @throws DataError when a file is damaged or a module is not known
   */
  static async open(name: string | Folder, options: Omit<LoadOptions, "task" | "head"> = {}): Promise<SentenceEncoder> {
    const folder = await openFolder(name, options);
    const { transformer, modules } = await readModules(folder);
    const settings = await readSettings(folder, "config_sentence_transformers.json");
    const limits = await readSettings(transformer, "sentence_bert_config.json");
    return new SentenceEncoder({
      model: (await fromPretrained(transformer, { ...options, task: "feature-extraction" })) as EncoderModel,
      tokenizer: await Tokenizer.open(transformer),
      modules,
      prompts: (settings.prompts ?? {}) as Record<string, string>,
      defaultPrompt: (settings.default_prompt_name ?? null) as string | null,
      similarity: (settings.similarity_fn_name ?? "cosine") as Similarity,
      maxLength: typeof limits.max_seq_length === "number" ? limits.max_seq_length : undefined,
      lowercases: limits.do_lower_case === true,
    });
  }

  /** The most tokens of a text, special ones included; Infinity where nothing says. What is longer is cut. */
  get maxTokens(): number {
    return this.runner.longest(this.parts.tokenizer, this.parts.maxLength);
  }

  /** Names of the model's prompts. */
  get promptNames(): string[] {
    return Object.keys(this.parts.prompts);
  }

  /**
   * The tokens of texts, with their prompt, as `encode` takes them in place of texts; it cuts them no further. Ids stay
   * as they are.
   * @param options maxLength: most tokens of each. @default all that there are
   * @throws OptionError for a prompt that the model has not, DataError for such ids
   */
  async tokenize(
    texts: readonly (string | readonly number[])[],
    { maxLength, ...options }: Pick<SentenceOptions, "prompt" | "promptName"> & { maxLength?: number } = {},
  ): Promise<Encoding[]> {
    const { model, tokenizer, lowercases } = this.parts;
    const prompt = this.promptOf(options);
    const encodings: Encoding[] = [];
    for (const text of texts) {
      const whole = typeof text === "string" ? prompt + text : undefined;
      encodings.push(
        whole === undefined
          ? encodingOfIds(text as readonly number[], model)
          : await tokenizer.encodeText(lowercases ? whole.toLowerCase() : whole, { maxLength }),
      );
    }
    return encodings;
  }

  /**
   * A vector of each text. @throws OptionError naming the nearest prompt for one that the model has not, and for wrong
   * options
   */
  async encode(texts: readonly (string | Encoding)[], options: SentenceOptions = {}): Promise<number[][]> {
    checkOptions("encode", options, optionNames);
    const { truncateDim, normalizeEmbeddings = false } = options;
    const prompt = this.promptOf(options);
    const skipped = prompt === "" ? 0 : await this.promptLength(prompt);
    const maxLength = finite(this.maxTokens);
    const vectors = await this.runner.answers<string | Encoding, number[]>(texts, {
      task: "encode",
      batch: textBatchOf(options),
      prepare: async (text) => {
        const [encoding] = typeof text === "string" ? await this.tokenize([text], { prompt, maxLength }) : [text];
        return [{ encoding, weights: this.pooling.weights?.(this.counted(encoding.ids.length, skipped)) }];
      },
      answer: (_, [{ ids }], [{ lastHiddenState: values }]) => {
        const vector = this.vectorOf(values, ids.length, skipped).slice(0, truncateDim);
        return normalizeEmbeddings ? unit(vector) : vector;
      },
    });
    return vectors as number[][];
  }

  /** A vector of each question, with the model's prompt for questions, if it has one. */
  encodeQuery(texts: readonly string[], options: SentenceOptions = {}): Promise<number[][]> {
    return this.encode(texts, { ...this.usual(["query"]), ...options });
  }

  /** A vector of each text that is searched, with the model's prompt for such, if it has one. */
  encodeDocument(texts: readonly string[], options: SentenceOptions = {}): Promise<number[][]> {
    return this.encode(texts, { ...this.usual(["document", "passage", "corpus"]), ...options });
  }

  /**
   * How alike each vector of `a` and each of `b` are: [a][b]. @param by how. @default as the model was trained, mostly
   * by cosine
   */
  similarity(
    a: readonly (readonly number[])[],
    b: readonly (readonly number[])[],
    by: Similarity = this.parts.similarity,
  ): number[][] {
    return a.map((one) => b.map((other) => similarities[by](one, other)));
  }

  /** Frees the model and the compiled graphs; the encoder is of no use afterwards. */
  dispose(): void {
    this.runner.dispose();
    this.parts.model.dispose();
  }

  private usual(names: readonly string[]): SentenceOptions {
    const promptName = names.find((name) => Object.hasOwn(this.parts.prompts, name));
    return promptName === undefined ? {} : { promptName };
  }

  private promptOf({ prompt, promptName = this.parts.defaultPrompt ?? undefined }: SentenceOptions): string {
    if (prompt !== undefined) return prompt;
    if (promptName === undefined) return "";
    const { prompts } = this.parts;
    if (Object.hasOwn(prompts, promptName)) return prompts[promptName];
    const near = nearest(promptName, Object.keys(prompts));
    const expected = `one of the model's prompts: ${Object.keys(prompts).join(", ") || "it has none"}`;
    throw new OptionError({
      where: "encode, promptName",
      expected,
      received: promptName,
      fix: near ? `did you mean "${near}"?` : "give the prompt itself",
    });
  }

  /** Tokens at the start of a text that are the prompt's, the special one before them with them. */
  private async promptLength(prompt: string): Promise<number> {
    const { specialTokensMask } = await this.parts.tokenizer.encodeText(prompt);
    return specialTokensMask.length - (specialTokensMask.at(-1) === 1 ? 1 : 0);
  }

  /** Which tokens of a text count whose first `skipped` are the prompt's. */
  private counted(tokens: number, skipped: number): boolean[] {
    return Array.from({ length: tokens }, (_, i) => this.pooling.includePrompt || i >= skipped);
  }

  /** values: states [T, D] of a text, or the sums of them that its vector is made of -> its vector */
  private vectorOf(values: Float32Array, tokens: number, skipped: number): number[] {
    const { pooling } = this;
    const counts = this.counted(tokens, skipped);
    let vector = pooling.weights ? [...values] : pooling.pool({ values, width: values.length / tokens, counts });
    for (const step of this.parts.modules) if (step.kind === "vector") vector = step.apply(vector);
    return vector;
  }
}
