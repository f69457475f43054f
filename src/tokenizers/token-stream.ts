/** The text of ids that come one by one. */
export interface TokenStream {
  /** The text that is certain by now: whole characters. */
  push(id: number): Promise<string>;
  /** What is left at the end. */
  flush(): Promise<string>;
}

/** Decodes ids one by one. A character may need several: then nothing comes until it is whole. */
export function tokenStream(decode: (ids: readonly number[]) => Promise<string>): TokenStream {
  let ids: number[] = [];
  let prefix = "";
  let start = 0;
  return {
    push: async (id) => {
      ids.push(id);
      const text = await decode(ids);
      if (text.length <= prefix.length || text.endsWith("\ufffd")) return "";
      const fresh = text.slice(prefix.length);
      const kept = ids.length - start;
      ids = ids.slice(start);
      prefix = await decode(ids);
      start = kept;
      return fresh;
    },
    flush: async () => {
      const text = await decode(ids);
      return text.slice(prefix.length);
    },
  };
}
