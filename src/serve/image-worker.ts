/** The thread of `ImageReader`: decodes images and prepares them, one after another. */
import { parentPort, workerData } from "node:worker_threads";
import { KindlingError, RuntimeError } from "../base/index.ts";
import { type ImageArrays, ImageProcessor, imageArrays, loadImage, toRgb } from "../processors/index.ts";

/** What the processor is made of, for the thread to make the same. */
export interface ImageWorkerData {
  processor: Record<string, unknown>;
}

export interface ImageRequest {
  /** The bytes of a file, or those in base64. */
  file: Uint8Array | string;
  /** Most pixels that it may have: what is left to its request. */
  pixelsLeft: number;
}

/**
 * The image as the model takes it, and how many pixels it had; or what is wrong with it; or another failure. Errors
 * keep no classes.
 */
export type ImageAnswer = { image: ImageArrays; pixels: number } | { refusal: string } | { failure: string };

const processor = new ImageProcessor((workerData as ImageWorkerData).processor);

parentPort?.on("message", async (request: ImageRequest) => {
  const answer = await answerTo(request);
  parentPort?.postMessage(answer, "image" in answer ? buffersOf(answer.image) : []);
});
parentPort?.postMessage("ready");

async function answerTo({ file, pixelsLeft }: ImageRequest): Promise<ImageAnswer> {
  try {
    const bytes = typeof file === "string" ? bytesOf(file) : file;
    if (!bytes) return { refusal: "expected an image in base64; received other characters" };
    const image = toRgb(await loadImage(bytes, { pixelLimit: "requestImagePixels", pixelsLeft }), false);
    return { image: await imageArrays(processor.process([image])), pixels: image.width * image.height };
  } catch (error) {
    if (!(error instanceof KindlingError) || error instanceof RuntimeError) return { failure: String(error) };
    const { expected, received } = error;
    return { refusal: `expected ${expected}; received ${received}` };
  }
}

/** Node leaves out what is no base64: then there are fewer bytes than the text has room for. */
function bytesOf(base64: string): Uint8Array | undefined {
  const digits = base64.replace(/={0,2}$/, "").length;
  const bytes = Buffer.from(base64, "base64");
  return digits % 4 !== 1 && bytes.length === Math.floor((digits * 3) / 4) ? bytes : undefined;
}

const buffersOf = ({ pixelValues, imageGridThw }: ImageArrays): ArrayBuffer[] =>
  [pixelValues, imageGridThw].flatMap((numbers) => (numbers ? [numbers.data.buffer as ArrayBuffer] : []));
