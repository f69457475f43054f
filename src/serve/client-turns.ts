/** What clients wait for: they have turns, and of each client what came first goes first. */
export class ClientTurns<T extends { readonly client: string }> {
  /** By client; the client whose turn is next is the first. */
  private readonly waiting = new Map<string, T[]>();

  add(item: T): void {
    const others = this.waiting.get(item.client);
    if (others) others.push(item);
    else this.waiting.set(item.client, [item]);
  }

  /** What is next, taken out; its client goes behind the others. */
  take(): T | undefined {
    const [turn] = this.waiting;
    if (!turn) return undefined;
    const [client, [item, ...later]] = turn;
    this.waiting.delete(client);
    if (later.length > 0) this.waiting.set(client, later);
    return item;
  }

  /** Takes out what nobody waits for any more. */
  remove(item: T): void {
    const others = (this.waiting.get(item.client) ?? []).filter((other) => other !== item);
    if (others.length > 0) this.waiting.set(item.client, others);
    else this.waiting.delete(item.client);
  }
}
