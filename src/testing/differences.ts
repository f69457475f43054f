/**
 * The largest differences from transformers that tests of models have seen: golden/differences.json, written where
 * KINDLING_RECORD is set.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const path = fileURLToPath(new URL("../../golden/differences.json", import.meta.url));

export interface Seen {
  /** Of outputs, relative to numbers above 1. */
  outputs: number;
  /** Of the loss and all gradients; absent where none is compared. */
  gradients?: number;
}

/** By class. */
export const readDifferences = (): Record<string, Seen> => JSON.parse(readFileSync(path, "utf8"));

/** Notes a difference; call `save` after all. */
export class Differences {
  private readonly seen = new Map<string, Seen>();

  note(architecture: string, kind: keyof Seen, difference: number): void {
    const before = this.seen.get(architecture) ?? { outputs: 0 };
    this.seen.set(architecture, { ...before, [kind]: Math.max(before[kind] ?? 0, difference) });
  }

  save(): void {
    if (!process.env.KINDLING_RECORD) return;
    const all = {
      ...readDifferences(),
      ...Object.fromEntries([...this.seen].map(([name, seen]) => [name, rounded(seen)])),
    };
    const sorted = Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)));
    writeFileSync(path, `${JSON.stringify(sorted, null, 2)}\n`);
  }
}

const rounded = (seen: Seen) =>
  Object.fromEntries(Object.entries(seen).map(([kind, value]) => [kind, Number(value.toPrecision(2))]));
