/** Hubs of models: downloads into the cache that Python's clients share. Imports files/ and ir/. */
export { type CachedRepository, cachedRepositories, removeRepository } from "./cached.ts";
export { isRemoteName, localPath } from "./local-path.ts";
export { openFolder, openPlace, type PlaceOptions, removeDownloads } from "./open-place.ts";
export { pull } from "./pull.ts";
export { type HubOptions, type HubSource, isRepositoryId } from "./settings.ts";
export { repositoryOf, shortName } from "./snapshot.ts";
