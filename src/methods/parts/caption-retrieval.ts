/** How well captions and pictures find each other. */
import type { HostTensor, Scorer } from "../../train/index.ts";

const PLACES = [1, 5, 10] as const;

/** What of a model is compared: vectors of length 1, [B, P], and the number of each picture, [B]. */
export type EmbeddedCaptions = Readonly<Record<"imageEmbeds" | "textEmbeds" | "pictures", HostTensor>>;

/** Vectors of pictures and captions, gathered batch by batch, and recalls of all. */
export class CaptionRetrieval implements Pick<Scorer<never>, "add" | "result"> {
  private readonly images = new Map<number, Float32Array>();
  private texts: { vector: Float32Array; picture: number }[] = [];

  add(outputs: Readonly<Record<string, HostTensor>>): void {
    const { imageEmbeds, textEmbeds, pictures } = outputs as EmbeddedCaptions;
    const width = imageEmbeds.shape[1];
    const rowOf = ({ data }: HostTensor, row: number) => (data as Float32Array).slice(row * width, (row + 1) * width);
    for (const [row, picture] of Array.from(pictures.data as Int32Array).entries()) {
      if (!this.images.has(picture)) this.images.set(picture, rowOf(imageEmbeds, row));
      this.texts.push({ vector: rowOf(textEmbeds, row), picture });
    }
  }

  /**
   * Shares of captions whose picture is among the nearest 1, 5 and 10, and of pictures of which a caption is; equal
   * similarities count against.
   */
  result(): Record<string, number> {
    const images = [...this.images];
    const { texts } = this;
    const ofTexts = texts.map(({ vector, picture }) =>
      placeOf(
        images,
        vector,
        ([number]) => number === picture,
        ([, other]) => other,
      ),
    );
    const ofImages = images.map(([picture, vector]) =>
      placeOf(
        texts,
        vector,
        (text) => text.picture === picture,
        (text) => text.vector,
      ),
    );
    this.images.clear();
    this.texts = [];
    const recalls = (name: string, places: readonly number[]) =>
      PLACES.map((k) => [`${name}RecallAt${k}`, places.filter((place) => place < k).length / places.length] as const);
    return Object.fromEntries([...recalls("textToImage", ofTexts), ...recalls("imageToText", ofImages)]);
  }
}

/** How many of the others are at least as near as the nearest that fits. */
function placeOf<T>(
  list: readonly T[],
  query: Float32Array,
  fits: (item: T) => boolean,
  vectorOf: (item: T) => Float32Array,
): number {
  const similarities = list.map((item) => dot(query, vectorOf(item)));
  let best = Number.NEGATIVE_INFINITY;
  for (const [i, item] of list.entries()) if (fits(item)) best = Math.max(best, similarities[i]);
  return list.filter((item, i) => !fits(item) && similarities[i] >= best).length;
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
