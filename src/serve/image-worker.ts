/** The thread of `ImageReader`: decodes images and prepares them, one after another. */
import { parentPort, workerData } from "node:worker_threads";
import { KindlingError, RuntimeError } from "../base/index.ts";
import { type ImageArrays, ImageProcessor, imageArrays, loadImage, toRgb } from "../processors/index.ts";

/** What the processor is made of, for the thread to make the same. */
export interface ImageWorkerData {
  processor: Record<string, unknown>;
}

export interface ImageRequest {
  /** Of a file. */
  bytes: Uint8Array;
}

/** The image as the model takes it; or what is wrong with it; or another failure. Errors keep no classes. */
export type ImageAnswer = { image: ImageArrays } | { refusal: string } | { failure: string };

const processor = new ImageProcessor((workerData as ImageWorkerData).processor);

parentPort?.on("message", async (request: ImageRequest) => {
  const answer = await answerTo(request);
  parentPort?.postMessage(answer, "image" in answer ? buffersOf(answer.image) : []);
});

async function answerTo({ bytes }: ImageRequest): Promise<ImageAnswer> {
  try {
    const image = toRgb(await loadImage(bytes, { pixelLimit: "requestImagePixels" }), false);
    return { image: await imageArrays(processor.process([image])) };
  } catch (error) {
    if (!(error instanceof KindlingError) || error instanceof RuntimeError) return { failure: String(error) };
    const { expected, received } = error;
    return { refusal: `expected ${expected}; received ${received}` };
  }
}

const buffersOf = ({ pixelValues, imageGridThw }: ImageArrays): ArrayBuffer[] =>
  [pixelValues, imageGridThw].flatMap((numbers) => (numbers ? [numbers.data.buffer as ArrayBuffer] : []));
