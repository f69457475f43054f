import { DataError } from "../../base/index.ts";
import type { Json } from "../json-parts.ts";
import { byteTokens, type Model, type Token } from "./model.ts";

/** What a character without a piece of its own costs more than the least likely piece. */
const UNKNOWN_PENALTY = 10;

interface Node {
  next: Map<string, Node>;
  id: number;
}

/** The likeliest pieces of a word. Kudo 2018, arXiv:1804.10959, section 3.2. */
export function unigramModel(json: Json, where: string): Model {
  const {
    vocab,
    unk_id: unknownId,
    byte_fallback: hasBytes,
  } = json as { vocab: [string, number][]; unk_id?: number | null; byte_fallback?: boolean };
  const vocabulary = new Map(vocab.map(([piece], id) => [piece, id]));
  const root: Node = { next: new Map(), id: -1 };
  let least = Number.POSITIVE_INFINITY;
  for (const [id, [piece, score]] of vocab.entries()) {
    let node = root;
    for (const character of piece) {
      let next = node.next.get(character);
      if (!next) {
        next = { next: new Map(), id: -1 };
        node.next.set(character, next);
      }
      node = next;
    }
    if (node !== root) node.id = id;
    least = Math.min(least, score);
  }
  const unknownScore = least - UNKNOWN_PENALTY;

  /**
   * The best way to each place: where its last piece begins, and its id. Of ways that are as good the first found
   * stays.
   */
  function bestPieces(characters: readonly string[]): Token[] {
    const n = characters.length;
    const scores = new Float64Array(n + 1);
    const starts = new Int32Array(n + 1).fill(-1);
    const ids = new Int32Array(n + 1);
    const offer = (start: number, end: number, id: number, score: number) => {
      if (starts[end] >= 0 && score <= scores[end]) return;
      [scores[end], starts[end], ids[end]] = [score, start, id];
    };
    for (let start = 0; start < n; start++) {
      let node: Node | undefined = root;
      let hasSingle = false;
      for (let end = start; end < n; end++) {
        node = node.next.get(characters[end]);
        if (!node) break;
        if (node.id < 0) continue;
        offer(start, end + 1, node.id, scores[start] + vocab[node.id][1]);
        if (end === start) hasSingle = true;
      }
      if (!hasSingle) offer(start, start + 1, -1, scores[start] + unknownScore);
    }
    const tokens: Token[] = [];
    for (let end = n; end > 0; end = starts[end]) tokens.push({ id: ids[end], start: starts[end], end });
    return tokens.reverse();
  }

  return {
    vocabulary,
    tokens: (characters) => {
      const pieces: Token[] = [];
      for (const token of bestPieces(characters)) {
        const last = pieces.at(-1);
        const isUnknown = token.id < 0 || token.id === unknownId;
        if (last && isUnknown && last.id < 0) last.end = token.end;
        else pieces.push(isUnknown ? { ...token, id: -1 } : token);
      }
      return pieces.flatMap((token) => {
        if (token.id >= 0) return [token];
        const text = characters.slice(token.start, token.end).join("");
        const known = vocabulary.get(text);
        if (known !== undefined) return [{ ...token, id: known }];
        const bytes = hasBytes ? byteTokens(vocabulary, text) : undefined;
        if (bytes) return bytes.map((id) => ({ ...token, id }));
        if (unknownId !== null && unknownId !== undefined) return [{ ...token, id: unknownId, text }];
        throw new DataError({
          where,
          expected: "an unk_id for characters that are in no piece",
          received: "none",
          fix: "use a tokenizer that has one",
        });
      });
    },
  };
}
