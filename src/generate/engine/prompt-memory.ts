/** Prompts whose logits are kept. */
const KEPT = 4;

/**
 * The logits after the prompts that were read last: asked again, a prompt gives the same numbers to the bit, and at
 * once.
 */
export class PromptMemory {
  private readonly prompts: { ids: readonly number[]; owner: object | undefined; logits: Float32Array }[] = [];

  /** @param owner what besides the ids decides the logits: the adapter. @default nothing */
  keep(ids: readonly number[], logits: Float32Array, owner?: object): void {
    this.forget(ids, owner);
    this.prompts.push({ ids: [...ids], owner, logits: logits.slice() });
    if (this.prompts.length > KEPT) this.prompts.shift();
  }

  /** A copy: who picks a token changes them. */
  find(ids: readonly number[], owner?: object): Float32Array | undefined {
    return this.prompts.find((prompt) => prompt.owner === owner && areEqual(prompt.ids, ids))?.logits.slice();
  }

  clear(): void {
    this.prompts.length = 0;
  }

  private forget(ids: readonly number[], owner: object | undefined): void {
    const place = this.prompts.findIndex((prompt) => prompt.owner === owner && areEqual(prompt.ids, ids));
    if (place >= 0) this.prompts.splice(place, 1);
  }
}

const areEqual = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((id, i) => id === b[i]);

/** How many tokens two texts have in common at their beginnings, where the first is looked at up to `length`. */
export function sharedLength(a: readonly number[], length: number, b: readonly number[]): number {
  const most = Math.min(length, b.length);
  let shared = 0;
  while (shared < most && a[shared] === b[shared]) shared++;
  return shared;
}
