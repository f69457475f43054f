/** What one of several generators has given. */
export interface Merged<T> {
  /** Its place among them. */
  index: number;
  value: T;
}

/**
 * What several generators give, as it comes, and at the end what each returned. They work at the same time: those whose
 * values were taken are asked for the next together. When one fails, or the caller stops, all are ended.
 */
export async function* merged<T, R>(
  generators: readonly AsyncGenerator<T, R, void>[],
): AsyncGenerator<Merged<T>, R[], void> {
  const results = new Array<R>(generators.length);
  const arrived: Merged<T>[] = [];
  let failure: { cause: unknown } | undefined;
  let open = generators.length;
  let wake = () => {}; // one for all: a race among thousands would look at each of them each time
  const ask = async (index: number) => {
    try {
      const next = await generators[index].next();
      if (next.done) {
        results[index] = next.value;
        open--;
      } else arrived.push({ index, value: next.value });
    } catch (cause) {
      failure ??= { cause };
    }
    wake();
  };
  try {
    for (const index of generators.keys()) void ask(index);
    for (;;) {
      if (arrived.length === 0 && open > 0 && !failure)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      if (failure) throw failure.cause;
      if (arrived.length === 0 && open === 0) return results;
      const values = arrived.splice(0).sort((a, b) => a.index - b.index);
      yield* values;
      for (const { index } of values) void ask(index);
    }
  } finally {
    for (const generator of generators) generator.return(undefined as never).catch(() => {});
  }
}
