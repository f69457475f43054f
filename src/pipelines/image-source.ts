import { isPage } from "#system";
import { loadImage, type RawImage, toRgb } from "../processors/index.ts";
import { bytesAt, isAddress } from "./bytes-at.ts";

/** A picture, the path of one, its bytes, or an address that begins with http:, https: or data:. */
export type ImageSource = RawImage | string | Uint8Array;

const isRaw = (source: ImageSource): source is RawImage => typeof source === "object" && "channels" in source;

/** The picture in RGB; what an alpha channel hides shows, as in transformers' pipelines. */
export async function openImage(source: ImageSource): Promise<RawImage> {
  return toRgb(isRaw(source) ? source : await loadImage(await localImage(source)), false);
}

/** A path stays one in Node, where the decoder reads files itself. */
const localImage = async (source: string | Uint8Array): Promise<string | Uint8Array> =>
  typeof source === "string" && (isPage || isAddress(source)) ? bytesAt(source, "a picture") : source;
