import { checkOptions, DataError, OptionError } from "../base/index.ts";
import type { EncoderDecoder, EncoderSideInputs } from "../models/index.ts";
import { type Tensor, tensor } from "../tensor/index.ts";
import { type BeamRunner, type BeamText, searchBeams } from "./beams/index.ts";
import { DecoderRunners } from "./decoder-runner.ts";
import type { DeviceCacheOptions } from "./device-cache.ts";
import { EncodedSource, type SourceContext, SourceTexts, sourceDecoder } from "./encoded-source.ts";
import { rowOptionNames } from "./generator.ts";
import { ModelFunction } from "./model-structure.ts";
import type { BuiltWays } from "./search-settings.ts";
import { requireTokenIds } from "./token-ids.ts";
import { type PickOptions, TokenPicker } from "./token-picker.ts";
import { Turns } from "./turns.ts";
import type { FinishReason } from "./write-texts.ts";
import { onlyText, type RowToken, writeTexts } from "./write-texts.ts";

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

/** One of several texts: what it is written of, with what is its own of the settings. */
export interface Seq2SeqBatchSource extends Omit<Seq2SeqGenerateOptions, "signal"> {
  source: Seq2SeqSource | EncodedSource;
}

/** Sizes of a generator: they decide its memory. */
export interface Seq2SeqGeneratorOptions extends Pick<DeviceCacheOptions, "cacheDtype" | "initialRoom"> {
  /**
   * Most tokens that can be written, the start included. Memory follows the text, not this. @default the most that the
   * model can write
   */
  maxLength?: number;
}

/** Texts are padded to a multiple of this, so that not every length compiles a graph of its own. */
const LENGTH_STEP = 32;

/**
 * Generates with an encoder-decoder, one text at a time or several together: the encoder runs once for each, its keys
 * and values stay on the device, and the decoder goes on token by token over a cache.
 */
export class Seq2SeqGenerator {
  readonly model: EncoderDecoder;
  /** Most tokens that can be written, the start included. */
  readonly maxLength: number;
  private readonly encode: ModelFunction<[EncoderSideInputs], SourceContext["keysAndValues"]>;
  /** Of one row, where every text begins; and of several texts or hypotheses together. */
  private readonly runners: DecoderRunners<SourceContext>;
  private readonly turns = new Turns();

  /** @throws OptionError for unknown options */
  constructor(model: EncoderDecoder, options: Seq2SeqGeneratorOptions = {}) {
    checkOptions("Seq2SeqGenerator", options, ["maxLength", "cacheDtype", "initialRoom"]);
    const { maxLength = model.cacheShape.maxLength ?? 512, ...cacheOptions } = options;
    this.model = model;
    this.maxLength = Math.min(maxLength, model.cacheShape.maxLength ?? maxLength);
    this.runners = new DecoderRunners(sourceDecoder(model), { maxLength: this.maxLength, ...cacheOptions });
    this.encode = new ModelFunction(model, (inputs) => model.crossKeysAndValues(model.encode(inputs)));
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
      this.runners.noticeExchanges();
      const [logits] = await this.runners.single.run({ tokens: [ids], starts: [0], context: source.context, signal });
      return logits;
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
  ): AsyncGenerator<number, FinishReason, void> {
    const { signal, ...settings } = options;
    return yield* onlyText(this.generateBatch([{ source, ...settings }], { signal }));
  }

  /**
   * Writes several texts together, giving tokens as they are made with the number of their source, and at the end why
   * each text ended. Each text is the one that `generate` gives for its source alone. If one has `numBeams`, they are
   * written one after another.
   * @throws as `generate`, before anything is run
   */
  async *generateBatch(
    sources: readonly Seq2SeqBatchSource[],
    { signal }: Pick<Seq2SeqGenerateOptions, "signal"> = {},
  ): AsyncGenerator<RowToken, FinishReason[], void> {
    const texts = sources.map((source) => this.planOf(source));
    if (texts.every(({ picker }) => picker.isFull)) return texts.map(() => "length" as const); // nothing is asked for
    const release = await this.turns.take(signal);
    const toDispose: { dispose(): void }[] = [];
    try {
      this.runners.noticeExchanges();
      const encoded: EncodedSource[] = [];
      for (const { source } of sources) {
        const isRead = source instanceof EncodedSource;
        encoded.push(isRead ? source : await this.read(source, signal));
        if (!isRead) toDispose.push(encoded[encoded.length - 1]);
      }
      if (texts.some(({ picker }) => picker.beams)) return yield* this.writeOneByOne(encoded, texts, signal);
      const rows = new SourceTexts(encoded, texts, [this.runners.single, this.runners.of(texts.length)], signal);
      toDispose.push(rows);
      const pickers = texts.map(({ picker }) => picker);
      return yield* writeTexts(rows, pickers, signal);
    } finally {
      for (const part of toDispose) part.dispose();
      release();
    }
  }

  /**
   * Writes the best texts of a beam search, `numReturnSequences` of them, the best first.
   * @throws as `generate`; OptionError without `numBeams`
   */
  async generateSequences(
    source: Seq2SeqSource | EncodedSource,
    { signal, ...settings }: Seq2SeqGenerateOptions = {},
  ): Promise<readonly BeamText[]> {
    const plan = this.planOf({ source, ...settings }, { hasSequences: true });
    if (!plan.picker.beams)
      throw new OptionError({
        where: "generateSequences",
        expected: "numBeams above 1",
        received: String(settings.numBeams ?? 1),
        fix: "use generate for one text, token by token",
      });
    if (plan.picker.isFull) return []; // nothing is asked for
    const release = await this.turns.take(signal);
    let encoded: EncodedSource | undefined;
    try {
      this.runners.noticeExchanges();
      encoded = source instanceof EncodedSource ? source : await this.read(source, signal);
      return await this.searchBeams(encoded, plan, signal);
    } finally {
      if (encoded !== source) encoded?.dispose();
      release();
    }
  }

  /** How a text is written. @throws as `generate` */
  private planOf({ source, ...options }: Seq2SeqBatchSource, built: BuiltWays = {}): TextPlan {
    checkOptions("generate", options, [...rowOptionNames, "decoderInputIds", "times"]);
    const { decoderInputIds: start = this.start(), ...settings } = options;
    this.checkStart(start);
    if (!(source instanceof EncodedSource)) this.checkSource(source);
    const picker = new TokenPicker(this.model, start, source.inputIds, settings, { hasBeams: true, ...built });
    picker.maxLength = Math.min(this.maxLength, start.length + (picker.limitOf(options).tokens ?? this.maxLength));
    return { start, picker };
  }

  private async *writeOneByOne(
    encoded: readonly EncodedSource[],
    texts: readonly TextPlan[],
    signal?: AbortSignal,
  ): AsyncGenerator<RowToken, FinishReason[], void> {
    const reasons: FinishReason[] = [];
    const { single } = this.runners;
    for (const [row, text] of texts.entries()) {
      const { picker } = text;
      const alone = new SourceTexts([encoded[row]], [text], [single, single], signal);
      const tokens = picker.beams
        ? this.writeBeams(encoded[row], text, signal)
        : onlyText(writeTexts(alone, [picker], signal));
      let next = await tokens.next();
      for (; !next.done; next = await tokens.next()) yield { row, id: next.value };
      reasons.push(next.value);
    }
    return reasons;
  }

  /** Gives the best text of a search when none better is to be had. */
  private async *writeBeams(
    encoded: EncodedSource,
    plan: TextPlan,
    signal?: AbortSignal,
  ): AsyncGenerator<number, FinishReason, void> {
    const [best] = await this.searchBeams(encoded, plan, signal);
    yield* best.ids;
    return best.finishReason;
  }

  /** Follows several hypotheses, and gives the best texts. */
  private searchBeams(
    { context }: EncodedSource,
    { start, picker }: TextPlan,
    signal?: AbortSignal,
  ): Promise<readonly BeamText[]> {
    const { numBeams } = picker.beams as NonNullable<TokenPicker["beams"]>;
    const decoder = this.runners.of(numBeams);
    let length = 0; // of each row
    const run = async (tokens: readonly (readonly number[])[], parents?: readonly number[]) => {
      const starts = tokens.map(() => length);
      const rows = await decoder.run({ tokens, starts, context, parents, signal });
      length += tokens[0].length;
      return rows;
    };
    const runner: BeamRunner = {
      begin: async () => (await run(Array.from({ length: numBeams }, () => start)))[0],
      advance: (tokens, parents) =>
        run(
          tokens.map((id) => [id]),
          parents,
        ),
    };
    return searchBeams(runner, picker, signal);
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
    requireTokenIds(inputIds ?? [], this.model.config.vocabSize);
  }

  private checkStart(ids: readonly number[]): void {
    requireTokenIds(ids, this.model.config.vocabSize);
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

  /**
   * Frees the caches and compiled graphs. The model and sources that were read are left: whoever made them disposes
   * of them.
   */
  dispose(): void {
    this.encode.dispose();
    this.runners.dispose();
  }
}

/** The tokens that a text begins with, and what picks those that follow. */
interface TextPlan {
  start: readonly number[];
  picker: TokenPicker;
}
