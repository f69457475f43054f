import { checkOptions, DataError, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import type { EncoderDecoder, EncoderSideInputs } from "../models/index.ts";
import { defaultDevice, type Tensor, tensor } from "../tensor/index.ts";
import { type BeamRunner, type BeamText, searchBeams } from "./beams/index.ts";
import { DecoderRunner } from "./decoder-runner.ts";
import { type DeviceCacheOptions, requireCacheOptions } from "./device-cache.ts";
import { EncodedSource, SequenceSource, type SourceContext, sourceDecoder } from "./encoded-source.ts";
import { Engine, type EngineLoad } from "./engine/engine.ts";
import { requirePlace } from "./engine/sequence.ts";
import { type RowToken, rowTokensOf, tokensOf } from "./engine/sequence-tokens.ts";
import { SourceRows } from "./engine/source-rows.ts";
import { SourceSlots } from "./engine/source-slots.ts";
import type { FinishReason } from "./finish-reason.ts";
import type { PlaceOptions } from "./generator.ts";
import { ModelFunction, ModelStructure } from "./model-structure.ts";
import { rowOptionNames } from "./pick-option-names.ts";
import type { BuiltWays } from "./search-settings.ts";
import { requireTokenIds } from "./token-ids.ts";
import { type PickedModel, type PickOptions, TokenPicker } from "./token-picker.ts";
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

export interface Seq2SeqGenerateOptions extends PickOptions, PlaceOptions {
  /** What the text begins with. @default decoder_start_token_id of generation_config.json, or of the model */
  decoderInputIds?: readonly number[];
  /** Ends the text, and the run under way before its next operator (by onnxruntime-node and in pages, at its end). */
  signal?: AbortSignal;
}

/** One of several texts: what it is written of, with what is its own of the settings. */
export interface Seq2SeqBatchSource extends Omit<Seq2SeqGenerateOptions, "signal"> {
  source: Seq2SeqSource | EncodedSource;
}

/** What keys and values can be kept in: there is no measure of channels of decoders that look at a source. */
const cacheDtypes = ["f32", "f16"] as const;

/** Sizes of a generator: they decide its memory. */
export interface Seq2SeqGeneratorOptions extends Pick<DeviceCacheOptions, "initialRoom"> {
  /** As of a `Generator`, but for int8. @default "f32" */
  cacheDtype?: (typeof cacheDtypes)[number];
  /**
   * Most tokens that can be written, the start included. Memory follows the text, not this. @default the most that the
   * model can write
   */
  maxLength?: number;
  /** Most texts that are written at the same time; further ones wait. @default 16 */
  maxSequences?: number;
}

const DEFAULT_SEQUENCES = 16;

/** Pixels of an image that cost as much to be read as a token of a text: a patch, by and large. */
const PIXELS_OF_TOKEN = 256;

/** Logits as they are: no settings, and nothing that ends a text. */
const withoutRules: PickedModel = { config: { eosTokenId: null }, generationConfig: {} };

/** Texts are padded to a multiple of this, so that not every length compiles a graph of its own. */
const LENGTH_STEP = 32;

/**
 * Generates with an encoder-decoder, one text or several together: calls that are made while others run are written
 * beside them. The encoder runs once for each, its keys and values stay on the device, and the decoder goes on token by
 * token over a cache. A text is written by the layers that the model has when it begins, as by `Generator`.
 */
export class Seq2SeqGenerator {
  readonly model: EncoderDecoder;
  /** Most tokens that can be written, the start included. */
  readonly maxLength: number;
  private readonly encode: ModelFunction<[EncoderSideInputs], SourceContext["keysAndValues"]>;
  private readonly engine: Engine;
  private readonly cacheOptions: Pick<DeviceCacheOptions, "cacheDtype" | "initialRoom" | "maxLength">;
  /** Searches of beams wait for one another; each hypothesis has a row. */
  private readonly searches = new Turns();
  private readonly structure: ModelStructure;
  /** Kept for the next search with as many beams. */
  private beamRows: DecoderRunner<SourceContext> | undefined;

  /** @throws OptionError for unknown options, and for sizes that are none */
  constructor(model: EncoderDecoder, options: Seq2SeqGeneratorOptions = {}) {
    checkOptions("Seq2SeqGenerator", options, ["maxLength", "maxSequences", "cacheDtype", "initialRoom"]);
    const { maxLength = model.cacheShape.maxLength ?? 512, maxSequences = DEFAULT_SEQUENCES } = options;
    requireNumbers("Seq2SeqGenerator", { maxSequences }, { maxSequences: numberRules.positiveInteger });
    this.model = model;
    this.maxLength = Math.min(maxLength, model.cacheShape.maxLength ?? maxLength);
    this.cacheOptions = { ...requireCacheOptions(options, cacheDtypes), maxLength: this.maxLength };
    this.structure = new ModelStructure(model);
    this.encode = new ModelFunction(model, (inputs) => model.crossKeysAndValues(model.encode(inputs)));
    const sizes = { ...this.cacheOptions, maxSequences };
    this.engine = new Engine({
      maxSequences,
      limits: { contextLength: this.maxLength },
      runner: async () => {
        const device = defaultDevice();
        return (await device.sharesMemory)
          ? new SourceSlots(model, { ...sizes, device })
          : new SourceRows(model, sizes);
      },
    });
  }

  /** What there is to do now, and what was done. */
  get load(): EngineLoad {
    return this.engine.load;
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
  async logits(
    source: EncodedSource,
    ids: readonly number[],
    { signal, priority, group }: Pick<Seq2SeqGenerateOptions, "signal" | "priority" | "group"> = {},
  ): Promise<Float32Array> {
    this.checkStart(ids);
    let logits = new Float32Array();
    const onLogits = (after: Float32Array) => {
      logits = after.slice();
    };
    const picker = new TokenPicker(withoutRules, ids, undefined, { onLogits });
    picker.maxLength = ids.length + 1;
    const sequence = this.engine.add({
      prompt: ids,
      picker,
      source: this.sequenceSource(source),
      signal,
      priority,
      group,
    });
    await sequence.next();
    sequence.abandon();
    return logits;
  }

  /**
   * Writes a text, giving tokens as they are made; the start is not among them. With `numBeams` they all come at the
   * end. It is written when tokens are asked for, beside the texts of other calls; searches of beams wait for one
   * another.
   * @throws DataError for an empty text or an id outside the vocabulary, OptionError for wrong options
   */
  async *generate(
    source: Seq2SeqSource | EncodedSource,
    options: Seq2SeqGenerateOptions = {},
  ): AsyncGenerator<number, FinishReason, void> {
    const { signal, ...settings } = options;
    return yield* this.write(this.planOf({ source, ...settings }), signal);
  }

  /**
   * Writes several texts together, giving tokens as they are made with the number of their source, and at the end why
   * each text ended. Each text is the one that `generate` gives for its source alone.
   * @throws as `generate`, before anything is run
   */
  async *generateBatch(
    sources: readonly Seq2SeqBatchSource[],
    { signal }: Pick<Seq2SeqGenerateOptions, "signal"> = {},
  ): AsyncGenerator<RowToken, FinishReason[], void> {
    const plans = sources.map((source) => this.planOf(source));
    return yield* rowTokensOf(plans.map((plan) => this.write(plan, signal)));
  }

  private write(plan: TextPlan, signal: AbortSignal | undefined): AsyncGenerator<number, FinishReason, void> {
    if (plan.picker.beams) return this.writeBeams(plan, signal);
    const { source, start: prompt, picker, priority, group } = plan;
    const read = this.sequenceSource(source);
    return tokensOf(this.engine.add({ prompt, picker, source: read, priority, group, signal }));
  }

  private sequenceSource(source: Seq2SeqSource | EncodedSource): SequenceSource {
    if (source instanceof EncodedSource) return new SequenceSource(0, async () => source, source);
    const { inputIds, inputFeatures, pixelValues } = source;
    const pixels = pixelValues ? pixelValues.size(2) * pixelValues.size(3) : 0;
    const tokens = inputIds?.length ?? inputFeatures?.size(2) ?? Math.ceil(pixels / PIXELS_OF_TOKEN);
    return new SequenceSource(tokens, (signal) => this.read(source, signal), undefined);
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
    return this.searchBeams(plan, signal);
  }

  /** How a text is written. @throws as `generate` */
  private planOf({ source, priority, group, ...options }: Seq2SeqBatchSource, built: BuiltWays = {}): TextPlan {
    checkOptions("generate", options, [...rowOptionNames, "decoderInputIds", "times"]);
    requirePlace({ priority, group });
    const { decoderInputIds: start = this.start(), ...settings } = options;
    this.checkStart(start);
    if (!(source instanceof EncodedSource)) this.checkSource(source);
    const picker = new TokenPicker(this.model, start, source.inputIds, settings, { hasBeams: true, ...built });
    picker.maxLength = Math.min(this.maxLength, start.length + (picker.limitOf(options).tokens ?? this.maxLength));
    return { source, start, picker, priority, group };
  }

  /** Gives the best text of a search when none better is to be had. */
  private async *writeBeams(plan: TextPlan, signal?: AbortSignal): AsyncGenerator<number, FinishReason, void> {
    if (plan.picker.isFull) return "length"; // nothing is asked for
    const [best] = await this.searchBeams(plan, signal);
    yield* best.ids;
    return best.finishReason;
  }

  /** Follows several hypotheses, and gives the best texts. */
  private async searchBeams({ source, start, picker }: TextPlan, signal?: AbortSignal): Promise<readonly BeamText[]> {
    const release = await this.searches.take(signal);
    const read = this.sequenceSource(source);
    try {
      const { context } = await read.read(signal);
      const { numBeams } = picker.beams as NonNullable<TokenPicker["beams"]>;
      const decoder = this.rowsOf(numBeams);
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
      return await searchBeams(runner, picker, signal);
    } finally {
      read.forget();
      release();
    }
  }

  private rowsOf(rows: number): DecoderRunner<SourceContext> {
    if (this.structure.hasChanged()) this.beamRows?.retrace();
    if (this.beamRows?.rows === rows) return this.beamRows;
    this.beamRows?.dispose();
    this.beamRows = new DecoderRunner(sourceDecoder(this.model), { ...this.cacheOptions, rows });
    return this.beamRows;
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
    this.engine.dispose();
    void this.engine.idle().then(() => this.encode.dispose()); // a source may be read in the step under way
    this.beamRows?.dispose();
  }
}

/** What a text is written of, the tokens that it begins with, and what picks those that follow. */
interface TextPlan extends PlaceOptions {
  source: Seq2SeqSource | EncodedSource;
  start: readonly number[];
  picker: TokenPicker;
}
