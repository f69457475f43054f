import type { AddedToken } from "../json-parts.ts";
import type { Normalizer } from "./normalizers.ts";
import { isWhite, WORD_CHARACTERS } from "./pattern.ts";
import { Piece } from "./piece.ts";

/** A part of a text, and the added token that it is, if it is one. */
export interface Part {
  piece: Piece;
  id?: number;
}

type Entry = AddedToken & { text: string };

const beginsWithWord = new RegExp(`^[${WORD_CHARACTERS}]`, "u");
const endsWithWord = new RegExp(`[${WORD_CHARACTERS}]$`, "u");

/** Tokens beside the model's vocabulary, which are found in a text before anything else is done with it. */
export class AddedTokens {
  readonly byText = new Map<string, number>();
  /** What each is shown as: those that are looked for in a normalized text, as that has them. */
  readonly shown = new Map<number, string>();
  /** Texts of special tokens. */
  readonly special = new Set<string>();
  private readonly plain: Finder;
  private readonly normalized: Finder;
  private readonly normalize: Normalizer;

  /** Ids are given in the order of the list, behind the vocabulary; what that has keeps its own. */
  constructor(tokens: readonly AddedToken[], vocabulary: ReadonlyMap<string, number>, normalize: Normalizer) {
    const entries: Entry[] = [];
    let next = vocabulary.size;
    for (const token of tokens) {
      if (token.content === "" || this.byText.has(token.content)) continue;
      const id = vocabulary.get(token.content) ?? next;
      if (id >= next) next = id + 1;
      this.byText.set(token.content, id);
      const text = token.normalized ? normalize(Piece.of(token.content)).text : token.content;
      this.shown.set(id, text);
      if (token.special) this.special.add(token.content);
      entries.push({ ...token, id, text });
    }
    this.plain = new Finder(entries.filter(({ normalized }) => !normalized));
    this.normalized = new Finder(entries.filter(({ normalized }) => normalized));
    this.normalize = normalize;
  }

  /** The added tokens of a text, and the rest, normalized. */
  split(text: string): Part[] {
    return this.plain
      .split(Piece.of(text))
      .flatMap((part) => (part.id === undefined ? this.normalized.split(this.normalize(part.piece)) : [part]));
  }
}

/** Finds texts in a piece: the leftmost, and of those that begin there the longest. */
class Finder {
  private readonly byFirst = new Map<string, { entry: Entry; characters: string[] }[]>();

  constructor(entries: readonly Entry[]) {
    for (const entry of entries) {
      const characters = Array.from(entry.text);
      if (characters.length === 0) continue;
      const list = this.byFirst.get(characters[0]) ?? [];
      list.push({ entry, characters });
      this.byFirst.set(characters[0], list);
    }
    for (const list of this.byFirst.values()) list.sort((a, b) => b.characters.length - a.characters.length);
  }

  split(piece: Piece): Part[] {
    if (this.byFirst.size === 0) return piece.length > 0 ? [{ piece }] : [];
    const parts: Part[] = [];
    const { characters } = piece;
    const isSpaceAt = (i: number) => i >= 0 && i < characters.length && isWhite(characters[i]);
    let done = 0;
    for (let at = 0; at < characters.length; ) {
      const match = this.byFirst
        .get(characters[at])
        ?.find((candidate) => candidate.characters.every((character, i) => characters[at + i] === character));
      if (!match) {
        at++;
        continue;
      }
      let [start, end] = [at, at + match.characters.length];
      at = end;
      const { single_word: isWord, lstrip, rstrip, id } = match.entry;
      if (isWord && (endsWithWord.test(characters[start - 1] ?? "") || beginsWithWord.test(characters[end] ?? "")))
        continue;
      while (lstrip && start > done && isSpaceAt(start - 1)) start--;
      while (rstrip && isSpaceAt(end)) end++;
      if (done < start) parts.push({ piece: piece.slice(done, start) });
      parts.push({ piece: piece.slice(start, end), id });
      done = end;
    }
    if (done < characters.length) parts.push({ piece: piece.slice(done, characters.length) });
    return parts;
  }
}
