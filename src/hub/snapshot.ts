import { isRepositoryId } from "./settings.ts";

/**
 * The repository that a folder of a hub's cache is a revision of, "owner/name", by its path; undefined for a folder of
 * another kind.
 */
export function repositoryOf(path: string): string | undefined {
  const [, name] = /([^\\/]+)[\\/]snapshots[\\/][^\\/]+[\\/]?$/.exec(path) ?? [];
  const id = name?.replace(/^models--/, "").replace("--", "/");
  return id !== undefined && id.length < name.length && isRepositoryId(id) ? id : undefined;
}

/** A model's name without its owner, by its repository, its folder or its file: of a hub's cache, the repository's. */
export function shortName(place: string): string {
  const last = (repositoryOf(place) ?? place).split(/[\\/]/).findLast(Boolean) ?? "";
  return last.replace(/^models--(.*--)?/, "");
}
