import type { ImageProcessor, ProcessedImages, RawImage } from "../processors/index.ts";
import { type CompiledFunction, compile, concat, type Tensor } from "../tensor/index.ts";
import { answers, type PipelineSteps } from "./common.ts";
import { type ImageSource, openImage } from "./image-source.ts";

/** An output of a model for one picture, [1, ...]. */
export type ImageOutput = { data: Float32Array; shape: readonly number[] };
/** Outputs of a model for one picture, by their names. */
export type ImageOutputs = Record<string, ImageOutput>;
type Inputs = Record<string, Tensor>;

/** A model that runs on pictures. */
export type ImageModel = { forward(inputs: never): object };

export interface ImageRunnerOptions {
  /** Which of the model's outputs are wanted, each [B, ...]. */
  outputs: readonly string[];
  /** Whether the model takes a mask of what is no padding. @default true */
  takesMask?: boolean;
}

/** Runs a vision model on pictures, and reads some of its outputs. */
export class ImageRunner {
  private readonly processor: ImageProcessor;
  private readonly takesMask: boolean;
  private readonly compiled: CompiledFunction<[readonly ProcessedImages[], Inputs], Record<string, Tensor<"f32">>>;

  constructor(model: ImageModel, processor: ImageProcessor, { outputs, takesMask = true }: ImageRunnerOptions) {
    this.processor = processor;
    this.takesMask = takesMask;
    this.compiled = compile((pictures: readonly ProcessedImages[], others: Inputs) => {
      const pixelValues = concat(pictures.map((picture) => picture.pixelValues)); // [B, 3, H, W]
      const masks = pictures.flatMap(({ pixelMask }) => pixelMask ?? []);
      const inputs = { pixelValues, ...(masks.length > 0 && { pixelMask: concat(masks) }), ...others };
      const results = model.forward(inputs as never) as Record<string, Tensor<"f32">>;
      return Object.fromEntries(outputs.map((name) => [name, results[name]]));
    });
  }

  /** As `answers`, of pictures. @param others what the model takes besides them, the same for all */
  answers<O>(
    inputs: ImageSource | readonly ImageSource[],
    steps: Pick<PipelineSteps<ImageSource, RawImage, ImageOutputs, O>, "task" | "batchSize"> & {
      answer(outputs: ImageOutputs, image: RawImage): O | Promise<O>;
    },
    others: Inputs = {},
  ): Promise<O | O[]> {
    return answers(inputs, {
      task: steps.task,
      batchSize: steps.batchSize,
      prepare: async (source) => [await openImage(source)],
      run: (images) => this.run(images, others),
      answer: (_, [image], [outputs]) => steps.answer(outputs, image),
    });
  }

  /** Runs pictures, together those that come out of the processor in one size -> the outputs of each */
  private async run(images: readonly RawImage[], others: Inputs): Promise<ImageOutputs[]> {
    const pictures = images.map((image) => {
      const { pixelValues, pixelMask } = this.processor.process([image]);
      return { pixelValues, ...(pixelMask && this.takesMask && { pixelMask }) };
    });
    const bySize = new Map<string, number[]>();
    for (const [i, { pixelValues }] of pictures.entries()) {
      const size = pixelValues.shape.join("x");
      bySize.set(size, [...(bySize.get(size) ?? []), i]);
    }
    const rows = images.map((): ImageOutputs => ({}));
    for (const indices of bySize.values()) {
      const group = indices.map((i) => pictures[i]);
      const results = await this.compiled.run(group as never, others as never);
      for (const [name, result] of Object.entries(results)) {
        const numbers = await result.read();
        const shape = [1, ...(result.shape.slice(1) as number[])];
        result.dispose();
        const size = numbers.length / indices.length;
        for (const [row, i] of indices.entries())
          rows[i][name] = { data: numbers.slice(row * size, (row + 1) * size), shape };
      }
    }
    return rows;
  }

  dispose(): void {
    this.compiled.dispose();
  }
}
