import {
  countImagePlaces,
  expandImageTokens,
  type HeldPrompt,
  type ImageEmbedder,
  requireImageTokens,
} from "../../generate/index.ts";
import {
  type ImageArrays,
  type ImageProcessor,
  imageArrays,
  imageTensors,
  loadImage,
  toRgb,
} from "../../processors/index.ts";
import type { ContentPart, Tokenizer } from "../../tokenizers/index.ts";
import type { TalkMessage } from "./conversation.ts";

/** The images of a talk, for a model that reads them here. Each is prepared once, however often the talk is read. */
export class LocalImages {
  private readonly embedder: ImageEmbedder;
  private readonly processor: ImageProcessor;
  private readonly prepared = new Map<string, Promise<ImageArrays>>();

  constructor({ embedder, processor }: { embedder: ImageEmbedder; processor: ImageProcessor }) {
    this.embedder = embedder;
    this.processor = processor;
  }

  /** The prompt with as many places for each image as the model makes of it. @throws DataError for what is no image */
  async placed(ids: readonly number[], images: readonly string[], tokenizer: Tokenizer): Promise<number[]> {
    const { model } = this.embedder;
    const token = model.imageTokenId;
    requireImageTokens(ids, { token, tokenText: String(tokenizer.idToToken(token)), images: images.length });
    const all = await Promise.all(images.map((image) => this.prepare(image)));
    const places = all.map((arrays) => countImagePlaces(model, imageTensors([arrays])));
    return expandImageTokens(ids, token, places);
  }

  /** What is in the places; undefined for a prompt without images. */
  async embed(
    inputIds: readonly number[],
    images: readonly string[],
    signal?: AbortSignal,
  ): Promise<HeldPrompt | undefined> {
    if (images.length === 0) return undefined;
    const all = await Promise.all(images.map((image) => this.prepare(image)));
    return this.embedder.embed({ inputIds, ...imageTensors(all) }, signal);
  }

  dispose(): void {
    this.prepared.clear();
    this.embedder.dispose();
  }

  /** @param image a data: URL */
  private prepare(image: string): Promise<ImageArrays> {
    const known = this.prepared.get(image);
    if (known) return known;
    const arrays = this.arraysOf(Buffer.from(image.slice(image.indexOf(",") + 1), "base64"));
    this.prepared.set(image, arrays);
    arrays.catch(() => this.prepared.delete(image));
    return arrays;
  }

  private async arraysOf(bytes: Uint8Array): Promise<ImageArrays> {
    return imageArrays(this.processor.process([toRgb(await loadImage(bytes), false)]));
  }
}

/** A message for the template: its images stand before its text. */
export function mixedContent({ content, images = [] }: TalkMessage): string | ContentPart[] {
  if (images.length === 0) return content;
  return [...images.map(() => ({ type: "image" })), { type: "text", text: content }];
}
