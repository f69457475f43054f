import type { EmbeddedText, ImageTextInputs, ImageTextModel } from "../models/index.ts";
import { tensor } from "../tensor/index.ts";
import { type GenerateOptions, Generator, type GeneratorOptions } from "./generator.ts";
import { ModelFunction } from "./model-structure.ts";

/** A text with images. */
export interface ImageTextSource extends Omit<ImageTextInputs, "inputIds" | "attentionMask"> {
  /** Token ids, with the places of the images. */
  inputIds: readonly number[];
}

/**
 * Continues texts with images, one at a time: what the images are made into goes through the text model once, then
 * token follows token.
 */
export class ImageTextGenerator {
  readonly model: ImageTextModel;
  private readonly generator: Generator;
  private readonly embed: ModelFunction<[ImageTextInputs], EmbeddedText>;

  constructor(model: ImageTextModel, options?: GeneratorOptions) {
    this.model = model;
    this.generator = new Generator(model.languageModel, options);
    this.embed = new ModelFunction(model, (inputs) => model.embed(inputs));
  }

  /**
   * Continues a text, giving tokens as they are made.
   * @throws DataError when the text has not as many places as its images need, or is longer than the context;
   *   OptionError for wrong options
   */
  async *generate(
    { inputIds, ...images }: ImageTextSource,
    options: GenerateOptions = {},
  ): AsyncGenerator<number, "stop" | "length", void> {
    const ids = tensor(Int32Array.from(inputIds), { shape: [1, inputIds.length] });
    const inputs = { inputIds: ids, ...images };
    this.model.checkPlaces(inputIds, inputs);
    if (!images.pixelValues && !images.pixelValuesVideos) return yield* this.generator.generate(inputIds, options);
    const { embeddings, positions, offset } = await this.embed.withSignal(options.signal)(inputs as never);
    try {
      return yield* this.generator.generate(inputIds, options, {
        embeddings,
        positions,
        offset: offset && (await offset.item()),
      });
    } finally {
      for (const held of [embeddings, positions, offset]) held?.dispose();
    }
  }

  /** Frees the caches and compiled graphs. The model is left: whoever loaded it disposes of it. */
  dispose(): void {
    this.generator.dispose();
    this.embed.dispose();
  }
}
