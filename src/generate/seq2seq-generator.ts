import { checkOptions, DataError, OptionError } from "../base/index.ts";
import type { EncoderDecoder, EncoderSideInputs } from "../models/index.ts";
import { type CompiledFunction, compile, type Tensor, tensor } from "../tensor/index.ts";
import { BeamSearch } from "./beam-search.ts";
import { CachedDecoder, EncodedSource, type KeysAndValues } from "./cached-decoder.ts";
import { pickOptionNames } from "./generator.ts";
import type { KeyValueCacheOptions } from "./key-value-cache.ts";
import { logSumExp } from "./rules.ts";
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
  /** Ends the text, and the run under way before its next operator (by onnxruntime-node and in pages, at its end). */
  signal?: AbortSignal;
}

export interface Seq2SeqGeneratorOptions extends Pick<KeyValueCacheOptions, "cacheDtype" | "initialRoom"> {
  /**
   * Most tokens that can be written, the start included. Memory follows the text, not this. @default the most that the
   * model can write
   */
  maxLength?: number;
}

/** Texts are padded to a multiple of this, so that not every length compiles a graph of its own. */
const LENGTH_STEP = 32;

/**
 * Generates with an encoder-decoder, one text at a time: the encoder runs once, its keys and values stay on the device,
 * and the decoder goes on token by token over a cache.
 */
export class Seq2SeqGenerator {
  readonly model: EncoderDecoder;
  /** Most tokens that can be written, the start included. */
  readonly maxLength: number;
  private readonly encode: CompiledFunction<[EncoderSideInputs], KeysAndValues[]>;
  private readonly cacheOptions: Pick<KeyValueCacheOptions, "maxLength" | "cacheDtype" | "initialRoom">;
  /** By their number of hypotheses. */
  private readonly decoders = new Map<number, CachedDecoder>();
  private readonly turns = new Turns();

  /** @throws OptionError for unknown options */
  constructor(model: EncoderDecoder, options: Seq2SeqGeneratorOptions = {}) {
    checkOptions("Seq2SeqGenerator", options, ["maxLength", "cacheDtype", "initialRoom"]);
    const { maxLength = model.cacheShape.maxLength ?? 512, ...cacheOptions } = options;
    this.model = model;
    this.maxLength = Math.min(maxLength, model.cacheShape.maxLength ?? maxLength);
    this.cacheOptions = { maxLength: this.maxLength, ...cacheOptions };
    this.decoderOf(1);
    this.encode = compile((inputs) => model.crossKeysAndValues(model.encode(inputs)));
  }

  private decoderOf(numBeams: number): CachedDecoder {
    const known = this.decoders.get(numBeams);
    if (known) return known;
    const decoder = new CachedDecoder(this.model, numBeams, this.cacheOptions);
    this.decoders.set(numBeams, decoder);
    return decoder;
  }

  /**
   * Runs the encoder, for more than one text or question. @throws DataError for an empty text or an id outside the
   * vocabulary
   */
  async read(source: Seq2SeqSource, signal?: AbortSignal): Promise<EncodedSource> {
    this.checkSource(source);
    const { inputs, mask } = this.inputsOf(source);
    return new EncodedSource(await this.encode.withSignal(signal)(inputs as never), mask, source.inputIds);
  }

  /**
   * Logits of the token that would follow some ids, f32 [V], before any rule. @throws DataError for an id outside the
   * vocabulary
   */
  async logits(source: EncodedSource, ids: readonly number[], signal?: AbortSignal): Promise<Float32Array> {
    this.checkStart(ids);
    const release = await this.turns.take(signal);
    try {
      return (await this.decoderOf(1).run([ids], ids.length, source, { signal }))[0];
    } finally {
      release();
    }
  }

  /**
   * Writes a text, giving tokens as they are made; the start is not among them. With `numBeams` they all come at the
   * end. Calls wait for one another.
   * @throws DataError for an empty text or an id outside the vocabulary, OptionError for wrong options
   */
  async *generate(
    source: Seq2SeqSource | EncodedSource,
    options: Seq2SeqGenerateOptions = {},
  ): AsyncGenerator<number, "stop" | "length", void> {
    checkOptions("generate", options, [...pickOptionNames, "decoderInputIds", "times"]);
    const { decoderInputIds: start = this.start(), signal, ...asked } = options;
    this.checkStart(start);
    const isRead = source instanceof EncodedSource;
    if (!isRead) this.checkSource(source);
    const picker = new TokenPicker(this.model, start, source.inputIds, asked, { hasBeams: true });
    picker.maxLength = Math.min(this.maxLength, start.length + (picker.limitOf(options).tokens ?? this.maxLength));
    if (picker.isFull) return "length"; // nothing is asked for
    const release = await this.turns.take(signal);
    let encoded: EncodedSource | undefined;
    try {
      encoded = isRead ? source : await this.read(source, signal);
      return yield* picker.beams
        ? this.writeBeams(encoded, start, picker, signal)
        : this.writeOne(encoded, start, picker, signal);
    } finally {
      if (!isRead) encoded?.dispose();
      release();
    }
  }

  private async *writeOne(encoded: EncodedSource, start: readonly number[], picker: TokenPicker, signal?: AbortSignal) {
    const decoder = this.decoderOf(1);
    let fresh = start;
    while (!picker.isFull) {
      signal?.throwIfAborted();
      const [logits] = await decoder.run([fresh], picker.ids.length, encoded, { signal });
      const id = picker.next(logits);
      if (id === undefined) return "stop" as const;
      yield id;
      fresh = [id];
    }
    return "length" as const;
  }

  /** Follows several hypotheses, and gives the best text when none better is to be had. */
  private async *writeBeams(
    encoded: EncodedSource,
    start: readonly number[],
    picker: TokenPicker,
    signal?: AbortSignal,
  ) {
    const settings = picker.beams as NonNullable<TokenPicker["beams"]>;
    const search = new BeamSearch(start, picker.maxLength, picker.stops, settings);
    const decoder = this.decoderOf(settings.numBeams);
    for (let isFirst = true; !search.isDone; isFirst = false) {
      signal?.throwIfAborted();
      const { running } = search;
      const fresh = running.map(({ ids }) => (isFirst ? start : ids.slice(-1)));
      const parents = running.map(({ parent }) => parent);
      const rows = await decoder.run(fresh, running[0].ids.length, encoded, { parents, signal });
      running.forEach(({ ids }, i) => {
        const normalizer = logSumExp(rows[i]);
        rows[i] = picker.ruled(
          rows[i].map((logit) => logit - normalizer),
          ids,
        );
      });
      search.advance(rows, picker.isLate);
    }
    const answer = search.best.slice(start.length);
    const isWhole = picker.stops.has(answer[answer.length - 1]);
    yield* isWhole ? answer.slice(0, -1) : answer;
    return isWhole ? ("stop" as const) : ("length" as const);
  }

  private start(): number[] {
    const { decoder_start_token_id: stated } = this.model.generationConfig;
    return [typeof stated === "number" ? stated : (this.model.config.decoderStartTokenId ?? 0)];
  }

  private checkSource({ inputIds, inputFeatures, pixelValues }: Seq2SeqSource): void {
    const parts = [inputIds, inputFeatures, pixelValues].filter((part) => part !== undefined);
    if (parts.length !== 1 || inputIds?.length === 0) {
      throw new DataError({
        where: "generate",
        expected: "inputIds, inputFeatures or pixelValues",
        received: parts.length === 1 ? "an empty text" : `${parts.length} of them`,
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
      throw new DataError({
        where: "generate",
        expected: `token ids from 0 to ${vocabSize - 1}`,
        received: String(wrong),
        fix,
      });
    }
  }

  private checkStart(ids: readonly number[]): void {
    this.checkIds(ids);
    if (ids.length === 0 || ids.length >= this.maxLength) {
      const expected = `from 1 to ${this.maxLength - 1} decoderInputIds`;
      throw new OptionError({
        where: "generate",
        expected,
        received: String(ids.length),
        fix: "shorten the start of the text",
      });
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

  dispose(): void {
    this.encode.dispose();
    for (const decoder of this.decoders.values()) decoder.dispose();
  }
}
