import { isPage, stat } from "#system";
import { DataError, OptionError } from "../base/index.ts";
import {
  browserStore,
  diskFile,
  diskFolder,
  type Folder,
  StoredDownloads,
  type StoredFile,
  webFile,
  webFolder,
} from "../files/index.ts";
import { hasFileEnding, isRemoteName, localPath } from "./local-path.ts";
import { type HubOptions, isRepositoryId } from "./settings.ts";
import { webRepository } from "./web-repository.ts";

/** How what is not on this machine is fetched, and whether it is kept. */
export interface PlaceOptions {
  /** How a repository is fetched. */
  hub?: HubOptions;
  /**
   * Whether what is fetched is kept and found again without the server: in Node of repositories, in the hub's cache; in
   * a page of all, in the browser's storage. "refresh" asks whether there is something newer, as Node always does. With
   * false only what is read is fetched, and nothing kept. @default true
   */
  cache?: boolean | "refresh";
}

/**
 * Where a model's files are: a folder or a file of this machine, an address, or a repository such as "owner/name"; in a
 * page, which has no files, an address may be relative: "./models/bert".
 * @throws OptionError for what is no name, DataError for a path where there is nothing; as `pull`
 */
export async function openPlace(
  name: string | Folder | StoredFile,
  { hub = {}, cache = true }: PlaceOptions = {},
): Promise<Folder | StoredFile> {
  if (typeof name === "object" && name !== null) return name;
  const url = typeof name === "string" ? addressOf(name) : undefined;
  if (url !== undefined) return openAddress(url, await downloadsOf(hub, cache));
  if (isPage) return openRepository(name, hub, cache);
  if (cache === false && typeof name === "string" && (await isRemoteName(name))) return webRepository(name, hub);
  const path = await localPath(name, hub);
  return (await stat(path)).isDirectory() ? diskFolder(path) : diskFile(path);
}

/** As `openPlace`, of what must be a folder. @throws DataError for a file */
export async function openFolder(name: string | Folder, options?: PlaceOptions): Promise<Folder> {
  const place = await openPlace(name, options);
  if (!("open" in place)) return place;
  const fix = "name the folder that it is in";
  throw new DataError({ where: place.name, expected: "a model's folder", received: "a file", fix });
}

/** Removes all that pages of this address have kept of models. */
export async function removeDownloads(): Promise<void> {
  const store = await browserStore();
  await store?.remove("");
}

async function downloadsOf({ onProgress, signal }: HubOptions, cache: boolean | "refresh") {
  const store = isPage && cache !== false ? await browserStore() : undefined;
  return store && new StoredDownloads(store, { onProgress, signal, refresh: cache === "refresh" });
}

/** The address that a name is, whole; undefined for other names. */
function addressOf(name: string): string | undefined {
  if (/^https?:\/\//i.test(name)) return name;
  const { location } = globalThis as { location?: { href: string } };
  return isPage && /^\.{0,2}\//.test(name) ? new URL(name, location?.href).href : undefined;
}

function openAddress(url: string, downloads: StoredDownloads | undefined): Folder | StoredFile {
  const options = downloads && { open: downloads.open, has: downloads.has };
  return hasFileEnding(new URL(url).pathname) ? webFile(url, options) : webFolder(url, options);
}

async function openRepository(name: string, hub: HubOptions, cache: boolean | "refresh"): Promise<Folder> {
  if (typeof name === "string" && name.includes("/") && isRepositoryId(name))
    return webRepository(name, hub, { downloads: await downloadsOf(hub, cache), refresh: cache === "refresh" });
  throw new OptionError({
    where: "model",
    expected: 'an address ("https://...", "./folder") or a repository such as "owner/name"',
    received: JSON.stringify(name) ?? "nothing",
    fix: "a page has no folders; files that a user has chosen go into a memoryFolder",
  });
}
