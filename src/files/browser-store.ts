/** Where a page keeps what it downloads: its private files (OPFS), or the Cache API where it has none. */
import type { PartStore } from "./part-store.ts";

const FOLDER = "kindling";

interface FileHandle {
  getFile(): Promise<Blob>;
  createWritable(): Promise<{
    write(content: Uint8Array): Promise<void>;
    close(): Promise<void>;
    abort(): Promise<void>;
  }>;
}
interface DirectoryHandle {
  getDirectoryHandle(name: string, options?: { create?: boolean }): Promise<DirectoryHandle>;
  getFileHandle(name: string, options?: { create?: boolean }): Promise<FileHandle>;
  removeEntry(name: string): Promise<void>;
  keys(): AsyncIterable<string>;
}
interface BrowserCache {
  match(key: string): Promise<Response | undefined>;
  put(key: string, response: Response): Promise<void>;
  delete(key: string): Promise<boolean>;
  keys(): Promise<readonly { url: string }[]>;
}
interface Browser {
  navigator?: {
    storage?: {
      getDirectory?(): Promise<DirectoryHandle>;
      estimate?(): Promise<{ quota?: number; usage?: number }>;
    };
  };
  FileSystemFileHandle?: { prototype: object };
  caches?: { open(name: string): Promise<BrowserCache> };
}

/** The store of this page; undefined where the browser lets it keep nothing, as on pages without https. */
export async function browserStore(browser: Browser = globalThis as Browser): Promise<PartStore | undefined> {
  const { navigator, FileSystemFileHandle, caches } = browser;
  const room = async () => {
    const { quota, usage = 0 } = (await navigator?.storage?.estimate?.()) ?? {};
    return quota === undefined ? undefined : Math.max(0, quota - usage);
  };
  const canWrite = FileSystemFileHandle !== undefined && "createWritable" in FileSystemFileHandle.prototype;
  if (canWrite) {
    const root = await navigator?.storage?.getDirectory?.().catch(() => undefined); // private windows may refuse
    const folder = await root?.getDirectoryHandle(FOLDER, { create: true }).catch(() => undefined);
    if (folder) return { ...fileStore(folder), room };
  }
  const cache = await caches?.open(FOLDER).catch(() => undefined);
  return cache && { ...cacheStore(cache), room };
}

const fileStore = (folder: DirectoryHandle): Omit<PartStore, "room"> => ({
  get: async (key) => {
    const handle = await folder.getFileHandle(key).catch(() => undefined);
    return handle?.getFile();
  },
  put: async (key, content) => {
    const handle = await folder.getFileHandle(key, { create: true });
    const writable = await handle.createWritable();
    try {
      await writable.write(content);
      await writable.close(); // until then the file is as it was
    } catch (cause) {
      await writable.abort().catch(() => {});
      await folder.removeEntry(key).catch(() => {});
      throw cause;
    }
  },
  remove: async (prefix) => {
    const names: string[] = [];
    for await (const name of folder.keys()) if (name.startsWith(prefix)) names.push(name);
    for (const name of names) await folder.removeEntry(name);
  },
});

/** Keys of the cache are addresses; these lead nowhere. */
const address = (key: string) => `https://kindling.invalid/${key}`;

const cacheStore = (cache: BrowserCache): Omit<PartStore, "room"> => ({
  get: async (key) => (await cache.match(address(key)))?.blob(),
  put: (key, content) => cache.put(address(key), new Response(content as Uint8Array<ArrayBuffer>)),
  remove: async (prefix) => {
    const urls = (await cache.keys()).map(({ url }) => url).filter((url) => url.startsWith(address(prefix)));
    for (const url of urls) await cache.delete(url);
  },
});
