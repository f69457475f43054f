import type { Value } from "../ir/index.ts";
import { readValues } from "./execute.ts";
import { takeApart } from "./structure.ts";
import { Tensor } from "./tensor.ts";
import { currentWatches, tracedBody, type Watch } from "./trace.ts";

/** Looks at a value when the function being traced runs; outside of traced functions, at once. */
export function watch(seen: Watch): void {
  const watches = currentWatches();
  if (watches) watches.push(seen);
  else void lookNow(seen);
}

async function lookNow({ value, name, probe }: Watch): Promise<void> {
  const { values, look } = probe(value);
  try {
    const numbers = await readValues(values);
    look(
      numbers,
      values.map(({ shape }) => shape as readonly number[]),
    );
  } catch (cause) {
    console.error(`${name} cannot be shown:`, cause);
  }
}

/**
 * The body of a loop or of another function of values: what it returns and what is watched in it, as one list of
 * values that goes through the loop.
 */
export class Body<R> {
  private readonly where: string;
  private returned: ReturnType<typeof takeApart> | undefined;
  private watches: readonly Watch[] = [];

  constructor(where: string) {
    this.where = where;
  }

  /** Traces it. */
  values(body: () => R): Value[] {
    const { result, watches } = tracedBody(body);
    this.returned = takeApart(this.where, result);
    this.watches = watches;
    return [...this.returned.tensors, ...watches].map((x) => ("ir" in x ? x.ir : x.value));
  }

  /** Traces it where numbers of inside do not come out. */
  hiddenValues(body: () => R): Value[] {
    const { result, watches } = tracedBody(body);
    for (const { name } of watches) console.error(`${name} cannot be shown: it is computed inside ${this.where}`);
    this.returned = takeApart(this.where, result);
    return this.returned.tensors.map(({ ir }) => ir);
  }

  /** What it returned, of the values that came out for those that it gave. */
  rebuild(values: readonly Value[]): R {
    const { tensors = [], rebuild } = this.returned ?? {};
    this.watches.forEach((seen, i) => {
      watch({ ...seen, value: values[tensors.length + i] });
    });
    return rebuild?.(values.slice(0, tensors.length).map((value) => new Tensor(value))) as R;
  }
}
