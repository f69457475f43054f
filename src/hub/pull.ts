import {
  copyFile,
  createHash,
  createReadStream,
  dirname,
  join,
  open,
  readFile,
  relative,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "#system";
import { DataError, RuntimeError, warnOnConsole } from "../base/index.ts";
import { exists, makeFolder } from "../files/index.ts";
import { HubClient, type RemoteFile } from "./client.ts";
import { listRepository, type Repository } from "./repositories.ts";
import { cacheFolderOf, type HubOptions, isOffline, neededFiles, requireRepositoryId, revisionOf } from "./settings.ts";

const BREAKS = 5;
const PARALLEL = 4;

/**
 * Brings a model's files into the cache that Python's huggingface_hub shares, and gives their folder. What is there
 * already is not fetched again; what was broken off goes on where it stopped; each file's hash is checked.
 * @throws DataError for a repository or revision that is not there or not allowed, and for a file that arrives damaged;
 *   RuntimeError when the hub cannot be reached
 */
export async function pull(id: string, options: HubOptions = {}): Promise<string> {
  const { source = "huggingface" } = options;
  requireRepositoryId(id, source);
  const revision = revisionOf(options);
  const cache = new HubCache(id, options);
  if (isOffline(options)) return cache.snapshotOf(revision);
  const complete = /^[0-9a-f]{40}$/.test(revision) ? await cache.completeSnapshot(revision) : undefined;
  if (complete) return complete;
  const client = await HubClient.open(id, options);
  const repository = await listRepository(options, client, id, revision).catch(async (error) => {
    if (!(error instanceof RuntimeError)) throw error;
    const folder = await cache.snapshotOf(revision).catch(() => undefined);
    if (folder === undefined) throw error;
    warnOnConsole({ where: id, notes: [`${error.received}: what is in the cache is used`] });
    return folder;
  });
  if (typeof repository === "string") return repository;
  const wanted = new Set(
    neededFiles(
      repository.files.map(({ path }) => path),
      options,
    ),
  );
  const files = repository.files.filter(({ path }) => wanted.has(path));
  if (files.length === 0) {
    const received = `${repository.files.length} files, such as ${repository.files
      .slice(0, 3)
      .map(({ path }) => path)
      .join(", ")}`;
    throw new DataError({
      where: id,
      expected: `files of a ${options.kind ?? "model"}`,
      received,
      fix: "check the id, or name files: --include",
    });
  }
  const queue = [...files];
  const worker = async () => {
    for (let file = queue.shift(); file; file = queue.shift())
      await fetchFile(client, repository, cache, file, options);
  };
  const stop = (error: unknown) => {
    queue.length = 0;
    throw error;
  };
  // nobody writes on after a failure
  const results = await Promise.allSettled(Array.from({ length: PARALLEL }, () => worker().catch(stop)));
  for (const result of results) if (result.status === "rejected") throw result.reason;
  return cache.finish(revision, repository.commit);
}

/** The folder of a repository in the cache. */
class HubCache {
  readonly folder: string;
  private readonly id: string;
  private readonly isModelScope: boolean;
  private readonly isDataset: boolean;

  constructor(id: string, options: HubOptions) {
    this.id = id;
    this.isModelScope = options.source === "modelscope";
    const name = id.replaceAll("/", "--");
    this.isDataset = options.kind === "dataset";
    const prefix = this.isModelScope ? "" : `${options.kind ?? "model"}s--`;
    this.folder = join(cacheFolderOf(options), prefix + name);
  }

  blob(hash: string): string {
    return join(this.folder, "blobs", hash);
  }

  snapshot(commit: string): string {
    return join(this.folder, "snapshots", commit);
  }

  /** The folder of a revision, without asking anybody. @throws DataError when it is not there */
  async snapshotOf(revision: string): Promise<string> {
    const commit = this.isModelScope
      ? revision
      : await readFile(join(this.folder, "refs", ...revision.split("/")), "utf8").catch(() => revision);
    const folder = this.snapshot(commit.trim());
    if (await exists(this.isDataset ? folder : join(folder, "config.json"))) return folder;
    throw new DataError({
      where: this.id,
      expected: `revision ${revision} in the cache`,
      received: "none, and no server may be asked",
      fix: "pull it once without HF_HUB_OFFLINE",
    });
  }

  /** A commit does not change: when its files were all fetched, nobody needs to be asked. */
  async completeSnapshot(commit: string): Promise<string | undefined> {
    return (await exists(join(this.folder, ".kindling-complete", commit))) ? this.snapshot(commit) : undefined;
  }

  /** Notes which commit a revision is, as Python's client does. */
  async finish(revision: string, commit: string): Promise<string> {
    if (!this.isModelScope && revision !== commit) {
      const ref = join(this.folder, "refs", ...revision.split("/"));
      await makeFolder(dirname(ref));
      await writeFile(ref, commit);
    }
    await makeFolder(join(this.folder, ".kindling-complete"));
    if (commit !== revision || !this.isModelScope) await writeFile(join(this.folder, ".kindling-complete", commit), "");
    return this.snapshot(commit);
  }

  /** Puts a blob where a snapshot has the file: as a link, or as a copy where links cannot be made. */
  async place({ path, hash }: RemoteFile, commit: string): Promise<void> {
    const target = join(this.snapshot(commit), path);
    await makeFolder(dirname(target));
    await rm(target, { force: true });
    const blob = this.blob(hash);
    await symlink(relative(dirname(target), blob), target).catch(() => copyFile(blob, target));
  }
}

async function fetchFile(
  client: HubClient,
  repository: Repository,
  cache: HubCache,
  file: RemoteFile,
  options: HubOptions,
): Promise<void> {
  const blob = cache.blob(file.hash);
  await makeFolder(dirname(blob));
  const size = await stat(blob).then(
    (info) => info.size,
    () => -1,
  );
  if (size !== file.bytes) await download(client, repository.urlOf(file.path), blob, file, options);
  await cache.place(file, repository.commit);
}

/**
 * Fetches into a file beside the target, on from where an earlier try stopped, and puts it in place when its hash is
 * right.
 */
async function download(
  client: HubClient,
  url: string,
  target: string,
  { path, bytes, hash }: RemoteFile,
  options: HubOptions,
): Promise<void> {
  const partial = `${target}.incomplete`;
  const file = await open(partial, "a+");
  try {
    let done = (await file.stat()).size;
    if (done > bytes) {
      await file.truncate(0);
      done = 0;
    }
    for (let breaks = 0; done < bytes; ) {
      const response = await client.request(url, {
        headers: { "accept-encoding": "identity", ...(done > 0 && { range: `bytes=${done}-` }) },
      });
      if (done > 0 && response.status !== 206) {
        await file.truncate(0); // the server starts over
        done = 0;
      }
      try {
        for await (const chunk of client.chunks(response)) {
          await file.write(chunk);
          done += chunk.length;
          options.onProgress?.({ file: path, doneBytes: done, totalBytes: bytes });
          if (done > bytes) break;
        }
      } catch (cause) {
        options.signal?.throwIfAborted();
        if (++breaks > BREAKS) throw client.unreachable(url, cause);
        continue;
      }
      if (done < bytes && ++breaks > BREAKS) throw damagedFile(path, `${bytes} bytes`, `${done}`);
      if (done > bytes) {
        await file.truncate(0);
        throw damagedFile(path, `${bytes} bytes`, "more");
      }
    }
    await file.sync();
  } finally {
    await file.close();
  }
  const actualHash = await hashOf(partial, bytes, hash.length === 64);
  if (actualHash !== hash) {
    await rm(partial, { force: true });
    throw damagedFile(path, `hash ${hash}`, actualHash);
  }
  await rename(partial, target);
}

const damagedFile = (path: string, expected: string, received: string) =>
  new DataError({ where: path, expected, received, fix: "pull again; if it stays so, the server's file is damaged" });

/** SHA-256 of a file, or git's SHA-1 of a blob. */
async function hashOf(path: string, bytes: number, isSha256: boolean): Promise<string> {
  const hash = createHash(isSha256 ? "sha256" : "sha1");
  if (!isSha256) hash.update(`blob ${bytes}\0`);
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}
