import { checkOptions, DataError, OptionError } from "../ir/index.ts";
import type { EncoderDecoder, EncoderSideInputs } from "../models/index.ts";
import { type CompiledFunction, compile, reshape, slice, type Tensor, tensor } from "../tensor/index.ts";
import { pickOptionNames } from "./generator.ts";
import { KeyValueCache, type KeyValueCacheOptions } from "./key-value-cache.ts";
import { type PickOptions, TokenPicker } from "./token-picker.ts";
import { Turns } from "./turns.ts";

/** What an encoder-decoder reads. */
export interface Seq2SeqSource {
  /** Token ids of the text. */
  inputIds?: readonly number[];
  /** Log-mel spectrogram, f32 [1, mels, frames]: of speech models. */
  inputFeatures?: Tensor<"f32">;
  /** An image, f32 [1, 3, H, W]: of captioning models. */
  pixelValues?: Tensor<"f32">;
}

export interface Seq2SeqGenerateOptions extends PickOptions {
  /** What the text begins with. @default decoder_start_token_id of generation_config.json, or of the model */
  decoderInputIds?: readonly number[];
  signal?: AbortSignal;
}

type KeysAndValues = { k: Tensor<"f32">; v: Tensor<"f32"> };

/** What an encoder has read, for several texts of it; to be disposed of. */
export class EncodedSource {
  /** For each layer of the decoder. */
  readonly keysAndValues: KeysAndValues[];
  /** bool [1, S], false for padding; null where all counts. */
  readonly mask: Tensor<"bool"> | null;
  /** The tokens that were read; undefined for what is no text. */
  readonly inputIds: readonly number[] | undefined;

  constructor(keysAndValues: KeysAndValues[], mask: Tensor<"bool"> | null, inputIds?: readonly number[]) {
    this.keysAndValues = keysAndValues;
    this.mask = mask;
    this.inputIds = inputIds;
  }

  dispose(): void {
    for (const { k, v } of this.keysAndValues) {
      k.dispose();
      v.dispose();
    }
  }
}

export interface Seq2SeqGeneratorOptions extends Pick<KeyValueCacheOptions, "cacheDtype" | "initialRoom"> {
  /** Most tokens that can be written, the start included. Memory follows the text, not this. @default the most that the model can write */
  maxLength?: number;
}

/** Texts are padded to a multiple of this, so that not every length compiles a graph of its own. */
const LENGTH_STEP = 32;

/**
 * Generates with an encoder-decoder, one text at a time: the encoder runs once, its keys and values stay on the device, and the decoder goes
 * on token by token over a cache.
 */
export class Seq2SeqGenerator {
  readonly model: EncoderDecoder;
  /** Most tokens that can be written, the start included. */
  readonly maxLength: number;
  private readonly cache: KeyValueCache;
  private readonly encode: CompiledFunction<[EncoderSideInputs], KeysAndValues[]>;
  private readonly step: CompiledFunction<[Tensor<"i32">, Tensor<"i32">, Tensor<"i32">, Tensor<"bool"> | null, KeysAndValues[]], Tensor<"f32">>;
  private readonly turns = new Turns();

  /** @throws OptionError for unknown options */
  constructor(model: EncoderDecoder, options: Seq2SeqGeneratorOptions = {}) {
    checkOptions("Seq2SeqGenerator", options, ["maxLength", "cacheDtype", "initialRoom"]);
    const { maxLength = model.cacheShape.maxLength ?? 512, ...cacheOptions } = options;
    const { numLayers, numHeads, headDim, maxLength: limit = maxLength } = model.cacheShape;
    this.model = model;
    this.maxLength = Math.min(maxLength, limit);
    this.cache = new KeyValueCache({ numLayers, numKeyHeads: numHeads, headDim, maxLength: this.maxLength, ...cacheOptions });
    this.encode = compile((inputs) => model.crossKeysAndValues(model.encode(inputs)));
    this.step = compile((ids, lengths, total, encoderMask, encoderKeysAndValues) => {
      const cache = { layers: this.cache.layers, lengths, total };
      const result = model.decode(ids, { cache, encoderMask: encoderMask ?? undefined, encoderKeysAndValues });
      this.cache.assign(result.layers);
      const length = ids.shape[1] as number;
      return model.logits(reshape(slice(result.hidden, { axis: 1, start: length - 1, end: length }), [1, model.config.hiddenSize])); // [1, V]
    });
  }

  /** Runs the encoder, for more than one text or question. @throws DataError for an empty text or an id outside the vocabulary */
  async read(source: Seq2SeqSource): Promise<EncodedSource> {
    this.checkSource(source);
    const { inputs, mask } = this.inputsOf(source);
    return new EncodedSource(await this.encode(inputs as never), mask, source.inputIds);
  }

  /** Logits of the token that would follow some ids, f32 [V], before any rule. @throws DataError for an id outside the vocabulary */
  async logits(source: EncodedSource, ids: readonly number[]): Promise<Float32Array> {
    this.checkStart(ids);
    const release = await this.turns.take();
    try {
      return await this.run(ids, ids.length, source);
    } finally {
      release();
    }
  }

  /**
   * Writes a text, giving tokens as they are made; the start is not among them. Calls wait for one another.
   * @throws DataError for an empty text or an id outside the vocabulary, OptionError for wrong options
   */
  async *generate(source: Seq2SeqSource | EncodedSource, options: Seq2SeqGenerateOptions = {}): AsyncGenerator<number, "stop" | "length", void> {
    checkOptions("generate", options, [...pickOptionNames, "decoderInputIds", "times"]);
    const { decoderInputIds: start = this.start(), signal, ...asked } = options;
    this.checkStart(start);
    const isRead = source instanceof EncodedSource;
    if (!isRead) this.checkSource(source);
    const picker = new TokenPicker(this.model, start, source.inputIds, asked);
    picker.maxLength = Math.min(this.maxLength, start.length + (picker.limitOf(options).tokens ?? this.maxLength));
    const release = await this.turns.take(signal);
    let encoded: EncodedSource | undefined;
    try {
      signal?.throwIfAborted();
      encoded = isRead ? source : await this.read(source);
      let fresh: readonly number[] = start;
      while (!picker.isFull) {
        signal?.throwIfAborted();
        const id = picker.next(await this.run(fresh, picker.ids.length, encoded));
        if (id === undefined) return "stop";
        yield id;
        fresh = [id];
      }
      return "length";
    } finally {
      if (!isRead) encoded?.dispose();
      release();
    }
  }

  private start(): number[] {
    const { decoder_start_token_id: stated } = this.model.generationConfig;
    return [typeof stated === "number" ? stated : (this.model.config.decoderStartTokenId ?? 0)];
  }

  private checkSource({ inputIds, inputFeatures, pixelValues }: Seq2SeqSource): void {
    const given = [inputIds, inputFeatures, pixelValues].filter((part) => part !== undefined);
    if (given.length !== 1 || inputIds?.length === 0) {
      throw new DataError({
        where: "generate",
        expected: "inputIds, inputFeatures or pixelValues",
        received: given.length === 1 ? "an empty text" : `${given.length} of them`,
        fix: "give one of them",
      });
    }
    this.checkIds(inputIds ?? []);
  }

  private checkIds(ids: readonly number[]): void {
    const { vocabSize } = this.model.config;
    const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
    if (wrong !== undefined) {
      const fix = "encode the text with this model's tokenizer";
      throw new DataError({ where: "generate", expected: `token ids from 0 to ${vocabSize - 1}`, received: String(wrong), fix });
    }
  }

  private checkStart(ids: readonly number[]): void {
    this.checkIds(ids);
    if (ids.length === 0 || ids.length >= this.maxLength) {
      const expected = `from 1 to ${this.maxLength - 1} decoderInputIds`;
      throw new OptionError({ where: "generate", expected, received: String(ids.length), fix: "shorten the start of the text" });
    }
  }

  /** The text padded to a common length, with its mask. */
  private inputsOf({ inputIds, ...others }: Seq2SeqSource) {
    if (!inputIds) return { inputs: others, mask: null };
    const length = Math.ceil(inputIds.length / LENGTH_STEP) * LENGTH_STEP;
    const { maxLength = length } = this.model.cacheShape;
    const room = Math.max(inputIds.length, Math.min(length, maxLength));
    const ids = new Int32Array(room).fill(this.model.config.padTokenId ?? 0);
    ids.set(inputIds);
    const mask = tensor(
      Uint8Array.from({ length: room }, (_, i) => (i < inputIds.length ? 1 : 0)),
      { dtype: "bool", shape: [1, room] },
    );
    return { inputs: { inputIds: tensor(ids, { shape: [1, room] }), attentionMask: mask }, mask };
  }

  private async run(ids: readonly number[], total: number, { mask, keysAndValues }: EncodedSource): Promise<Float32Array> {
    const i32 = (values: readonly number[], shape: readonly number[]) => tensor(Int32Array.from(values), { shape });
    await this.cache.reserve(total);
    const logits = await this.step(i32(ids, [1, ids.length]), i32([total - 1], [1]), i32([total], [1]), mask, keysAndValues as never);
    const numbers = await logits.read();
    logits.dispose();
    return Float32Array.from(numbers);
  }

  dispose(): void {
    this.encode.dispose();
    this.step.dispose();
    this.cache.dispose();
  }
}
