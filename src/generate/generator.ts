import { checkOptions, DataError, OptionError } from "../ir/index.ts";
import type { CausalLM } from "../models/index.ts";
import { type CompiledFunction, compile, gather, reshape, type Tensor, tensor, Variable } from "../tensor/index.ts";
import { Sampler, type SamplingOptions, samplingOptionNames } from "./sampler.ts";

export interface GenerateOptions extends SamplingOptions {
  /** @default 128 */
  maxNewTokens?: number;
  /** Tokens that end the text and are not given out. @default the model's end-of-text token */
  stopTokens?: readonly number[];
  signal?: AbortSignal;
}

/** Arguments: new ids [1, T], their positions [1, T], index of the last, cache lengths [1], total [1]. */
type Step = CompiledFunction<[Tensor<"i32">, Tensor<"i32">, Tensor<"i32">, Tensor<"i32">, Tensor<"i32">], Tensor<"f32">>;

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
  /** Ids whose keys and values are in the cache. */
  private cached: number[] = [];
  private busy: Promise<void> = Promise.resolve();

  constructor(model: CausalLM) {
    this.model = model;
    const { numLayers, hiddenSize, maxPositionEmbeddings } = model.config;
    const { numKeyHeads, headDim } = model.cacheShape;
    this.contextLength = maxPositionEmbeddings;
    const shape = [1, numKeyHeads, maxPositionEmbeddings, headDim];
    const cache = (name: string) => new Variable({ name, dtype: "f32", shape }, new Float32Array(shape.reduce((a, b) => a * b, 1)));
    this.caches = Array.from({ length: numLayers }, (_, i) => ({ k: cache(`cache.${i}.k`), v: cache(`cache.${i}.v`) }));
    const step = (ids: Tensor<"i32">, positions: Tensor<"i32">, last: Tensor<"i32">, lengths: Tensor<"i32">, total: Tensor<"i32">) => {
      const layers = this.caches.map(({ k, v }) => ({ k: k.value, v: v.value }));
      const result = model.hidden(ids, { positions, cache: { layers, lengths, total } });
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
    this.decode = compile(step);
  }

  /**
   * Continues a prompt, giving tokens as they are made. When the context is full, the older half is forgotten. Calls wait
   * for one another.
   * @throws DataError for an empty prompt or an id outside the vocabulary, OptionError for wrong options
   */
  async *generate(prompt: readonly number[], options: GenerateOptions = {}): AsyncGenerator<number, "stop" | "length", void> {
    checkOptions("generate", options, [...samplingOptionNames, "maxNewTokens", "stopTokens", "signal"]);
    const { maxNewTokens = 128, stopTokens = this.defaultStops(), signal, ...sampling } = options;
    if (!Number.isInteger(maxNewTokens) || maxNewTokens < 0) {
      throw new OptionError({ where: "generate", expected: "maxNewTokens of at least 0", received: String(maxNewTokens), fix: "choose a whole number" });
    }
    this.checkPrompt(prompt);
    const sampler = new Sampler(sampling);
    const release = await this.acquire();
    try {
      let logits = await this.feed(prompt.length > this.contextLength ? prompt.slice(-this.contextLength) : prompt);
      for (let made = 0; made < maxNewTokens; made++) {
        signal?.throwIfAborted();
        const id = sampler.pick(logits);
        if (stopTokens.includes(id)) return "stop";
        yield id;
        if (made + 1 === maxNewTokens) break;
        logits =
          this.cached.length < this.contextLength
            ? await this.feedNext(id)
            : await this.feed([...this.cached, id].slice(-Math.max(1, this.contextLength >> 1)));
      }
      return "length";
    } finally {
      release();
    }
  }

  private defaultStops(): readonly number[] {
    const { eosTokenId } = this.model.config;
    return eosTokenId === null ? [] : typeof eosTokenId === "number" ? [eosTokenId] : eosTokenId;
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
  private async feed(prompt: readonly number[]): Promise<Float32Array> {
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

  private async feedNext(id: number): Promise<Float32Array> {
    if (!this.fits(this.cached.length + 1)) return this.feed([...this.cached, id]);
    this.cached.push(id);
    return this.run(this.decode, [id], this.cached.length - 1);
  }

  private async run(step: Step, ids: readonly number[], start: number): Promise<Float32Array> {
    const end = start + ids.length;
    const i32 = (values: readonly number[], shape: readonly number[]) => tensor(Int32Array.from(values), { shape });
    try {
      const logits = await step(
        i32(ids, [1, ids.length]),
        i32(
          ids.map((_, i) => start + i),
          [1, ids.length],
        ),
        i32([ids.length - 1], [1]),
        i32([end - 1], [1]),
        i32([end], [1]),
      );
      const numbers = await logits.read();
      logits.dispose();
      return numbers;
    } catch (cause) {
      this.cached = []; // the cache may be half written
      throw cause;
    }
  }

  dispose(): void {
    this.prefill.dispose();
    this.decode.dispose();
    for (const { k, v } of this.caches) {
      k.dispose();
      v.dispose();
    }
  }
}
