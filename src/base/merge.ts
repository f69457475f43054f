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
  const given: Merged<T>[] = [];
  const asked = new Map<number, Promise<void>>();
  const ask = (index: number) => {
    const answer = generators[index].next().then((next) => {
      asked.delete(index);
      if (next.done) results[index] = next.value;
      else given.push({ index, value: next.value });
    });
    answer.catch(() => {}); // thrown by the race
    asked.set(index, answer);
  };
  try {
    for (const index of generators.keys()) ask(index);
    for (;;) {
      while (given.length === 0 && asked.size > 0) await Promise.race(asked.values());
      if (given.length === 0) return results;
      const values = given.splice(0).sort((a, b) => a.index - b.index);
      yield* values;
      for (const { index } of values) ask(index);
    }
  } finally {
    for (const generator of generators) generator.return(undefined as never).catch(() => {});
  }
}
