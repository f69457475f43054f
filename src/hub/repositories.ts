import { DataError, OptionError } from "../base/index.ts";
import { encodePath } from "../files/index.ts";
import type { HubClient, RemoteFile } from "./client.ts";
import { type HubOptions, isSafePath } from "./settings.ts";

/** A repository at one commit. */
export interface Repository {
  commit: string;
  files: RemoteFile[];
  urlOf(path: string): string;
}

type Json = Record<string, unknown>;
const damaged = (where: string, expected: string, received: unknown) =>
  new DataError({
    where,
    expected,
    received: (JSON.stringify(received) ?? "none").slice(0, 80),
    fix: "check the endpoint: it does not speak the hub's protocol",
  });

/** @throws DataError for a listing that contradicts itself, or would write outside of its folder */
function remoteFile(where: string, path: unknown, bytes: unknown, hash: unknown): RemoteFile {
  if (typeof path !== "string" || !isSafePath(path)) throw damaged(where, "paths inside the repository", path);
  if (!Number.isSafeInteger(bytes) || (bytes as number) < 0) throw damaged(`${where}, ${path}`, "a size", bytes);
  if (typeof hash !== "string" || !/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hash))
    throw damaged(`${where}, ${path}`, "a hash", hash);
  return { path, bytes: bytes as number, hash };
}

/** A repository's files by their paths, at a commit. */
export function addressesIn(
  { source = "huggingface", kind }: Pick<HubOptions, "source" | "kind">,
  endpoint: string,
  id: string,
  commit: string,
): (path: string) => string {
  const folder = kind === "dataset" ? "datasets/" : "";
  if (source === "huggingface")
    return (path) => `${endpoint}/${folder}${encodePath(id)}/resolve/${commit}/${encodePath(path)}`;
  const api = `${endpoint}/api/v1/models/${encodePath(id)}/repo`;
  return (path) => `${api}?${new URLSearchParams({ Revision: commit, FilePath: path })}`;
}

/** Lists a repository at a revision. @throws OptionError for data sets of ModelScope, whose listings are others */
export async function listRepository(
  options: HubOptions,
  client: HubClient,
  id: string,
  revision: string,
): Promise<Repository> {
  if (options.source !== "modelscope") return huggingFaceRepository(options, client, id, revision);
  if (options.kind !== "dataset") return modelScopeRepository(client, id, revision);
  throw new OptionError({
    where: id,
    expected: "a data set of Hugging Face's hub",
    received: "one of ModelScope",
    fix: "download it, and name its folder",
  });
}

/** Of Hugging Face's hub: the commit of a revision, then its tree, page by page. */
async function huggingFaceRepository(
  options: HubOptions,
  client: HubClient,
  id: string,
  revision: string,
): Promise<Repository> {
  const api = `${client.endpoint}/api/${options.kind ?? "model"}s/${encodePath(id)}`;
  const isCommit = /^[0-9a-f]{40}$/.test(revision);
  const info = isCommit
    ? { sha: revision }
    : ((await client.json(`${api}/revision/${encodeURIComponent(revision)}`)) as Json);
  const commit = info.sha;
  if (typeof commit !== "string" || !/^[0-9a-f]{40}$/.test(commit)) throw damaged(id, "a commit", commit);
  const files: RemoteFile[] = [];
  for (let url: string | undefined = `${api}/tree/${commit}?recursive=True&expand=False`; url; ) {
    const response: Response = await client.request(url);
    const entries = (await client.jsonOf(url, response)) as {
      type: string;
      path: unknown;
      size: unknown;
      oid: unknown;
      lfs?: { oid: unknown; size: unknown };
    }[];
    if (!Array.isArray(entries)) throw damaged(id, "a list of files", entries);
    for (const { type, path, size, oid, lfs } of entries)
      if (type === "file") files.push(remoteFile(id, path, lfs?.size ?? size, lfs?.oid ?? oid));
    url = nextPage(response.headers.get("link"), client.endpoint);
  }
  return { commit, files, urlOf: addressesIn(options, client.endpoint, id, commit) };
}

/** The next page, of the same server: a token is not sent elsewhere. */
function nextPage(link: string | null, endpoint: string): string | undefined {
  const next = /<([^>]+)>;\s*rel="next"/.exec(link ?? "")?.[1];
  if (!next) return undefined;
  const url = new URL(next, endpoint);
  return url.origin === new URL(endpoint).origin ? url.href : undefined;
}

/** A listing of ModelScope stops without a word at this many entries. */
const LONGEST_LISTING = 3000;

/** Of ModelScope: all files of a revision; it names no commit. */
async function modelScopeRepository(client: HubClient, id: string, revision: string): Promise<Repository> {
  const api = `${client.endpoint}/api/v1/models/${encodePath(id)}/repo`;
  const list = async (root: string): Promise<RemoteFile[]> => {
    const query = new URLSearchParams({
      Revision: revision,
      Recursive: root === "" ? "True" : "False",
      ...(root && { Root: root }),
    });
    const { Data: data, Success: isFine, Message: message } = (await client.json(`${api}/files?${query}`)) as Json;
    const entries = (data as Json | undefined)?.Files as Json[] | undefined;
    if (isFine === false || !Array.isArray(entries)) throw damaged(id, "a list of files", message ?? data);
    if (entries.length >= LONGEST_LISTING) throw damaged(id, `fewer than ${LONGEST_LISTING} files`, entries.length);
    return entries
      .filter(({ Type: type }) => type !== "tree")
      .map(({ Path: path, Size: size, Sha256: hash }) => remoteFile(id, path, size, hash));
  };
  return {
    commit: revision,
    files: await list(""),
    urlOf: addressesIn({ source: "modelscope" }, client.endpoint, id, revision),
  };
}
