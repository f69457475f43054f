import { checkOptions, DataError, OptionError } from "../base/index.ts";
import type { CausalLM } from "../models/index.ts";
import { type CompiledFunction, compile, flip, reshape, slice, type Tensor, tensor } from "../tensor/index.ts";
import { ContextLengthError } from "./context-length.ts";
import { generationSettingNames } from "./generation-config.ts";
import { KeyValueCache, type KeyValueCacheOptions } from "./key-value-cache.ts";
import { type AnswerLimit, type PickOptions, TokenPicker } from "./token-picker.ts";
import { Turns } from "./turns.ts";

export interface GenerateOptions extends Omit<PickOptions, "times"> {
  /**
   * When the context is full, forget the older half of it and go on, rather than refuse what will not fit. @default
   * false
   */
  contextShift?: boolean;
  /** Ends the text, and the run under way before its next operator (by onnxruntime-node and in pages, at its end). */
  signal?: AbortSignal;
}

export const pickOptionNames = [...generationSettingNames, "seed", "stopTokens", "onLogits", "signal"] as const;

/** A prompt of which some tokens stand for images: what is in their place. */
export interface EmbeddedPrompt {
  /** What all tokens are to the first layer, [1, T, D]. */
  embeddings: Tensor<"f32">;
  /** Positions in time, height and width, i32 [3, 1, T]. @default 0, 1, ... */
  positions?: Tensor<"i32">;
  /** What is added to the positions of the tokens that follow. @default 0 */
  offset?: number;
}

const DEFAULT_NEW_TOKENS = 128;

/**
 * Arguments: new ids [1, T], their positions [1, T] or [3, 1, T], cache lengths [1], total [1]; embeddings [1, T, D].
 */
type StepInputs = [ids: Tensor<"i32">, positions: Tensor<"i32">, lengths: Tensor<"i32">, total: Tensor<"i32">];
type Step = CompiledFunction<StepInputs, Tensor<"f32">>;

export interface GeneratorOptions extends Pick<KeyValueCacheOptions, "cacheDtype" | "initialRoom"> {
  /**
   * Most tokens of a prompt and its answer together. Memory follows the text, not this. @default the longest context of
   * the model
   */
  contextLength?: number;
  /** Tokens of a prompt that are run at once: between two pieces other work gets its turn. @default 512 */
  prefillTokens?: number;
}

/**
 * Generates with a model, one sequence at a time. Keys and values of the positions seen are kept in a cache on the
 * device that is updated in place, so a token costs the same early and late but for the attention itself.
 */
export class Generator {
  readonly model: CausalLM;
  readonly contextLength: number;
  private readonly prefillTokens: number;
  private readonly cache: KeyValueCache;
  private readonly prefill: Step;
  private readonly decode: Step;
  private readonly prefillEmbedded: CompiledFunction<[...StepInputs, Tensor<"f32">], Tensor<"f32">>;
  /** Ids whose keys and values are in the cache. */
  private cached: number[] = [];
  private readonly weights: readonly { readonly version: number }[];
  /**
   * The prompt that was run last, and the logits after it: asked again, it gives the same numbers to the bit, and at
   * once.
   */
  private last: { prompt: readonly number[]; logits: Float32Array } | undefined;
  /** Of which weights the keys and values are. */
  private cachedVersion = 0;
  private readonly turns = new Turns();

  /** @throws OptionError for a context longer than the model's, and for unknown options */
  constructor(model: CausalLM, options: GeneratorOptions = {}) {
    checkOptions("Generator", options, ["contextLength", "prefillTokens", "cacheDtype", "initialRoom"]);
    const { contextLength = model.config.maxPositionEmbeddings, prefillTokens = 512, ...cacheOptions } = options;
    this.model = model;
    const { numLayers, hiddenSize, maxPositionEmbeddings } = model.config;
    const { numKeyHeads, headDim } = model.cacheShape;
    if (!Number.isInteger(contextLength) || contextLength < 1 || contextLength > maxPositionEmbeddings) {
      const expected = `a contextLength from 1 to ${maxPositionEmbeddings}`;
      throw new OptionError({
        where: "Generator",
        expected,
        received: String(contextLength),
        fix: "choose one the model knows positions for",
      });
    }
    if (!Number.isInteger(prefillTokens) || prefillTokens < 1) {
      throw new OptionError({
        where: "Generator",
        expected: "prefillTokens of at least 1",
        received: String(prefillTokens),
        fix: "leave it out",
      });
    }
    this.contextLength = contextLength;
    this.prefillTokens = prefillTokens;
    this.weights = [...model.namedState().values()];
    this.cache = new KeyValueCache({ numLayers, numKeyHeads, headDim, maxLength: contextLength, ...cacheOptions });
    const step = (...[ids, positions, lengths, total, embeddings]: [...StepInputs, Tensor<"f32">?]) => {
      const result = model.hidden(ids, { positions, embeddings, cache: { layers: this.cache.layers, lengths, total } });
      this.cache.assign(result.layers);
      // [1, V]
      return model.logits(reshape(slice(flip(result.hidden, [1]), { axis: 1, start: 0, end: 1 }), [1, hiddenSize]));
    };
    // a run writes its own positions, and those before them stay as they were, also when it fails or is ended
    const state = { keepsPartialState: true };
    this.prefill = compile(step, {
      symbolicSizes: [
        [null, "T"],
        [null, "T"],
      ],
      ...state,
    });
    this.decode = compile((...inputs: StepInputs) => step(...inputs), state);
    this.prefillEmbedded = compile((...inputs: [...StepInputs, Tensor<"f32">]) => step(...inputs), state);
  }

  /**
   * Continues a prompt, giving tokens as they are made. A text with an `embedded` prompt ends where the context is
   * full. Calls wait for one another; an abort ends the waiting too. A caller that stops reading keeps the others
   * waiting until it returns.
   * @throws ContextLengthError when the prompt and `maxNewTokens` exceed the context; DataError for an empty prompt or
   *   an id outside the vocabulary; OptionError for wrong options
   */
  async *generate(
    prompt: readonly number[],
    options: GenerateOptions = {},
    embedded?: EmbeddedPrompt,
  ): AsyncGenerator<number, "stop" | "length", void> {
    checkOptions("generate", options, [...pickOptionNames, "contextShift"]);
    const { signal, contextShift = false, ...asked } = options;
    this.checkPrompt(prompt);
    if (embedded && prompt.length > this.embeddedRoom)
      throw new ContextLengthError({ promptTokens: prompt.length, contextLength: this.embeddedRoom });
    const picker = new TokenPicker(this.model, prompt, prompt, asked);
    const contextLength = contextShift || embedded ? Number.POSITIVE_INFINITY : this.contextLength;
    picker.maxLength = prompt.length + newTokens(prompt.length, picker.limitOf(options), contextLength);
    if (picker.isFull) return "length"; // nothing is asked for
    const release = await this.turns.take(signal);
    try {
      let logits = await this.feed(prompt.slice(-this.contextLength), signal, embedded);
      for (;;) {
        signal?.throwIfAborted();
        const id = picker.next(logits);
        if (id === undefined) return "stop";
        yield id;
        if (picker.isFull || (embedded && this.cached.length === this.embeddedRoom)) break;
        logits = await this.feedNext(id, signal, embedded && (embedded.offset ?? 0));
      }
      return "length";
    } finally {
      if (embedded) this.cached = []; // the same ids may stand for other images
      release();
    }
  }

  /** Tokens that a prompt with images and its answer may have: nothing of it can be fed again. */
  private get embeddedRoom(): number {
    return Math.min(this.contextLength, this.model.cacheLimit ?? Number.POSITIVE_INFINITY);
  }

  private checkPrompt(prompt: readonly number[]): void {
    const { vocabSize } = this.model.config;
    if (prompt.length === 0)
      throw new DataError({
        where: "generate",
        expected: "a prompt of at least one token",
        received: "none",
        fix: "start with some text or the end-of-text token",
      });
    const wrong = prompt.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
    if (wrong !== undefined) {
      throw new DataError({
        where: "generate",
        expected: `token ids from 0 to ${vocabSize - 1}`,
        received: String(wrong),
        fix: "encode the prompt with this model's tokenizer",
      });
    }
  }

  /**
   * Runs a whole prompt, piece by piece, reusing what the cache shares with it, and gives the logits after its last
   * token.
   */
  private async feed(
    prompt: readonly number[],
    signal?: AbortSignal,
    embedded?: EmbeddedPrompt,
  ): Promise<Float32Array> {
    signal?.throwIfAborted();
    if (embedded) {
      this.cached = [];
      const step = this.prefillEmbedded.withSignal(signal);
      const logits = await this.run((...inputs) => step(...inputs, embedded.embeddings), prompt, 0, embedded.positions);
      this.cached = [...prompt];
      return logits;
    }
    const known = this.knownLogits(prompt);
    if (known) return known;
    const shared = this.sharedWith(prompt);
    this.cached.length = shared;
    this.cachedVersion = this.weightsVersion;
    let logits: Float32Array = new Float32Array();
    for (const [start, end] of this.piecesOf(shared, prompt.length)) {
      const ids = prompt.slice(start, end);
      logits = await this.run((ids.length === 1 ? this.decode : this.prefill).withSignal(signal), ids, start);
      this.cached.push(...ids);
    }
    this.last = { prompt: [...prompt], logits: logits.slice() };
    return logits;
  }

  /** The logits after a prompt that is the last one again. */
  private knownLogits(prompt: readonly number[]): Float32Array | undefined {
    const isSame = (ids: readonly number[] | undefined) => prompt.every((id, i) => id === ids?.[i]);
    const isKnown =
      this.last?.prompt.length === prompt.length &&
      isSame(this.last.prompt) &&
      isSame(this.cached) &&
      this.fits(prompt.length);
    if (!isKnown) return undefined;
    this.cached.length = prompt.length;
    return this.last?.logits.slice();
  }

  /** How many tokens at the beginning of a prompt need not be run again; the last one always is, for its logits. */
  private sharedWith(prompt: readonly number[]): number {
    if (!this.fits(prompt.length)) return 0;
    let shared = 0;
    while (shared < prompt.length - 1 && this.cached[shared] === prompt[shared]) shared++;
    return shared;
  }

  /**
   * From where to where a prompt is run at once. The first piece of a text beyond the model's `cacheLimit` reaches
   * beyond it too.
   */
  private piecesOf(start: number, end: number): [number, number][] {
    const { cacheLimit = Number.POSITIVE_INFINITY } = this.model;
    const pieces: [number, number][] = [];
    for (let from = start; from < end; from = pieces[pieces.length - 1][1]) {
      const least = end > cacheLimit ? cacheLimit + 1 : 0;
      pieces.push([from, Math.min(end, Math.max(from + this.prefillTokens, least))]);
    }
    return pieces;
  }

  /** Grows when the model gets other weights. */
  private get weightsVersion(): number {
    let sum = 0;
    for (const variable of this.weights) sum += variable.version;
    return sum;
  }

  /** Whether the keys in the cache may be used in a run of this length. */
  private fits(length: number): boolean {
    const { cacheLimit = Number.POSITIVE_INFINITY } = this.model;
    return this.cachedVersion === this.weightsVersion && length > cacheLimit === this.cached.length > cacheLimit;
  }

  /**
   * @param offset added to the position: of a text with images, whose embeddings are not there any more to be run again
   */
  private async feedNext(id: number, signal?: AbortSignal, offset?: number): Promise<Float32Array> {
    const isFull = this.cached.length === this.contextLength;
    if (offset === undefined && (isFull || !this.fits(this.cached.length + 1))) {
      const text = [...this.cached, id];
      return this.feed(isFull ? text.slice(-Math.max(1, this.contextLength >> 1)) : text, signal);
    }
    const start = this.cached.length;
    const logits = await this.run(this.decode.withSignal(signal), [id], start, rowOf([start + (offset ?? 0)]));
    this.cached.push(id);
    return logits;
  }

  private async run(
    step: (...inputs: StepInputs) => Promise<Tensor<"f32">>,
    ids: readonly number[],
    start: number,
    positions: Tensor<"i32"> = rowOf(ids.map((_, i) => start + i)),
  ): Promise<Float32Array> {
    const end = start + ids.length;
    const i32 = (values: readonly number[]) => tensor(Int32Array.from(values));
    await this.cache.reserve(end);
    const logits = await step(rowOf(ids), positions, i32([end - 1]), i32([end]));
    const numbers = await logits.read();
    logits.dispose();
    return numbers;
  }

  dispose(): void {
    this.prefill.dispose();
    this.decode.dispose();
    this.prefillEmbedded.dispose();
    this.cache.dispose();
  }
}

/**
 * How many tokens may follow a prompt. @throws ContextLengthError when the caller asks for more than there is room for,
 * or there is none
 */
function newTokens(promptTokens: number, { tokens, isAsked }: AnswerLimit, contextLength: number): number {
  const room = contextLength - promptTokens;
  const isFine = isAsked ? (tokens as number) <= room : room > 0;
  if (!isFine)
    throw new ContextLengthError({ promptTokens, maxNewTokens: isAsked ? tokens : undefined, contextLength });
  return Math.min(tokens ?? DEFAULT_NEW_TOKENS, room);
}

/** i32 [1, T] */
const rowOf = (values: readonly number[]) => tensor(Int32Array.from(values), { shape: [1, values.length] });
