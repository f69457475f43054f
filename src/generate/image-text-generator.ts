import type { EmbeddedText, ImageTextInputs, ImageTextModel } from "../models/index.ts";
import { tensor } from "../tensor/index.ts";
import type { EmbeddedPrompt } from "./causal-decoder.ts";
import { type GenerateOptions, Generator, type GeneratorOptions } from "./generator.ts";
import { ModelFunction } from "./model-structure.ts";

/** A text with images. */
export interface ImageTextSource extends Omit<ImageTextInputs, "inputIds" | "attentionMask"> {
  /** Token ids, with the places of the images. */
  inputIds: readonly number[];
}

/** An embedded prompt that is held on the device until it is disposed of. */
export interface HeldPrompt extends EmbeddedPrompt {
  /** Frees its tensors, when no text is written after it any more. */
  dispose(): void;
}

/** Makes what a model's text model reads of texts with images. Several texts may be written after one prompt. */
export class ImageEmbedder {
  readonly model: ImageTextModel;
  private readonly compiled: ModelFunction<[ImageTextInputs], EmbeddedText>;

  constructor(model: ImageTextModel) {
    this.model = model;
    this.compiled = new ModelFunction(model, (inputs) => model.embed(inputs));
  }

  /**
   * The embedded prompt of a text, or undefined for one without images, which is a prompt as it is.
   * @throws DataError when the text has not as many places as its images need; the signal's reason
   */
  async embed({ inputIds, ...images }: ImageTextSource, signal?: AbortSignal): Promise<HeldPrompt | undefined> {
    const ids = tensor(Int32Array.from(inputIds), { shape: [1, inputIds.length] });
    const inputs = { inputIds: ids, ...images };
    this.model.checkPlaces(inputIds, inputs);
    if (!images.pixelValues && !images.pixelValuesVideos) return undefined;
    const { embeddings, positions, offset } = await this.compiled.withSignal(signal)(inputs as never);
    const dispose = () => {
      for (const held of [embeddings, positions, offset]) held?.dispose();
    };
    try {
      return { embeddings, positions, offset: offset && (await offset.item()), dispose };
    } catch (error) {
      dispose();
      throw error;
    }
  }

  /** Frees the compiled graph. The model is left: whoever loaded it disposes of it. */
  dispose(): void {
    this.compiled.dispose();
  }
}

/**
 * Continues texts with images, one at a time: what the images are made into goes through the text model once, then
 * token follows token.
 */
export class ImageTextGenerator {
  readonly model: ImageTextModel;
  private readonly generator: Generator;
  private readonly embedder: ImageEmbedder;

  constructor(model: ImageTextModel, options?: GeneratorOptions) {
    this.model = model;
    this.generator = new Generator(model.languageModel, options);
    this.embedder = new ImageEmbedder(model);
  }

  /**
   * Continues a text, giving tokens as they are made.
   * @throws DataError when the text has not as many places as its images need, or is longer than the context;
   *   OptionError for wrong options
   */
  async *generate(
    source: ImageTextSource,
    options: GenerateOptions = {},
  ): AsyncGenerator<number, "stop" | "length", void> {
    const embedded = await this.embedder.embed(source, options.signal);
    try {
      return yield* this.generator.generate(source.inputIds, options, embedded);
    } finally {
      embedded?.dispose();
    }
  }

  /** Frees the caches and compiled graphs. The model is left: whoever loaded it disposes of it. */
  dispose(): void {
    this.generator.dispose();
    this.embedder.dispose();
  }
}
