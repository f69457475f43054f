/** What a user names by a path or an address: a picture, a sound. */
import { isPage } from "#system";
import { readBytes, webRequest } from "../files/index.ts";

export const isAddress = (name: string): boolean => /^(https?|data|blob):/i.test(name);

/** The bytes of a file, or behind an address; in a page, where all is an address, it may be relative. */
export async function bytesAt(name: string, expected: string): Promise<Uint8Array> {
  if (!isPage && !isAddress(name)) return readBytes(name, expected);
  const { location } = globalThis as { location?: { href: string } };
  const response = await webRequest(new URL(name, location?.href).href);
  return new Uint8Array(await response.arrayBuffer());
}
