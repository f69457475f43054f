/** Images as requests name them: by their bytes in base64, or by an address. */
import { limits } from "../../base/index.ts";
import { RequestError } from "../errors.ts";
import { type Fields, invalid, isObject, isText, readFields, rule, text } from "../fields.ts";

/** An image of a request, before anything of it is decoded or fetched. */
export class ImageReference {
  /** The bytes of its file in base64, or where they are: http or https. */
  readonly source: string | URL;
  /** The field that it is from, for errors. */
  readonly path: string;

  constructor(source: string | URL, path: string) {
    this.source = source;
    this.path = path;
  }
}

const imageUrlPart = {
  type: text,
  image_url: rule<object>("an object with the url of an image", isObject),
  prompt_cache_breakpoint: "harmless",
} as const satisfies Fields;
const imageUrlFields = { url: text, detail: detailField() } as const satisfies Fields;

/** A model looks at images in the one way that its processor prepares: "low" would be another. */
export function detailField(): readonly string[] {
  return ["auto", "high"];
}

/** OpenAI's part of a message with an image. @throws RequestError naming the field that is wrong */
export function readImagePart(part: unknown, path: string): ImageReference {
  const { image_url: image } = readFields(part, imageUrlPart, `${path}.`);
  if (image === undefined) throw invalid(`${path}.image_url`, imageUrlPart.image_url.expected, undefined);
  const { url } = readFields(image, imageUrlFields, `${path}.image_url.`);
  return readImageUrl(url, `${path}.image_url.url`);
}

const ADDRESS = "the address of an image: data:, https: or http:";

/** @throws RequestError for what is no address of an image, and for a data: URL without one */
export function readImageUrl(url: string | undefined, path: string): ImageReference {
  if (url === undefined) throw invalid(path, ADDRESS, undefined);
  if (/^data:/i.test(url)) return readDataUrl(url, path);
  if (!/^https?:\/\//i.test(url) || !URL.canParse(url)) throw invalid(path, ADDRESS, url);
  return new ImageReference(new URL(url), path);
}

/** What stands before the comma is a media type and "base64"; nobody writes a longer one. Formats show in less. */
const MAX_HEAD = 200;

function readDataUrl(url: string, path: string): ImageReference {
  const comma = url.slice(0, MAX_HEAD).indexOf(",");
  const [type = "", ...settings] = url.slice("data:".length, Math.max(comma, 0)).split(";");
  const isBase64 = comma >= 0 && settings.at(-1)?.trim().toLowerCase() === "base64";
  if (!isBase64) throw invalid(path, "a data: URL of an image in base64", url);
  return readBase64(url.slice(comma + 1), { type, path, typePath: path });
}

/**
 * An image in base64, of which only the beginning is decoded here: twenty MiB of it would hold up others.
 * @param place.type its media type. @default its bytes say what it is
 * @throws RequestError for another type, bytes that begin as no image does, and more of them than a limit
 */
export function readBase64(
  data: string | undefined,
  { type, path, typePath = path }: { type?: string; path: string; typePath?: string },
): ImageReference {
  if (type !== undefined && !/^image\//i.test(type.trim())) throw invalid(typePath, "the media type of an image", type);
  if (!isText(data)) throw invalid(path, "an image in base64", data);
  if ((data.length * 3) / 4 - 2 > limits.requestImageBytes) throw tooLarge(path);
  const head = data.slice(0, MAX_HEAD);
  if (!/^[\w+/-]*={0,2}$/.test(head)) throw invalid(path, "an image in base64", data);
  checkedFormat(Buffer.from(head, "base64"), path);
  return new ImageReference(data, path);
}

/** An image of more bytes than there may be. */
export const tooLarge = (path: string): RequestError =>
  wrongImage(path, `at most ${limits.requestImageBytes} bytes (limit requestImageBytes)`, "more");

/** An image that is not what is expected. */
export function wrongImage(path: string, expected: string, received: string): RequestError {
  const message = `${path}: expected ${expected}; received ${received}`;
  return new RequestError({ status: 400, message, param: path, code: "invalid_image" });
}

const latin1 = (bytes: Uint8Array, from: number, to: number) =>
  Buffer.from(bytes.subarray(from, to)).toString("latin1");

/** How files of each format begin. An SVG is none: what it draws may cost anything, and it may lead elsewhere. */
const formats: readonly ((bytes: Uint8Array) => boolean)[] = [
  (bytes) => latin1(bytes, 0, 8) === "\x89PNG\r\n\x1a\n",
  (bytes) => latin1(bytes, 0, 3) === "\xff\xd8\xff", // JPEG
  (bytes) => /^GIF8[79]a$/.test(latin1(bytes, 0, 6)),
  (bytes) => latin1(bytes, 0, 4) === "RIFF" && latin1(bytes, 8, 12) === "WEBP",
];

/** The bytes, if they are those of an image, whatever its media type says. @throws RequestError */
export function checkedFormat(bytes: Uint8Array, path: string): Uint8Array {
  if (formats.some((isOfIt) => isOfIt(bytes))) return bytes;
  throw wrongImage(path, "a PNG, JPEG, WebP or GIF", bytes.length === 0 ? "no bytes" : "bytes of something else");
}
