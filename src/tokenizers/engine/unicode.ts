/** Unicode's normal forms, of which each character knows what it came from. Unicode Standard Annex 15. */
import { remembered } from "./pattern.ts";
import type { Change, Piece } from "./piece.ts";

/** Whether all characters have one byte. */
export const isAscii = (text: string) => {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
};

type Form = "NFC" | "NFD" | "NFKC" | "NFKD";
const apartOf = (form: Form): Form => (form.includes("K") ? "NFKD" : "NFD");
/** What may be one character with those before it: marks, vowels and ends of Korean syllables. */
const isJoining = (character: string, apart: Form) => /^[\p{M}\u1160-\u11ff]/u.test(character.normalize(apart));

/** Brings a piece into a normal form. */
export function unicode(form: Form): (piece: Piece) => Piece {
  return (piece) => {
    if (isAscii(piece.text)) return piece;
    const changes: Change[] = [];
    for (let start = 0, end = 1; start < piece.length; start = end, end++) {
      while (end < piece.length && isJoining(piece.characters[end], apartOf(form))) end++;
      for (const change of normalizedCluster(piece.characters.slice(start, end), form)) changes.push(change);
    }
    return piece.changed(changes);
  };
}

/** A character with its marks: taken apart, put in order, and for composed forms put together again. */
function normalizedCluster(characters: readonly string[], form: Form): Change[] {
  const apart = apartOf(form);
  const parts = characters.flatMap((c) => Array.from(c.normalize(apart), (part, i): Change => [part, i > 0 ? 1 : 0]));
  const waiting = new Map<string, { changes: number[]; taken: number }>();
  for (const [part, change] of parts) {
    const same = waiting.get(part);
    if (same) same.changes.push(change);
    else waiting.set(part, { changes: [change], taken: 0 });
  }
  /** The change of the first of the parts that are this character and were not taken. */
  const take = (character: string): number => {
    const same = waiting.get(character);
    return same?.changes[same.taken++] ?? 0;
  };
  const text = parts.length > LONG ? inOrder(parts.map(([part]) => part)) : characters.join("");
  return Array.from(text.normalize(form), (character): Change => {
    const changes = Array.from(form.endsWith("C") ? character.normalize("NFD") : character, take);
    return [character, changes.reduce((a, b) => a + b, 0) - (changes.length - 1)];
  });
}

/**
 * With more marks than this, they are put in order here: what JavaScript's own takes for that grows with the square.
 */
const LONG = 32;
/** Marks of a low and of a high class of combination. */
const [LOW, HIGH] = ["\u0334", "\u0301"];
const isSwapped = (a: string, b: string) => (a + b).normalize("NFD") !== a + b;
/** Whether marks go past a character: whether it has a class, and is no letter. */
const hasClass = remembered((character) => isSwapped(character, LOW) || isSwapped(HIGH, character));

/**
 * Characters of a decomposed text in canonical order: runs of marks by their classes, those of one class as they stand.
 */
function inOrder(parts: readonly string[]): string {
  const swaps = new Map<string, boolean>();
  const isBehind = (a: string, b: string): boolean => {
    let known = swaps.get(a + b);
    if (known === undefined) {
      known = isSwapped(a, b);
      swaps.set(a + b, known);
    }
    return known;
  };
  const out: string[] = [];
  for (let start = 0, end = 0; start < parts.length; start = end) {
    end = start + 1;
    while (hasClass(parts[start]) && end < parts.length && hasClass(parts[end])) end++;
    for (const part of parts.slice(start, end).sort((a, b) => Number(isBehind(a, b)) - Number(isBehind(b, a))))
      out.push(part);
  }
  return out.join("");
}
