import { BatchQueue, ShapeError } from "../base/index.ts";
import type { EncoderInputs } from "../models/index.ts";
import { type CompiledFunction, compile, matmul, type Tensor, tensor } from "../tensor/index.ts";
import type { Encoding, Tokenizer } from "../tokenizers/index.ts";
import { requireBatchSize } from "./common.ts";

/** How texts wait for one another, and are run together. */
export interface TextBatchOptions {
  /**
   * Most texts that go through the model in one run, those of other calls among them; parts of a long text and labels
   * that are each judged with it count as texts. The results are those of a batchSize of 1, up to rounding. @default as
   * many of like length as go fastest
   */
  batchSize?: number;
  /** Whose call it is: groups take turns. @default "" */
  group?: string;
  /** Ends the call: what of it waits is not run. */
  signal?: AbortSignal;
}

/** Names of `TextBatchOptions`, for checks of options. */
export const textBatchNames = ["batchSize", "group", "signal"] as const;

/** Those of some options that are about batches. */
export const textBatchOf = ({ batchSize, group, signal }: TextBatchOptions): TextBatchOptions => ({
  batchSize,
  group,
  signal,
});

/** A model that runs on encoded texts. */
export type TextModel = { config: object; modelType: string; forward(inputs: never): object };
/** Numbers of a model's outputs for one text, by their names. */
export type TextOutputs = Record<string, Float32Array>;

/** A text as the model reads it. */
export interface TextPart {
  encoding: Encoding;
  /** Weights of the tokens by which their states are summed up, one [T] for each sum, of a runner of "sums". */
  weights?: readonly Float32Array[];
}

/** Which outputs are read, and what their numbers are of. */
export interface TextRunnerOptions {
  /** Which of the model's outputs are wanted. */
  outputs: readonly string[];
  /** Whether they are of each token, [B, T, ...], of each text, [B, ...], or sums over tokens, [B, sums, ...]. */
  per: "token" | "text" | "sums";
}

/** How inputs become answers. */
export interface TextSteps<I, O> {
  task: string;
  batch: TextBatchOptions;
  /** What the model is to be run on for an input, at least one text. */
  prepare(input: I): Promise<readonly (Encoding | TextPart)[]>;
  answer(input: I, parts: readonly Encoding[], results: readonly TextOutputs[]): O | Promise<O>;
}

/** Inputs that are looked at together: of what is read of each token there is much. */
const WINDOW = { token: 64, text: 1024, sums: 1024 } as const;
/** Where a model needs to know sizes, texts are padded to a multiple of this: not every length compiles its graph. */
const LENGTH_STEP = 16;

type Inputs = EncoderInputs & { weights?: Tensor<"f32"> };
type Run = CompiledFunction<[Inputs], Record<string, Tensor<"f32">>>;

/** Runs an encoder on encoded texts: those of all calls that wait together, by length. */
export class TextRunner {
  private readonly run: (inputs: Inputs) => Record<string, Tensor<"f32">>;
  private compiled: Run | undefined;
  /** Whether one graph is for all sizes. */
  private isAnySize = true;
  private readonly config: { maxPositionEmbeddings?: number; typeVocabSize?: number; padTokenId?: number | null };
  private readonly options: TextRunnerOptions;
  private readonly queue: BatchQueue<TextPart, TextOutputs>;

  constructor(model: TextModel, options: TextRunnerOptions) {
    this.config = model.config;
    this.options = options;
    this.run = ({ weights, ...inputs }) => {
      const outputs = model.forward(inputs as never) as Record<string, Tensor<"f32">>;
      const wanted = (name: string) => (weights ? matmul(weights, outputs[name]) : outputs[name]);
      return Object.fromEntries(options.outputs.map((name) => [name, wanted(name)]));
    };
    this.queue = new BatchQueue({
      run: (parts, signal) => this.runTogether(parts, signal),
      tokensOf: ({ encoding }) => encoding.ids.length,
    });
  }

  /**
   * The longest text that the model takes, special tokens included. @param limit @default what tokenizer_config.json
   * says
   */
  longest(tokenizer: Tokenizer, limit: number = tokenizer.modelMaxLength ?? Number.POSITIVE_INFINITY): number {
    const { maxPositionEmbeddings = Number.POSITIVE_INFINITY } = this.config;
    return Math.min(limit, maxPositionEmbeddings);
  }

  /**
   * The answer for one input, or for each of several in their order.
   * @throws OptionError for a batchSize that is not a whole number of at least 1; the signal's reason
   */
  async answers<I, O>(inputs: I | readonly I[], { task, batch, prepare, answer }: TextSteps<I, O>): Promise<O | O[]> {
    const { batchSize: maxRows, group, signal } = batch;
    if (maxRows !== undefined) requireBatchSize(task, maxRows);
    const all = (Array.isArray(inputs) ? inputs : [inputs]) as readonly I[];
    const window = WINDOW[this.options.per];
    const out: O[] = [];
    for (let from = 0; from < all.length; from += window) {
      signal?.throwIfAborted();
      const some = all.slice(from, from + window);
      const parts = await Promise.all(some.map(async (input) => (await prepare(input)).map(partOf)));
      const results = await this.queue.add(parts.flat(), { maxRows, group, signal });
      let place = 0;
      for (const [i, input] of some.entries()) {
        const encodings = parts[i].map(({ encoding }) => encoding);
        out.push(await answer(input, encodings, results.slice(place, place + encodings.length)));
        place += encodings.length;
      }
    }
    return Array.isArray(inputs) ? out : out[0];
  }

  /** Runs texts together -> the outputs of each, without what is padding. */
  private async runTogether(parts: readonly TextPart[], signal: AbortSignal | undefined): Promise<TextOutputs[]> {
    try {
      return await this.runPadded(parts, signal);
    } catch (cause) {
      if (!(this.isAnySize && cause instanceof ShapeError)) throw cause;
      this.dispose(); // a model that asks for sizes while it is traced
      this.isAnySize = false;
      return await this.runPadded(parts, signal);
    }
  }

  private async runPadded(parts: readonly TextPart[], signal: AbortSignal | undefined): Promise<TextOutputs[]> {
    const longest = Math.max(...parts.map(({ encoding }) => encoding.ids.length));
    const length = this.isAnySize ? longest : this.paddedLength(longest);
    this.compiled ??= this.compile();
    const outputs = await this.compiled.withSignal(signal)(this.inputsOf(parts, length) as never);
    const texts = parts.map((): TextOutputs => ({}));
    for (const name of this.options.outputs) {
      const numbers = await outputs[name].read();
      outputs[name].dispose();
      const size = numbers.length / parts.length;
      for (const [i, { encoding }] of parts.entries()) {
        const count = this.options.per === "token" ? (encoding.ids.length * size) / length : size;
        texts[i][name] = numbers.slice(i * size, i * size + count);
      }
    }
    return texts;
  }

  private compile(): Run {
    const rows = ["B", "T"];
    const { typeVocabSize = 0 } = this.config;
    const ofTokens = typeVocabSize > 1 ? [rows, rows, rows] : [rows, rows];
    const sizes = this.options.per === "sums" ? [...ofTokens, ["B", null, "T"]] : ofTokens;
    return compile(this.run as never, this.isAnySize ? { symbolicSizes: sizes } : {}) as Run;
  }

  private inputsOf(parts: readonly TextPart[], length: number): Inputs {
    const { typeVocabSize = 0, padTokenId } = this.config;
    const rows = parts.length;
    const padded = (of: (encoding: Encoding) => readonly number[], rest: number) => {
      const values = new Int32Array(rows * length).fill(rest);
      for (const [i, { encoding }] of parts.entries()) values.set(of(encoding), i * length);
      return tensor(values, { shape: [rows, length] });
    };
    const mask = new Uint8Array(rows * length);
    for (const [i, { encoding }] of parts.entries()) mask.fill(1, i * length, i * length + encoding.ids.length);
    return {
      inputIds: padded(({ ids }) => ids, padTokenId ?? 0),
      attentionMask: tensor(mask, { dtype: "bool", shape: [rows, length] }),
      ...(typeVocabSize > 1 && { tokenTypeIds: padded(({ typeIds }) => typeIds, 0) }),
      ...(this.options.per === "sums" && { weights: weightsOf(parts, length) }),
    };
  }

  /** The length to which texts of at most `longest` tokens are padded, of models that need to know it. */
  private paddedLength(longest: number): number {
    const { maxPositionEmbeddings = Number.POSITIVE_INFINITY, padTokenId } = this.config;
    const stepped = Math.ceil(longest / LENGTH_STEP) * LENGTH_STEP;
    return Math.max(longest, Math.min(stepped, maxPositionEmbeddings - (padTokenId ?? 0) - 1));
  }

  dispose(): void {
    this.compiled?.dispose();
    this.compiled = undefined;
  }
}

const partOf = (part: Encoding | TextPart): TextPart => ("encoding" in part ? part : { encoding: part });

/** The weights of all, f32 [B, sums, T]: 0 for padding. */
function weightsOf(parts: readonly TextPart[], length: number): Tensor<"f32"> {
  const sums = parts[0].weights?.length ?? 0;
  const values = new Float32Array(parts.length * sums * length);
  for (const [row, { weights = [] }] of parts.entries())
    for (const [i, each] of weights.entries()) values.set(each, (row * sums + i) * length);
  return tensor(values, { shape: [parts.length, sums, length] });
}
