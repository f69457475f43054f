/** A block that is kept: the tokens of `parent`, and these behind them. */
interface Block {
  /** Where its keys and values are. */
  place: number;
  key: string;
  parent: Block | undefined;
  /** Blocks that go on from it; it stays while there are any. */
  children: number;
  /** In the order of uses. */
  lastUse: number;
}

/**
 * Which beginnings of texts are kept, in blocks of equally many tokens, shared by all texts that begin with them. What
 * was used longest ago goes when there is no place for more. Kwon et al. 2023, arXiv:2309.06180, section 4.3; the order
 * of leaving is that of Zheng et al. 2023, arXiv:2312.07104.
 */
export class PrefixIndex {
  readonly blockTokens: number;
  private readonly blocks = new Map<string, Block>();
  private readonly free: number[] = [];
  /** Places from here on were never taken. */
  private firstNew = 0;
  private readonly capacity: number;
  private uses = 0;

  /**
   * @param capacity blocks that there is a place for
   * @param blockTokens tokens of a block
   */
  constructor(capacity: number, blockTokens: number) {
    this.capacity = capacity;
    this.blockTokens = blockTokens;
  }

  /** Blocks that are kept. */
  get size(): number {
    return this.blocks.size;
  }

  /**
   * Places of the blocks that a text begins with, in order.
   * @param owner whose texts they are: those of others have other keys and values, such as by an adapter. @default 0
   */
  match(ids: readonly number[], owner = 0): number[] {
    return this.chain(ids, owner).map((block) => {
      block.lastUse = ++this.uses;
      return block.place;
    });
  }

  /**
   * Keeps the beginning of a text as far as its blocks are whole: gives where those go that are not kept yet. The
   * caller puts them there before anything else is asked. Fewer where there is no place for all.
   */
  insert(ids: readonly number[], owner = 0): { start: number; place: number }[] {
    const { blockTokens } = this;
    const known = this.chain(ids, owner);
    for (const block of known) block.lastUse = ++this.uses;
    const added: { start: number; place: number }[] = [];
    let parent = known.at(-1);
    for (let start = known.length * blockTokens; start + blockTokens <= ids.length; start += blockTokens) {
      const place = this.takePlace(parent);
      if (place === undefined) break;
      const key = keyOf(parent, owner, ids.slice(start, start + blockTokens));
      const block: Block = { place, key, parent, children: 0, lastUse: ++this.uses };
      this.blocks.set(key, block);
      if (parent) parent.children++;
      added.push({ start, place });
      parent = block;
    }
    return added;
  }

  clear(): void {
    for (const { place } of this.blocks.values()) this.free.push(place);
    this.blocks.clear();
  }

  private chain(ids: readonly number[], owner: number): Block[] {
    const { blockTokens } = this;
    const chain: Block[] = [];
    for (let start = 0; start + blockTokens <= ids.length; start += blockTokens) {
      const block = this.blocks.get(keyOf(chain.at(-1), owner, ids.slice(start, start + blockTokens)));
      if (!block) break;
      chain.push(block);
    }
    return chain;
  }

  /** A free place, or that of the block that nothing goes on from and that was used longest ago. */
  private takePlace(keep: Block | undefined): number | undefined {
    if (this.free.length > 0) return this.free.pop();
    if (this.firstNew < this.capacity) return this.firstNew++;
    let oldest: Block | undefined;
    for (const block of this.blocks.values())
      if (block.children === 0 && block !== keep && block.lastUse < (oldest?.lastUse ?? Number.POSITIVE_INFINITY))
        oldest = block;
    if (!oldest) return undefined;
    this.blocks.delete(oldest.key);
    if (oldest.parent) oldest.parent.children--;
    return oldest.place;
  }

  /** @throws Error when a place is lost or held twice. @internal */
  check(): void {
    const places = [...this.free, ...[...this.blocks.values()].map(({ place }) => place)];
    if (new Set(places).size !== this.firstNew || places.length !== this.firstNew)
      throw new Error(`${places.length} places of ${this.firstNew}`);
  }
}

/** The tokens themselves are the key: no two texts are taken for one another. */
const keyOf = (parent: Block | undefined, owner: number, ids: readonly number[]): string =>
  `${parent ? parent.place : `of ${owner}`}:${ids.join(",")}`;
