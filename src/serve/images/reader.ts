import { Worker } from "node:worker_threads";
import { limits } from "../../base/index.ts";
import {
  ContextLengthError,
  countImagePlaces,
  expandImageTokens,
  type HeldPrompt,
  type ImageEmbedder,
  requireImageTokens,
} from "../../generate/index.ts";
import { type ImageArrays, type ImageProcessor, imageTensors } from "../../processors/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import { asRequestError, contextLengthExceeded, RequestError } from "../errors.ts";
import type { ImageAnswer, ImageRequest, ImageWorkerData } from "../image-worker.ts";
import { WorkerJobs, workerFile } from "../worker-jobs.ts";
import type { ImageFetcher } from "./fetch.ts";
import type { ImageReference } from "./reference.ts";

/** The image side of a model that writes. */
export interface ImageSide {
  /** Makes prompts of texts with images; of the model that the generator's text model belongs to. */
  embedder: ImageEmbedder;
  processor: ImageProcessor;
}

/** A prompt with images. */
export interface ImagePrompt {
  /** With the places of the images. */
  ids: number[];
  /** What is in the places, once for all texts that are written after it. */
  embed: (signal: AbortSignal) => Promise<HeldPrompt | undefined>;
}

/** An image as the model takes it. */
interface PreparedImage {
  arrays: ImageArrays;
  /** Of its file. */
  pixels: number;
  /** Tokens of the prompt that stand for it. */
  places: number;
}

/**
 * Reads the images of requests for a model: fetches, decodes and prepares them, one after another in a thread, in which
 * requests have turns.
 */
export class ImageReader {
  readonly side: ImageSide;
  private readonly fetcher: ImageFetcher;
  private readonly mostPixels: number;
  private readonly thread: WorkerJobs<ImageRequest, ImageAnswer>;

  /** @param mostPixels of the images of a request. @default the limit requestPixels */
  constructor(side: ImageSide, fetcher: ImageFetcher, mostPixels: number = limits.requestPixels) {
    this.side = side;
    this.fetcher = fetcher;
    this.mostPixels = mostPixels;
    this.thread = new WorkerJobs(() => {
      const workerData: ImageWorkerData = { processor: side.processor.toJson() };
      return new Worker(workerFile("image-worker"), { workerData, execArgv: [] });
    });
  }

  /**
   * The prompt of a text with images.
   * @param ids of the text, with one image token for each image
   * @param options.maxTokens of the prompt; images beyond are not looked at
   * @throws RequestError 400 for a text without the places of its images, an image that cannot be had or is none, and
   *   more than a limit; the signal's reason
   */
  async prompt(
    ids: readonly number[],
    images: readonly ImageReference[],
    { tokenizer, maxTokens, signal }: { tokenizer: Tokenizer; maxTokens: number; signal: AbortSignal },
  ): Promise<ImagePrompt> {
    const { embedder } = this.side;
    const token = embedder.model.imageTokenId;
    this.requirePlaces(ids, images.length, String(tokenizer.idToToken(token)));
    const prepared: PreparedImage[] = [];
    let promptTokens = ids.length;
    let pixelsLeft = this.mostPixels;
    for (const image of images) {
      if (promptTokens > maxTokens) {
        const error = new ContextLengthError({ promptTokens, contextLength: maxTokens });
        throw contextLengthExceeded(error, "messages", { isLeast: true });
      }
      const next = await this.prepared(image, pixelsLeft, signal);
      prepared.push(next);
      pixelsLeft -= next.pixels;
      promptTokens += next.places - 1;
    }
    const expanded = expandImageTokens(
      ids,
      token,
      prepared.map(({ places }) => places),
    );
    const tensors = () => imageTensors(prepared.map(({ arrays }) => arrays));
    return { ids: expanded, embed: (waiting) => embedder.embed({ inputIds: expanded, ...tensors() }, waiting) };
  }

  /** Ends the thread; it starts anew when an image comes. */
  dispose(): Promise<void> {
    return this.thread.dispose();
  }

  /** Templates that know no images write none of their tokens. */
  private requirePlaces(ids: readonly number[], images: number, tokenText: string): void {
    const { model } = this.side.embedder;
    try {
      requireImageTokens(ids, { token: model.imageTokenId, tokenText, images });
    } catch (error) {
      const { message } = asRequestError(error);
      throw new RequestError({ status: 400, message, param: "messages", code: "chat_template_error" });
    }
  }

  private async prepared(
    { source, path }: ImageReference,
    pixelsLeft: number,
    signal: AbortSignal,
  ): Promise<PreparedImage> {
    const file = source instanceof URL ? await this.fetcher.fetch(source, path, signal) : source;
    const answer = await this.thread.ask({ file, pixelsLeft }, { signal });
    if ("failure" in answer) throw new Error(answer.failure);
    if ("refusal" in answer)
      throw new RequestError({
        status: 400,
        message: `${path}: ${answer.refusal}`,
        param: path,
        code: "invalid_image",
      });
    const { image: arrays, pixels } = answer;
    return { arrays, pixels, places: countImagePlaces(this.side.embedder.model, imageTensors([arrays])) };
  }
}
