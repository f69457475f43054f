import { DataError } from "../base/index.ts";
import { encodePath } from "../files/index.ts";
import type { HubClient, RemoteFile } from "./client.ts";
import { type HubSource, isSafePath } from "./settings.ts";

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
export function addressesIn(source: HubSource, endpoint: string, id: string, commit: string): (path: string) => string {
  if (source === "huggingface") return (path) => `${endpoint}/${encodePath(id)}/resolve/${commit}/${encodePath(path)}`;
  const api = `${endpoint}/api/v1/models/${encodePath(id)}/repo`;
  return (path) => `${api}?${new URLSearchParams({ Revision: commit, FilePath: path })}`;
}

/** Lists a repository at a revision. */
export const listRepository = (source: HubSource, client: HubClient, id: string, revision: string) =>
  source === "modelscope" ? modelScopeRepository(client, id, revision) : huggingFaceRepository(client, id, revision);

/** Of Hugging Face's hub: the commit of a revision, then its tree, page by page. */
async function huggingFaceRepository(client: HubClient, id: string, revision: string): Promise<Repository> {
  const api = `${client.endpoint}/api/models/${encodePath(id)}`;
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
  return { commit, files, urlOf: addressesIn("huggingface", client.endpoint, id, commit) };
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
  return { commit: revision, files: await list(""), urlOf: addressesIn("modelscope", client.endpoint, id, revision) };
}
