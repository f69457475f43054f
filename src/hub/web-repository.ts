/** A repository that is read from its server as it is used: in pages, and where nothing is to be kept. */
import { OptionError, RuntimeError } from "../base/index.ts";
import { type Folder, listedFolder, type StoredDownloads, webFile } from "../files/index.ts";
import { HubClient } from "./client.ts";
import { addressesIn, listRepository } from "./repositories.ts";
import { endpointOf, type HubOptions, isOffline, requireRepositoryId, revisionOf } from "./settings.ts";

/** What a revision is: the commit, and the paths of its files. */
interface Listing {
  commit: string;
  paths: string[];
}

/**
 * @param downloads keeps the files, and the listing by which they are found again without the server
 * @throws as `pull`
 */
export async function webRepository(
  id: string,
  options: HubOptions,
  { downloads, refresh = false }: { downloads?: StoredDownloads; refresh?: boolean } = {},
): Promise<Folder> {
  const { source = "huggingface" } = options;
  requireRepositoryId(id, source);
  const endpoint = endpointOf(options);
  const name = `${endpoint}/${id}@${revisionOf(options)}`;
  const client = await HubClient.open(id, options);
  const kept = (await downloads?.remembered(name)) as Listing | undefined;
  const { commit, paths } = kept && (!refresh || isOffline(options)) ? kept : await listing();
  const urlOf = addressesIn(options, endpoint, id, commit);
  const web = { request: client.request.bind(client), ...(downloads && { open: downloads.open }) };
  return listedFolder(`${endpoint}/${id}`, paths, (path) => webFile(urlOf(path), web));

  async function listing(): Promise<Listing> {
    if (isOffline(options)) throw offline(id);
    try {
      const { commit, files } = await listRepository(options, client, id, revisionOf(options));
      const snapshot = { commit, paths: files.map(({ path }) => path) };
      await downloads?.remember(name, snapshot);
      return snapshot;
    } catch (cause) {
      if (kept && cause instanceof RuntimeError) return kept; // nobody answers
      throw cause;
    }
  }
}

const offline = (where: string) =>
  new OptionError({
    where,
    expected: "a server that may be asked",
    received: "isOffline",
    fix: "leave isOffline out, or load the model once with it",
  });
