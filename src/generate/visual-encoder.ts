import { BatchQueue, joined, ShapeError } from "../base/index.ts";
import type { EmbeddedText, ImageTextModel, VisualFeatures, Visuals } from "../models/index.ts";
import { reshape, type Tensor, tensor } from "../tensor/index.ts";
import { ModelFunction } from "./model-structure.ts";

/** Pixels [blocks, rows of a block, ...] and grids [N, 3], see `Visuals`. */
type EncoderInputs = [pixels: Tensor<"f32">, grids: Tensor<"i32"> | null];
/** ids: i32 [1, T] */
type PlacingInputs = [ids: Tensor<"i32">, visuals: readonly VisualFeatures[]];

/** Images or videos of a text, and how many places they have in it. */
export interface PlacedVisuals extends Visuals {
  places: number;
}

/** An image or a video by itself. */
interface Picture {
  pixels: Float32Array;
  /** Of its pixels: blocks, rows of a block, and what is in a row. */
  shape: readonly number[];
  /** Patches in time, height and width, where the model has them. */
  grid: Int32Array | undefined;
  places: number;
}

/**
 * Runs the two halves of a model that reads images in a text: what it makes of images, those of all texts that wait
 * together, and each text with that in its places. Each half is one graph, for any number and length.
 */
export class VisualEncoder {
  private readonly encoder: ModelFunction<EncoderInputs, Tensor<"f32">>;
  private readonly placing: ModelFunction<PlacingInputs, EmbeddedText>;
  private readonly queue: BatchQueue<Picture, Float32Array>;
  private texts = 0;

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
    this.queue = new BatchQueue({
      run: (pictures, signal) => this.run(pictures, signal),
      tokensOf: ({ shape: [blocks, rows], grid, places }) => (grid ? blocks * rows : places), // patches
      maxPadding: 1, // they lie behind one another
    });
  }

  /**
   * What a model makes of the images of a text. Those of texts that are asked for at the same time are run together,
   * and texts take turns. -> for each its features, [places, D]
   */
  async features(visuals: readonly PlacedVisuals[], signal?: AbortSignal): Promise<VisualFeatures[]> {
    const pictures = await Promise.all(visuals.map(picturesOf));
    const features = await this.queue.add(pictures.flat(), { group: String(++this.texts), signal });
    let from = 0;
    return visuals.map(({ kind, grids, places }, i) => {
      const to = from + pictures[i].length;
      const part = whole(features.slice(from, to));
      from = to;
      return { kind, grids, features: tensor(part, { shape: [places, part.length / places] }) };
    });
  }

  /** Runs pictures together -> the features of each */
  private async run(pictures: readonly Picture[], signal: AbortSignal | undefined): Promise<Float32Array[]> {
    const [{ shape: first }] = pictures;
    const [, ...rest] = first;
    const other = pictures.find(({ shape }) => shape.slice(1).join() !== rest.join());
    if (other)
      throw new ShapeError({
        where: "images",
        expected: `pictures of one size: ${rest}`,
        received: `${other.shape.slice(1)}`,
        fix: "give them one at a time",
      });
    const blocks = pictures.reduce((sum, { shape }) => sum + shape[0], 0);
    const grids = pictures.flatMap(({ grid }) => [...(grid ?? [])]);
    const result = await this.encoder.withSignal(signal)(
      tensor(whole(pictures.map(({ pixels }) => pixels)), { shape: [blocks, ...rest] }),
      grids.length > 0 ? tensor(Int32Array.from(grids), { shape: [pictures.length, 3] }) : null,
    );
    const numbers = await result.read();
    result.dispose();
    const places = pictures.reduce((sum, picture) => sum + picture.places, 0);
    const width = numbers.length / places;
    let at = 0;
    return pictures.map((picture) => {
      const from = at;
      at += picture.places * width;
      return numbers.slice(from, at);
    });
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

/** Images of a text one by one: of each as many rows as it has patches in its grid, or one. */
async function picturesOf({ pixelValues, grids, places }: PlacedVisuals): Promise<Picture[]> {
  const [rows, ...rest] = pixelValues.shape as readonly number[];
  const numbers = await pixelValues.read();
  const sizes = await grids?.read();
  const block = Math.max(1, rows / places); // of rows that become one place: so their number is known to be whole
  const width = numbers.length / rows;
  let at = 0;
  return Array.from({ length: sizes ? sizes.length / 3 : rows }, (_, i): Picture => {
    const grid = sizes?.slice(3 * i, 3 * i + 3);
    const count = grid ? grid.reduce((a, b) => a * b, 1) : 1;
    const pixels = numbers.subarray(at * width, (at + count) * width);
    at += count;
    return { pixels, shape: [count / block, block, ...rest], grid, places: (places * count) / rows };
  });
}

/** Parts as one, which is the part itself where there is only that. */
const whole = (parts: readonly Float32Array[]): Float32Array =>
  parts.length === 1 ? parts[0] : joined(Float32Array, parts);
