/** Images in messages: how requests name them, how they are fetched, and what a model makes of them. */
export { ImageFetcher } from "./fetch.ts";
export { type ImageHostOptions, imageHostNames } from "./hosts.ts";
export { type ImagePrompt, ImageReader, type ImageSide } from "./reader.ts";
export { detailField, ImageReference, readBase64, readImagePart, readImageUrl } from "./reference.ts";
