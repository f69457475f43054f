/** The places of images in a prompt: a template writes one token for each, and a model needs as many as it sees. */
import { DataError } from "../base/index.ts";
import type { ImageTextInputs, ImageTextModel } from "../models/index.ts";

/** How many places a model needs for images that its processor has made. */
export const countImagePlaces = (model: ImageTextModel, images: Omit<ImageTextInputs, "inputIds">): number =>
  model.placesOf(images as ImageTextInputs).reduce((sum, { count }) => sum + count, 0);

/**
 * Whether a prompt has one image token for each image.
 * @param tokenText how the token is written
 * @throws DataError where it has more or fewer
 */
export function requireImageTokens(
  ids: ArrayLike<number>,
  { token, tokenText, images }: { token: number; tokenText: string; images: number },
): void {
  const count = Array.from(ids).filter((id) => id === token).length;
  if (count === images) return;
  throw new DataError({
    where: "image-text-to-text",
    expected: `an image token ${tokenText} in the text for each of the ${images} images`,
    received: `${count}`,
    fix: "write one where each image belongs, or give a chat and a model with a chat template",
  });
}

/** The prompt with as many image tokens for each image as it needs, in their order. */
export function expandImageTokens(ids: readonly number[], token: number, places: readonly number[]): number[] {
  let image = 0;
  return ids.flatMap((id) => (id === token ? new Array<number>(places[image++]).fill(id) : [id]));
}
