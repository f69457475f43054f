import { checkOptions, DataError, OptionError } from "../ir/index.ts";
import type { CausalLM } from "../models/index.ts";
import { type CompiledFunction, compile, gather, reshape, type Tensor, tensor, Variable } from "../tensor/index.ts";
import { ContextLengthError } from "./context-length.ts";
import { applyRules, type GenerationRules, rulesFrom } from "./rules.ts";
import { Sampler, type SamplingOptions, samplingOptionNames } from "./sampler.ts";

export interface GenerateOptions extends SamplingOptions {
  /** @default 128, or what the context has room for after the prompt */
  maxNewTokens?: number;
  /** When the context is full, forget the older half of it and go on, rather than refuse what will not fit. @default false */
  contextShift?: boolean;
  /** Tokens that end the text and are not given out. @default those of generation_config.json, or else of the model's config */
  stopTokens?: readonly number[];
  /** Rules in place of those of the model's generation_config.json. */
  rules?: Partial<GenerationRules>;
  signal?: AbortSignal;
}

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

/** Arguments: new ids [1, T], their positions [1, T] or [3, 1, T], index of the last, cache lengths [1], total [1]; embeddings [1, T, D]. */
type StepInputs = [ids: Tensor<"i32">, positions: Tensor<"i32">, last: Tensor<"i32">, lengths: Tensor<"i32">, total: Tensor<"i32">];
type Step = CompiledFunction<StepInputs, Tensor<"f32">>;

/**
 * Generates with a model, one sequence at a time. Keys and values of the positions seen are kept in a cache on the device
 * that is updated in place, so a token costs the same early and late but for the attention itself.
 */
export class Generator {
  readonly model: CausalLM;
  readonly contextLength: number;
  private readonly caches: { k: Variable<"f32">; v: Variable<"f32"> }[];
  private readonly prefill: Step;
  private readonly decode: Step;
  private readonly prefillEmbedded: CompiledFunction<[...StepInputs, Tensor<"f32">], Tensor<"f32">>;
  /** Ids whose keys and values are in the cache. */
  private cached: number[] = [];
  private busy: Promise<void> = Promise.resolve();

  /** @param contextLength room of the cache, in tokens @default the longest context of the model */
  constructor(model: CausalLM, { contextLength = model.config.maxPositionEmbeddings }: { contextLength?: number } = {}) {
    this.model = model;
    const { numLayers, hiddenSize, maxPositionEmbeddings } = model.config;
    const { numKeyHeads, headDim } = model.cacheShape;
    if (!Number.isInteger(contextLength) || contextLength < 1 || contextLength > maxPositionEmbeddings) {
      const expected = `a contextLength from 1 to ${maxPositionEmbeddings}`;
      throw new OptionError({ where: "Generator", expected, received: String(contextLength), fix: "choose one the model knows positions for" });
    }
    this.contextLength = contextLength;
    const shape = [1, numKeyHeads, contextLength, headDim];
    const cache = (name: string) => new Variable({ name, dtype: "f32", shape }, new Float32Array(shape.reduce((a, b) => a * b, 1)));
    this.caches = Array.from({ length: numLayers }, (_, i) => ({ k: cache(`cache.${i}.k`), v: cache(`cache.${i}.v`) }));
    const step = (...[ids, positions, last, lengths, total, embeddings]: [...StepInputs, Tensor<"f32">?]) => {
      const layers = this.caches.map(({ k, v }) => ({ k: k.value, v: v.value }));
      const result = model.hidden(ids, { positions, embeddings, cache: { layers, lengths, total } });
      result.layers.forEach(({ k, v }, i) => {
        this.caches[i].k.assign(k);
        this.caches[i].v.assign(v);
      });
      return model.logits(reshape(gather(result.hidden, last, 1), [1, hiddenSize])); // [1, V]
    };
    this.prefill = compile(step, {
      symbolicSizes: [
        [null, "T"],
        [null, "T"],
      ],
    });
    this.decode = compile((...inputs: StepInputs) => step(...inputs));
    this.prefillEmbedded = compile((...inputs: [...StepInputs, Tensor<"f32">]) => step(...inputs));
  }

  /**
   * Continues a prompt, giving tokens as they are made. A text with an `embedded` prompt ends where the context is full. Calls wait for one another.
   * @throws ContextLengthError when the prompt and `maxNewTokens` exceed the context; DataError for an empty prompt or an id outside the vocabulary;
   *   OptionError for wrong options
   */
  async *generate(prompt: readonly number[], options: GenerateOptions = {}, embedded?: EmbeddedPrompt): AsyncGenerator<number, "stop" | "length", void> {
    checkOptions("generate", options, [...samplingOptionNames, "maxNewTokens", "stopTokens", "rules", "signal", "contextShift"]);
    const { rules: own, signal, stopTokens, contextShift = false, maxNewTokens: asked, ...sampling } = options;
    const rules = { ...rulesFrom(this.model.generationConfig), ...own };
    const stops = stopTokens ?? (rules.eos.length > 0 ? rules.eos : [this.model.config.eosTokenId ?? []].flat());
    this.checkPrompt(prompt);
    const isBounded = !contextShift && !embedded;
    const maxNewTokens = this.newTokens(prompt.length, asked, isBounded ? this.contextLength : Number.POSITIVE_INFINITY);
    if (embedded && prompt.length > this.embeddedRoom) throw new ContextLengthError({ promptTokens: prompt.length, contextLength: this.embeddedRoom });
    const sampler = new Sampler(sampling);
    const ids = [...prompt];
    const progress = { ids, startLength: ids.length, maxLength: ids.length + maxNewTokens };
    const release = await this.acquire();
    try {
      let logits = await this.feed(prompt.length > this.contextLength ? prompt.slice(-this.contextLength) : prompt, embedded);
      for (let made = 0; made < maxNewTokens; made++) {
        signal?.throwIfAborted();
        applyRules(logits, rules, progress);
        const id = sampler.pick(logits);
        if (stops.includes(id)) return "stop";
        yield id;
        ids.push(id);
        if (made + 1 === maxNewTokens) break;
        if (embedded) {
          if (this.cached.length === this.embeddedRoom) break;
          logits = await this.feedNext(id, embedded.offset);
          continue;
        }
        logits =
          this.cached.length < this.contextLength
            ? await this.feedNext(id)
            : await this.feed([...this.cached, id].slice(-Math.max(1, this.contextLength >> 1)));
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

  /** How many tokens may follow a prompt. */
  private newTokens(promptTokens: number, asked: number | undefined, contextLength: number): number {
    if (asked !== undefined && (!Number.isInteger(asked) || asked < 0)) {
      throw new OptionError({ where: "generate", expected: "maxNewTokens of at least 0", received: String(asked), fix: "choose a whole number" });
    }
    const room = contextLength - promptTokens;
    const isFine = asked === undefined ? room > 0 : asked <= room;
    if (!isFine) throw new ContextLengthError({ promptTokens, maxNewTokens: asked, contextLength });
    return asked ?? Math.min(DEFAULT_NEW_TOKENS, room);
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

  private async acquire(): Promise<() => void> {
    const before = this.busy;
    let release = () => {};
    this.busy = new Promise((resolve) => {
      release = resolve;
    });
    await before;
    return release;
  }

  /** Runs a whole prompt, reusing what the cache shares with it, and gives the logits after its last token. */
  private async feed(prompt: readonly number[], embedded?: EmbeddedPrompt): Promise<Float32Array> {
    if (embedded) {
      this.cached = [...prompt];
      return this.run((...inputs) => this.prefillEmbedded(...inputs, embedded.embeddings), prompt, 0, embedded.positions);
    }
    let shared = 0;
    if (this.fits(prompt.length)) while (shared < prompt.length - 1 && this.cached[shared] === prompt[shared]) shared++;
    const ids = prompt.slice(shared);
    this.cached = [...prompt];
    if (ids.length === 1) return this.run(this.decode, ids, shared);
    return this.run(this.prefill, ids, shared);
  }

  /** Whether the keys in the cache may be used in a run of this length. */
  private fits(length: number): boolean {
    const { cacheLimit = Number.POSITIVE_INFINITY } = this.model;
    return length > cacheLimit === this.cached.length > cacheLimit;
  }

  /** @param offset added to the position */
  private async feedNext(id: number, offset = 0): Promise<Float32Array> {
    if (!this.fits(this.cached.length + 1)) return this.feed([...this.cached, id]);
    this.cached.push(id);
    const start = this.cached.length - 1;
    return this.run(this.decode, [id], start, rowOf([start + offset]));
  }

  private async run(
    step: (...inputs: StepInputs) => Promise<Tensor<"f32">>,
    ids: readonly number[],
    start: number,
    positions: Tensor<"i32"> = rowOf(ids.map((_, i) => start + i)),
  ): Promise<Float32Array> {
    const end = start + ids.length;
    const i32 = (values: readonly number[], shape: readonly number[]) => tensor(Int32Array.from(values), { shape });
    try {
      const logits = await step(rowOf(ids), positions, i32([ids.length - 1], [1]), i32([end - 1], [1]), i32([end], [1]));
      const numbers = await logits.read();
      logits.dispose();
      return Float32Array.from(numbers);
    } catch (cause) {
      this.cached = []; // the cache may be half written
      throw cause;
    }
  }

  dispose(): void {
    this.prefill.dispose();
    this.decode.dispose();
    this.prefillEmbedded.dispose();
    for (const { k, v } of this.caches) {
      k.dispose();
      v.dispose();
    }
  }
}

/** i32 [1, T] */
const rowOf = (values: readonly number[]) => tensor(Int32Array.from(values), { shape: [1, values.length] });
