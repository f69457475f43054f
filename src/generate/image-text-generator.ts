import type { ImageTextInputs, ImageTextModel } from "../models/index.ts";
import { tensor } from "../tensor/index.ts";
import type { EmbeddedPrompt } from "./causal-decoder.ts";
import { type GenerateOptions, Generator, type GeneratorOptions } from "./generator.ts";
import { VisualEncoder } from "./visual-encoder.ts";

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

/**
 * Makes what a model's text model reads of texts with images; the images of texts that are asked for at the same time
 * go through the model together. Several texts may be written after one prompt.
 */
export class ImageEmbedder {
  readonly model: ImageTextModel;
  private readonly encoder: VisualEncoder;

  constructor(model: ImageTextModel) {
    this.model = model;
    this.encoder = new VisualEncoder(model);
  }

  /**
   * The embedded prompt of a text, or undefined for one without images, which is a prompt as it is.
   * @throws DataError when the text has not as many places as its images need; the signal's reason
   */
  async embed({ inputIds, ...images }: ImageTextSource, signal?: AbortSignal): Promise<HeldPrompt | undefined> {
    const ids = tensor(Int32Array.from(inputIds), { shape: [1, inputIds.length] });
    const inputs = { inputIds: ids, ...images };
    this.model.checkPlaces(inputIds, inputs);
    const places = this.model.placesOf(inputs);
    if (places.length === 0) return undefined;
    const visuals = this.model.visualsOf(inputs).map((visual, i) => ({ ...visual, places: places[i].count }));
    const features = await this.encoder.features(visuals, signal);
    const { embeddings, positions, offset } = await this.encoder.place(inputIds, features, signal);
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

  /** Frees the compiled graphs. The model is left: whoever loaded it disposes of it. */
  dispose(): void {
    this.encoder.dispose();
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
