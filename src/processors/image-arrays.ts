/** Processed pictures as arrays, which go from thread to thread where tensors do not. */
import { joined, ShapeError } from "../base/index.ts";
import { tensor } from "../tensor/index.ts";
import type { ProcessedImages } from "./image.ts";

interface HostNumbers<A> {
  data: A;
  shape: readonly number[];
}

/** The numbers of `ProcessedImages` on the host, without masks: models that read images in a text take none. */
export interface ImageArrays {
  pixelValues: HostNumbers<Float32Array>;
  imageGridThw?: HostNumbers<Int32Array>;
}

/** Reads processed pictures, whose tensors are disposed of. */
export async function imageArrays({ pixelValues, imageGridThw, pixelMask }: ProcessedImages): Promise<ImageArrays> {
  try {
    const shapeOf = ({ shape }: { shape: readonly unknown[] }) => shape as readonly number[];
    return {
      pixelValues: { data: (await pixelValues.read()) as Float32Array, shape: shapeOf(pixelValues) },
      ...(imageGridThw && {
        imageGridThw: { data: (await imageGridThw.read()) as Int32Array, shape: shapeOf(imageGridThw) },
      }),
    };
  } finally {
    for (const held of [pixelValues, imageGridThw, pixelMask]) held?.dispose();
  }
}

/**
 * Pictures that were processed one by one as the inputs of a model, in their order.
 * @throws ShapeError when they came out in different sizes, where those are rows of one tensor
 */
export function imageTensors(images: readonly ImageArrays[]): ProcessedImages {
  const grids = images.flatMap(({ imageGridThw }) => imageGridThw ?? []);
  return {
    pixelValues: tensor(
      ...stacked(
        images.map(({ pixelValues }) => pixelValues),
        Float32Array,
      ),
    ),
    ...(grids.length > 0 && { imageGridThw: tensor(...stacked(grids, Int32Array)) }),
  };
}

/** Along the first axis. */
function stacked<A extends Float32Array | Int32Array>(
  parts: readonly HostNumbers<A>[],
  Numbers: new (length: number) => A,
): [A, { shape: number[] }] {
  const [{ shape: first }] = parts;
  const [, ...rest] = first;
  const other = parts.find(({ shape }) => shape.slice(1).join() !== rest.join());
  if (other)
    throw new ShapeError({
      where: "images",
      expected: "pictures of one size after resizing",
      received: `${first.slice(-2).join(" x ")} and ${other.shape.slice(-2).join(" x ")}`,
      fix: "give pictures of one size, or one at a time",
    });
  const data = joined(
    Numbers,
    parts.map((part) => part.data),
  );
  return [data, { shape: [parts.reduce((sum, { shape }) => sum + shape[0], 0), ...rest] }];
}
