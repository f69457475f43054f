/** Images that requests name by an address, fetched so that nobody reaches through the server what is not his. */
import { lookup } from "node:dns/promises";
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { limits } from "../../base/index.ts";
import { RequestError } from "../errors.ts";
import { type ImageHostOptions, ImageHosts, isPublicAddress } from "./hosts.ts";
import { checkedFormat, tooLarge, wrongImage } from "./reference.ts";

/** An address of a host, as DNS gives it. */
interface HostAddress {
  address: string;
  family: number;
}

export interface ImageFetcherOptions extends ImageHostOptions {
  /** How long fetching an image may take, redirects included, in milliseconds. @default 10000 */
  timeoutMs?: number;
  /** All addresses of a host. @default those of the system's resolver */
  resolve?: (host: string) => Promise<readonly HostAddress[]>;
}

const MAX_REDIRECTS = 3;
const redirects = [301, 302, 303, 307, 308];

/**
 * Fetches images from the hosts that are allowed. The address of a host is looked up once, checked, and the connection
 * made to just that one, so that a name cannot be pointed elsewhere in between (DNS rebinding). Redirects are checked
 * like the first address.
 */
export class ImageFetcher {
  private readonly hosts: ImageHosts;
  private readonly timeoutMs: number;
  private readonly resolve: NonNullable<ImageFetcherOptions["resolve"]>;

  /** @throws OptionError for what is no name of a host */
  constructor({ timeoutMs = 10_000, resolve, ...hosts }: ImageFetcherOptions = {}) {
    this.hosts = new ImageHosts(hosts);
    this.timeoutMs = timeoutMs;
    this.resolve = resolve ?? ((host) => lookup(host, { all: true }));
  }

  /**
   * The bytes of the image behind an address.
   * @param path the field of the request that names it, for errors
   * @throws RequestError 400 for an address that may not be fetched, and for what is no image or not to be had; the
   *   signal's reason
   */
  async fetch(url: URL, path: string, signal: AbortSignal): Promise<Uint8Array> {
    if (!this.hosts.areAny)
      throw refused(path, "this server fetches no images: send the image itself, as a data: URL or in base64");
    const timeout = AbortSignal.timeout(this.timeoutMs);
    const both = AbortSignal.any([signal, timeout]);
    try {
      return checkedFormat(await this.follow(url, path, both), path);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof RequestError) throw error;
      const { code, message } = error as NodeJS.ErrnoException;
      const received = timeout.aborted ? `nothing within ${this.timeoutMs / 1000} s` : `an error, ${code ?? message}`;
      throw wrongImage(path, `an image from ${url.host}`, received);
    }
  }

  private async follow(first: URL, path: string, signal: AbortSignal): Promise<Uint8Array> {
    let url = first;
    for (let count = 0; count <= MAX_REDIRECTS; count++) {
      const addresses = await this.checkedAddresses(url, path, signal);
      const response = await connect(url, addresses, signal);
      try {
        const { statusCode = 0, headers } = response;
        if (!redirects.includes(statusCode)) return await imageOf(response, url, path);
        const { location = "" } = headers;
        if (!URL.canParse(location, url.href))
          throw wrongImage(path, `an image from ${url.host}`, "a redirect to nowhere");
        url = new URL(location, url);
      } finally {
        response.destroy();
      }
    }
    throw wrongImage(path, `an image after at most ${MAX_REDIRECTS} redirects`, "more");
  }

  /** The addresses of a host that may be asked. @throws RequestError for an address or a host that may not */
  private async checkedAddresses(url: URL, path: string, signal: AbortSignal): Promise<readonly HostAddress[]> {
    if (url.protocol !== "https:" && url.protocol !== "http:")
      throw refused(path, `images are fetched by https: and http:, not by ${url.protocol}`);
    if (url.username !== "" || url.password !== "")
      throw refused(path, "an address with a user or a password in it is not fetched");
    const rule = this.hosts.ruleFor(url);
    if (!rule) throw refused(path, `this server fetches no images from ${url.host}`);
    const name = url.hostname.replace(/^\[|\]$/g, "");
    const family = isIP(name);
    const addresses = family > 0 ? [{ address: name, family }] : await untilAborted(this.resolve(name), signal);
    const isFine = addresses.length > 0 && addresses.every(({ address }) => isPublicAddress(address));
    if (rule === "public" && !isFine)
      throw refused(path, `${url.host} is at no public address, and not among the private hosts of this server`);
    return addresses;
  }
}

/** A look-up cannot be ended; it is no longer waited for. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort);
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** Asks a host at addresses that were checked: the name is not looked up again. */
function connect(url: URL, addresses: readonly HostAddress[], signal: AbortSignal): Promise<IncomingMessage> {
  const checked: LookupFunction = (_, options, done) => {
    const [{ address, family }] = addresses;
    if (options.all) done(null, [...addresses]);
    else done(null, address, family);
  };
  const { request } = url.protocol === "https:" ? https : http;
  const headers = { accept: "image/png, image/jpeg, image/webp, image/gif", "accept-encoding": "identity" };
  return new Promise((resolve, reject) => {
    const asking = request(url, { agent: false, headers, lookup: checked, signal });
    asking.on("response", (response) => {
      response.on("error", () => {}); // whoever reads it is told; nobody reads a redirect
      resolve(response);
    });
    asking.on("error", reject).end();
  });
}

/** The body of a response, as far as it is an image's. */
async function imageOf(response: IncomingMessage, url: URL, path: string): Promise<Uint8Array> {
  const { statusCode, headers } = response;
  const expected = `an image from ${url.host}`;
  if (statusCode !== 200) throw wrongImage(path, expected, `status ${statusCode}`);
  const {
    "content-type": type = "",
    "content-encoding": encoding = "identity",
    "content-length": length = 0,
  } = headers;
  if (!/^image\//i.test(type)) throw wrongImage(path, expected, JSON.stringify(type.slice(0, 60)));
  if (encoding !== "identity") throw wrongImage(path, expected, "a body that is packed");
  if (Number(length) > limits.requestImageBytes) throw tooLarge(path);
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of response as AsyncIterable<Uint8Array>) {
    size += piece.length;
    if (size > limits.requestImageBytes) throw tooLarge(path);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/** What is not fetched, whatever is there. */
function refused(path: string, reason: string): RequestError {
  return new RequestError({
    status: 400,
    message: `${path}: ${reason}`,
    param: path,
    code: "image_url_not_allowed",
  });
}
