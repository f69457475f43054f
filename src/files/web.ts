/** Files behind addresses: read part by part where the server gives parts, else whole, once. */
import { DataError, joined, RuntimeError } from "../base/index.ts";
import { type ByteSource, bytesSource, type Folder, type StoredFile } from "./source.ts";

/** Asks for an address. What it gives has a status below 400, but for those in `accepted`. */
export type Request = (url: string, init?: RequestInit & { accepted?: readonly number[] }) => Promise<Response>;

/** Opens a file some other way than by parts, as from what an earlier visit stored. */
export type OpenWeb = (url: string, expected: string, request: Request) => Promise<ByteSource>;

/** How files behind addresses are asked for and read. */
export interface WebOptions {
  /** @default fetch */
  request?: Request;
  /** @default reading the parts that are asked for */
  open?: OpenWeb;
  /** Whether there is a file behind an address. @default the server is asked */
  has?: (url: string, request: Request) => Promise<boolean>;
}

/** A file begins with this much: most headers and small files come with the first answer. */
const FIRST_BYTES = 2 ** 16;
/** What servers say of a file that is not there; those of object stores say that it is forbidden. */
const ABSENT = [403, 404, 410];
const BAD_RANGE = 416;

/** Asks by fetch. @throws DataError for an answer that is an error, RuntimeError where no server answers */
export async function webRequest(
  url: string,
  { accepted = [], ...init }: RequestInit & { accepted?: readonly number[] } = {},
): Promise<Response> {
  const response = await fetch(url, init).catch((cause: Error) => {
    init.signal?.throwIfAborted();
    throw unreachable(url, cause);
  });
  if (response.status < 400 || accepted.includes(response.status)) return response;
  await response.body?.cancel();
  const isAbsent = ABSENT.includes(response.status);
  throw new DataError({
    where: url,
    expected: "a file",
    received: isAbsent
      ? `no such file (${response.status})`
      : `status ${response.status} ${response.statusText}`.trim(),
    fix: isAbsent ? "check the address" : "try again later",
  });
}

/** The error for a server that does not answer, or stops in the middle. */
function unreachable(url: string, cause: unknown): RuntimeError {
  const { message, cause: reason } = cause as Error & { cause?: Error };
  return new RuntimeError({
    where: url,
    expected: `an answer from ${new URL(url).host}`,
    received: reason?.message ?? message,
    fix: "check the network; a page may ask other servers only where they allow it (CORS)",
    cause,
  });
}

/** A file by its address. */
export function webFile(url: string, options: WebOptions = {}): StoredFile {
  const { request = webRequest, open = openByParts } = options;
  return {
    name: url,
    base: decodeURIComponent(new URL(url).pathname.split("/").at(-1) as string),
    open: (expected = "a file") => open(url, expected, request),
    folder: () => webFolder(new URL(".", url).href, options),
  };
}

/** A folder by its address: files are behind it by their names. */
export function webFolder(url: string, options: WebOptions = {}): Folder {
  const root = url.endsWith("/") ? url : `${url}/`;
  const { request = webRequest, has = isThere } = options;
  const urlOf = (name: string) => new URL(encodePath(name), root).href;
  return {
    name: root,
    list: async () => undefined,
    has: (name) => has(urlOf(name), request),
    file: (name) => webFile(urlOf(name), options),
    folder: (name) => webFolder(urlOf(name), options),
  };
}

/** A path as a part of an address: what stands between its slashes is percent-encoded, the slashes stay. */
export const encodePath = (path: string): string => path.split("/").map(encodeURIComponent).join("/");

/** Whether a server has a file. A page in its place, as servers of applications send for any address, is none. */
export async function isThere(url: string, request: Request): Promise<boolean> {
  const accepted = [...ABSENT, 405, 501];
  let response = await request(url, { method: "HEAD", accepted });
  if (response.status === 405 || response.status === 501) {
    response = await request(url, { headers: { range: "bytes=0-0" }, accepted: [...ABSENT, BAD_RANGE] });
    await response.body?.cancel();
  }
  return !ABSENT.includes(response.status) && !isPageOf(response);
}

/** Whether an answer is a page of HTML, which no file of a model is. */
const isPageOf = ({ headers }: Response): boolean => /^text\/html\b/i.test(headers.get("content-type") ?? "");

/** @throws DataError for a page in a file's place */
export function requireFile(url: string, expected: string, response: Response): void {
  if (!isPageOf(response)) return;
  throw new DataError({ where: url, expected, received: "a page (text/html)", fix: "check the address" });
}

/** Of "bytes 0-99/1000" the first byte and the whole size, where the server tells them. */
export function contentRange({ headers }: Response): { begin?: number; size?: number } {
  const [, begin, size] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get("content-range") ?? "") ?? [];
  return { ...(begin && { begin: Number(begin) }), ...(size && size !== "*" && { size: Number(size) }) };
}

/** What answers say of the version of a file that they are of; null for what a server does not tell. */
export interface FileVersion {
  etag: string | null;
  /** Last-Modified. */
  modified: string | null;
  /** Bytes of the whole file. */
  size: number | null;
}

export function versionOf(response: Response, size = contentRange(response).size): FileVersion {
  const { headers } = response;
  return { etag: headers.get("etag"), modified: headers.get("last-modified"), size: size ?? null };
}

/**
 * Whether a later answer is of the same version of a file, by its ETag and size, and where it has no ETag by
 * Last-Modified: servers behind one address may have copied a file at different times.
 */
export function isSameVersion(before: FileVersion, now: FileVersion): boolean {
  if (before.etag !== now.etag || (now.size !== null && before.size !== now.size)) return false;
  const isDated = now.etag === null && now.modified !== null && before.modified !== null;
  return !isDated || before.modified === now.modified;
}

/**
 * The bytes of an answer. @throws DataError for fewer or more than `length`, RuntimeError where the server stops in the
 * middle
 */
async function bodyOf(url: string, response: Response, length?: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let received = 0;
  for await (const piece of chunksOf(url, response)) {
    received += piece.length;
    pieces.push(piece);
    if (length !== undefined && received > length) break;
  }
  if (length !== undefined && received !== length) {
    const fix = "the server is at fault, or the file has changed: load it again";
    throw new DataError({
      where: url,
      expected: `${length} bytes`,
      received: received > length ? "more" : `${received}`,
      fix,
    });
  }
  return pieces.length === 1 ? pieces[0] : joined(Uint8Array, pieces);
}

/** The pieces of an answer as they come. @throws RuntimeError where the server stops in the middle */
export async function* chunksOf(url: string, response: Response): AsyncGenerator<Uint8Array, void, void> {
  const reader = (response.body as ReadableStream<Uint8Array> | null)?.getReader();
  if (!reader) return;
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((cause) => {
        throw unreachable(url, cause);
      });
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** Reads a file by HTTP's ranges; where the server knows none, whole. */
const openByParts: OpenWeb = async (url, expected, request) => {
  const headers = { range: `bytes=0-${FIRST_BYTES - 1}` };
  const answer = await request(url, { headers, accepted: [BAD_RANGE] });
  if (answer.status === BAD_RANGE) return openWhole(url, await request(url)); // an empty file has no first byte
  requireFile(url, expected, answer);
  if (answer.status !== 206) return openWhole(url, answer);
  const size = contentRange(answer).size ?? (await sizeOf(url, request));
  if (size === undefined) {
    await answer.body?.cancel();
    return openWhole(url, await request(url));
  }
  const start = await bodyOf(url, answer, Math.min(FIRST_BYTES, size));
  const version = versionOf(answer, size);
  return {
    size,
    read: async (offset, length) => {
      if (offset + length <= start.length) return start.slice(offset, offset + length);
      return readRange(url, request, { offset, length, version });
    },
    close: async () => {},
  };
};

/** A size that a server does not let a page see in a part's answer stands in that to HEAD. */
async function sizeOf(url: string, request: Request): Promise<number | undefined> {
  const response = await request(url, { method: "HEAD", accepted: [405, 501] });
  const length = response.headers.get("content-length");
  return response.ok && length !== null && /^\d+$/.test(length) ? Number(length) : undefined;
}

const openWhole = async (url: string, response: Response): Promise<ByteSource> =>
  bytesSource(await bodyOf(url, response));

async function readRange(
  url: string,
  request: Request,
  { offset, length, version }: { offset: number; length: number; version: FileVersion },
): Promise<Uint8Array> {
  if (length === 0) return new Uint8Array(0);
  const wanted = `bytes ${offset} to ${offset + length - 1}`;
  const headers = { range: `bytes=${offset}-${offset + length - 1}` };
  const response = await request(url, { headers, accepted: [BAD_RANGE] });
  const fail = (received: string) => {
    void response.body?.cancel();
    const fix = "the server is at fault, or the file has changed: load it again";
    return new DataError({ where: url, expected: wanted, received, fix });
  };
  if (response.status === BAD_RANGE) throw fail("a file without them (416)");
  if (response.status !== 206) throw fail(`status ${response.status}, the whole file`);
  const { begin = offset } = contentRange(response);
  if (begin !== offset) throw fail(`bytes from ${begin} on`);
  if (!isSameVersion(version, versionOf(response))) throw fail("another version of the file");
  return bodyOf(url, response, length);
}
