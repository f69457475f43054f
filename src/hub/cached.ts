import { join, lstat, readdir, rm, rmdir } from "#system";
import { DataError } from "../base/index.ts";
import { exists, withWriteErrors } from "../files/index.ts";
import { cacheFolderOf, type HubOptions, isRepositoryId, requireRepositoryId } from "./settings.ts";

/** All that Kindling and Python's client write into the folder of a repository. */
const parts = new Set(["blobs", "refs", "snapshots", ".no_exist", ".kindling-complete"]);
const PREFIX = "models--";

export interface CachedRepository {
  /** "owner/name" */
  id: string;
  folder: string;
  /** The folders of its commits, which hold models. */
  snapshots: string[];
}

type Place = Pick<HubOptions, "source" | "cacheFolder">;

const folderOf = (id: string, place: Place) =>
  join(cacheFolderOf(place), `${place.source === "modelscope" ? "" : PREFIX}${id.replaceAll("/", "--")}`);

async function repositoryAt(id: string, folder: string): Promise<CachedRepository | undefined> {
  // what a link leads to is not the cache's
  if (!(await lstat(folder).catch(() => undefined))?.isDirectory()) return undefined;
  const commits = await readdir(join(folder, "snapshots")).catch(() => undefined);
  return commits && { id, folder, snapshots: commits.map((commit) => join(folder, "snapshots", commit)) };
}

/** The models in a hub's cache, by name. */
export async function cachedRepositories(place: Place = {}): Promise<CachedRepository[]> {
  const prefix = place.source === "modelscope" ? "" : PREFIX;
  const names = (await readdir(cacheFolderOf(place)).catch(() => [])).filter((name) => name.startsWith(prefix)).sort();
  const repositories = names.map(async (name) => {
    const id = name.slice(prefix.length).replace("--", "/");
    return isRepositoryId(id) ? repositoryAt(id, join(cacheFolderOf(place), name)) : undefined;
  });
  return (await Promise.all(repositories)).filter((repository) => repository !== undefined);
}

/**
 * Removes a model from the cache.
 * @throws OptionError for what is no id; DataError, before anything is removed, where it is not in the cache or there
 *   are files of others in its folder
 */
export async function removeRepository(id: string, place: Place = {}): Promise<void> {
  requireRepositoryId(id, place.source ?? "huggingface");
  const folder = folderOf(id, place);
  if (!(await repositoryAt(id, folder))) {
    throw new DataError({
      where: id,
      expected: "a model in the cache",
      received: "none",
      fix: "kindling list shows what there is",
    });
  }
  const foreign = (await readdir(folder)).find((name) => !parts.has(name));
  if (foreign !== undefined) {
    throw new DataError({
      where: folder,
      expected: "nothing but what a hub's client writes",
      received: foreign,
      fix: "move it elsewhere first",
    });
  }
  await withWriteErrors(folder, async () => {
    for (const part of parts)
      if (await exists(join(folder, part))) await rm(join(folder, part), { recursive: true, force: true });
    await rmdir(folder);
  });
}
