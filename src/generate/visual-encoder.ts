import type { EmbeddedText, ImageTextModel, VisualFeatures, Visuals } from "../models/index.ts";
import { reshape, type Tensor, tensor } from "../tensor/index.ts";
import { ModelFunction } from "./model-structure.ts";

/** Pixels [blocks, rows of a block, ...] and grids [N, 3], see `Visuals`. */
type EncoderInputs = [pixels: Tensor<"f32">, grids: Tensor<"i32"> | null];
/** ids: i32 [1, T] */
type PlacingInputs = [ids: Tensor<"i32">, visuals: readonly VisualFeatures[]];

/**
 * Runs the two halves of a model that reads images in a text: what it makes of images, and the text with that in its
 * places. Each is one graph for texts of any length, and any number of images.
 */
export class VisualEncoder {
  private readonly encoder: ModelFunction<EncoderInputs, Tensor<"f32">>;
  private readonly placing: ModelFunction<PlacingInputs, EmbeddedText>;

  constructor(model: ImageTextModel) {
    const encode = (pixels: Tensor<"f32">, grids: Tensor<"i32"> | null) => {
      const pixelValues = reshape(pixels, [-1, ...pixels.shape.slice(2)]);
      return model.featuresOf({ pixelValues, ...(grids && { grids }) });
    };
    this.encoder = new ModelFunction(model, encode, { symbolicSizes: [["M"], ["N"]] });
    const place = (inputIds: Tensor<"i32">, visuals: readonly VisualFeatures[]) =>
      model.embedFeatures({ inputIds }, visuals);
    const ofVisuals = ["0", "1"].flatMap((i) => [[`P${i}`], [`N${i}`]]); // features and grids
    this.placing = new ModelFunction(model, place, { symbolicSizes: [[null, "T"], ...ofVisuals] });
  }

  /** @param places that the images have in the text -> their features, [places, D] */
  async features({ kind, pixelValues, grids }: Visuals, places: number, signal?: AbortSignal): Promise<VisualFeatures> {
    const [rows, ...rest] = pixelValues.shape as readonly number[];
    const block = Math.max(1, rows / places); // of rows that become one place: so their number is known to be whole
    const pixels = tensor(await pixelValues.read(), { shape: [rows / block, block, ...rest] });
    return { kind, grids, features: await this.encoder.withSignal(signal)(pixels, grids ?? null) };
  }

  /** What a text's tokens are to the text model, with features in their places. */
  place(ids: readonly number[], visuals: readonly VisualFeatures[], signal?: AbortSignal): Promise<EmbeddedText> {
    const inputIds = tensor(Int32Array.from(ids), { shape: [1, ids.length] });
    return this.placing.withSignal(signal)(inputIds, visuals);
  }

  dispose(): void {
    this.encoder.dispose();
    this.placing.dispose();
  }
}
