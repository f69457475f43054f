/** What a tree of tokens is laid out in. */
export type TrieTables = Pick<TokenTrie, "numNodes" | "maxBytes" | "byte" | "depth" | "end" | "token">;

/**
 * Tokens as a tree of their bytes, laid out flat: nodes come in the order of a walk from the first byte to the last, so
 * that one loop goes through a part of the tree, and skips what is below a node at once.
 */
export class TokenTrie implements TrieTables {
  /** How many nodes there are; node 0 is the first byte of the first token. */
  readonly numNodes: number;
  /** Most bytes of a token. */
  readonly maxBytes: number;
  /** The byte of each node. */
  readonly byte: Uint8Array;
  /** How many bytes are before a node's. */
  readonly depth: Uint16Array;
  /** The first node that is not below this one. */
  readonly end: Int32Array;
  /** The token that ends at a node, -1 for none. */
  readonly token: Int32Array;

  constructor({ numNodes, maxBytes, byte, depth, end, token }: TrieTables) {
    this.numNodes = numNodes;
    this.maxBytes = maxBytes;
    this.byte = byte;
    this.depth = depth;
    this.end = end;
    this.token = token;
  }
}

/** The tree of some tokens, by their bytes. */
export function trieOf(bytes: readonly (Uint8Array | undefined)[], ids: readonly number[]): TrieTables {
  const names = new Map(ids.map((id) => [id, String.fromCharCode(...bytes[id]!)]));
  const sorted = [...ids].sort((a, b) => compare(names.get(a)!, names.get(b)!));
  const numBytes = ids.reduce((sum, id) => sum + bytes[id]!.length, 0);
  const byte = new Uint8Array(numBytes);
  const depth = new Uint16Array(numBytes);
  const end = new Int32Array(numBytes);
  const token = new Int32Array(numBytes).fill(-1);
  const path: number[] = []; // nodes of the token before
  let before: Uint8Array = new Uint8Array();
  let numNodes = 0;
  let maxBytes = 0;
  for (const id of sorted) {
    const text = bytes[id]!;
    let shared = 0;
    // of tokens of the same bytes each has a node, side by side
    while (shared < before.length && shared < text.length - 1 && before[shared] === text[shared]) shared++;
    while (path.length > shared) end[path.pop()!] = numNodes;
    for (let i = shared; i < text.length; i++) {
      byte[numNodes] = text[i];
      depth[numNodes] = i;
      path.push(numNodes++);
    }
    const last = path[path.length - 1];
    token[last] = id;
    before = text;
    maxBytes = Math.max(maxBytes, text.length);
  }
  while (path.length > 0) end[path.pop()!] = numNodes;
  return {
    numNodes,
    maxBytes,
    byte: byte.slice(0, numNodes),
    depth: depth.slice(0, numNodes),
    end: end.slice(0, numNodes),
    token: token.slice(0, numNodes),
  };
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
