import type { PartStore } from "../files/index.ts";

/**
 * What a page keeps of downloads, in memory. @param limit of bytes, beyond which it is full as a browser's storage is
 */
export function memoryStore(limit = Number.POSITIVE_INFINITY): PartStore {
  const kept = new Map<string, Uint8Array<ArrayBuffer>>();
  const used = () => [...kept.values()].reduce((sum, { length }) => sum + length, 0);
  return {
    get: async (key) => {
      const content = kept.get(key);
      return content && new Blob([content]);
    },
    put: async (key, content) => {
      if (used() + content.length > limit) throw Object.assign(new Error("full"), { name: "QuotaExceededError" });
      kept.set(key, content as Uint8Array<ArrayBuffer>);
    },
    remove: async (prefix) => {
      for (const key of kept.keys()) if (key.startsWith(prefix)) kept.delete(key);
    },
    room: async () => undefined,
  };
}
