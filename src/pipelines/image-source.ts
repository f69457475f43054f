import { DataError } from "../base/index.ts";
import { loadImage, type RawImage, toRgb } from "../processors/index.ts";

/** A picture, the path of one, its bytes, or an address that begins with http:, https: or data:. */
export type ImageSource = RawImage | string | Uint8Array;

const isRaw = (source: ImageSource): source is RawImage => typeof source === "object" && "channels" in source;

/** The picture in RGB; what an alpha channel hides shows, as in transformers' pipelines. */
export async function openImage(source: ImageSource): Promise<RawImage> {
  return toRgb(isRaw(source) ? source : await loadImage(await localImage(source)), false);
}

async function localImage(source: string | Uint8Array): Promise<string | Uint8Array> {
  if (typeof source !== "string" || !/^(https?|data):/.test(source)) return source;
  const response = await fetch(source);
  if (!response.ok)
    throw new DataError({
      where: source,
      expected: "a picture",
      received: `status ${response.status}`,
      fix: "check the address",
    });
  return new Uint8Array(await response.arrayBuffer());
}
