/**
 * Whether a regular expression can be matched in time linear in the text. An engine that goes back, as Oniguruma and
 * JavaScript's do, tries every way through an expression before it gives up. So it needs exponential time where a loop
 * has two ways to match the same text, and time that grows with the square or more where two loops may share a text in
 * many ways: the two kinds of ambiguity of finite automata. Weber and Seidl 1991, "On the degree of ambiguity of finite
 * automata", theorems 4.1 and 4.2; Weideman et al. 2016, arXiv:1506.05667, for engines.
 *
 * Ways are harmless from a place on behind which the whole expression has matched: there nothing is given up. Looks,
 * anchors and possessive quantifiers only take ways away; they are taken for nothing, which may find an ambiguity that
 * is not there, and never misses one.
 */
import { DataError, limits, overLimit, withinLimit } from "../../base/index.ts";
import { characterBits } from "./character-sets.ts";
import { type Places, placesOf } from "./places.ts";
import { parseRegex, type Regex } from "./syntax.ts";

/** @throws DataError for an expression that may take longer than linear time, and for one that is not understood */
export function requireLinear(source: string, where: string): void {
  const regex = parseRegex(source, where);
  withinLimit("regexWays", waysThrough(regex), where, "ways through a regular expression");
  if (!hasLoop(regex)) return;
  const seen = new Set<Regex>();
  const waiting = [regex];
  for (const part of waiting) {
    const places = placesOf(part, where, seen);
    waiting.push(...places.inner);
    // few expressions need their sets compared: for most, there is no ambiguity even if all characters were one
    if (!new Search(places, () => 1n, where).ambiguity()) continue;
    const bits = characterBits(places.places.map(({ source }) => source));
    const ambiguity = new Search(places, (set) => bits.get(set) as bigint, where).ambiguity();
    if (ambiguity) {
      throw new DataError({
        where,
        expected: "a regular expression that takes time linear in the text",
        received: `${JSON.stringify(source.slice(0, 80))}, where ${ambiguity}`,
        fix: "use a tokenizer that you trust, or rewrite the expression so that each text matches it in one way",
      });
    }
  }
}

/** In how many ways an expression may be gone through, each loop once. */
function waysThrough(regex: Regex): number {
  switch (regex.type) {
    case "characters":
    case "place":
      return 1;
    case "sequence":
      return regex.parts.reduce((ways, part) => ways * waysThrough(part), 1);
    case "alternatives":
      return regex.options.reduce((ways, option) => ways + waysThrough(option), 0);
    case "look":
    case "atomic":
      return waysThrough(regex.body);
    case "repeat":
      return (
        (regex.min === regex.max ? waysThrough(regex.body) ** Math.max(1, regex.max) : waysThrough(regex.body)) +
        (regex.min === 0 ? 1 : 0)
      );
  }
}

/** Whether an expression repeats anything: without that, what it does at one place is bounded by itself. */
export function hasLoop(regex: Regex): boolean {
  if (regex.type === "repeat") return regex.max > 1 || hasLoop(regex.body);
  if (regex.type === "sequence") return regex.parts.some(hasLoop);
  if (regex.type === "alternatives") return regex.options.some(hasLoop);
  return (regex.type === "look" || regex.type === "atomic") && hasLoop(regex.body);
}

class Search {
  private readonly bits: readonly bigint[];
  private readonly next: readonly (readonly [place: number, ways: number])[][];
  private readonly reach: readonly ReadonlySet<number>[];
  /** The loop that each place is in; -1 for none. */
  private readonly loopOf: Int32Array;
  private readonly loops: readonly number[][];
  private readonly ends: ReadonlySet<number>;
  private readonly where: string;
  private work = 0;

  constructor({ places, ends }: Places, bitsOf: (set: string) => bigint, where: string) {
    this.bits = places.map(({ source }) => bitsOf(source));
    this.next = places.map(({ next }) => [...next]);
    this.ends = ends;
    this.where = where;
    this.reach = reachable(this.next);
    this.loops = loopsOf(this.reach);
    this.loopOf = new Int32Array(places.length).fill(-1);
    for (const [loop, members] of this.loops.entries()) for (const place of members) this.loopOf[place] = loop;
  }

  /** The ambiguity that is there, in words. */
  ambiguity(): string | undefined {
    const risky = this.loops.flatMap((members, loop) => (members.every((place) => this.ends.has(place)) ? [] : [loop]));
    if (risky.some((loop) => this.isExponential(loop))) return "a loop has several ways to match the same characters";
    for (const last of risky) {
      const before = this.loopsBefore(last);
      if (before.some((first) => this.isPolynomial(first, last))) return "two loops after each other share characters";
    }
    return undefined;
  }

  private count(): void {
    if (++this.work > limits.regexPlaces ** 2)
      throw overLimit(
        "regexPlaces",
        this.where,
        "places of a regular expression, or fewer with fewer ways between them",
        "more",
      );
  }

  private nextInLoop(place: number, loop: number): (readonly [number, number])[] {
    return this.next[place].filter(([target]) => this.loopOf[target] === loop);
  }

  /**
   * Whether two different ways lead round the loop over the same characters: they part at some place, and meet again at
   * one.
   */
  private isExponential(loop: number): boolean {
    const pairs = new PairSet();
    const step = (left: number, right: number): boolean => {
      for (const [a, ways] of this.nextInLoop(left, loop)) {
        for (const [b] of this.nextInLoop(right, loop)) {
          this.count();
          if ((this.bits[a] & this.bits[b]) === 0n) continue;
          if (a === b && (left !== right || ways > 1)) return true;
          if (a !== b) pairs.add([a, b]);
        }
      }
      return false;
    };
    if (this.loops[loop].some((place) => step(place, place))) return true;
    for (const [a, b] of pairs.each()) if (step(a, b)) return true;
    return false;
  }

  /** Loops from which there is a way to a loop. */
  private loopsBefore(last: number): number[] {
    const [target] = this.loops[last];
    return this.loops.flatMap((members, loop) => (loop !== last && this.reach[members[0]].has(target) ? [loop] : []));
  }

  /**
   * Whether a text leads round the first loop from a place p, from p to a place q of the last loop, and round that from
   * q: then the border between the two may lie anywhere in repetitions of that text.
   */
  private isPolynomial(first: number, last: number): boolean {
    const share = this.loops[first].some((a) => this.loops[last].some((b) => (this.bits[a] & this.bits[b]) !== 0n));
    if (!share) return false;
    return this.loops[first].some((p) => this.loops[last].some((q) => this.hasCommonText(p, q, first, last)));
  }

  private hasCommonText(p: number, q: number, first: number, last: number): boolean {
    const triples = new PairSet();
    triples.add([p, p, q]);
    for (const [a, b, c] of triples.each()) {
      for (const [x] of this.nextInLoop(a, first)) {
        for (const [z] of this.nextInLoop(c, last)) {
          const both = this.bits[x] & this.bits[z];
          if (both === 0n) continue;
          for (const [y] of this.next[b]) {
            this.count();
            if ((both & this.bits[y]) === 0n) continue;
            if (x === p && y === q && z === q) return true;
            triples.add([x, y, z]);
          }
        }
      }
    }
    return false;
  }
}

/** Tuples of places, each once; those added while going through them come too. */
class PairSet {
  private readonly known = new Map<string, readonly number[]>();
  add(places: readonly number[]): void {
    const key = places.join();
    if (!this.known.has(key)) this.known.set(key, places);
  }
  each(): Iterable<readonly number[]> {
    return this.known.values();
  }
}

/** For each place those that some way leads to, by one step or more. */
function reachable(
  next: readonly (readonly (readonly [place: number, ways: number])[])[],
): readonly ReadonlySet<number>[] {
  return next.map((steps) => {
    const places = new Set(steps.map(([target]) => target));
    for (const place of places) for (const [target] of next[place]) places.add(target);
    return places;
  });
}

/** Sets of places with a way from each to each, and back to itself. */
function loopsOf(reach: readonly ReadonlySet<number>[]): number[][] {
  const seen = new Set<number>();
  const loops: number[][] = [];
  for (const [place, targets] of reach.entries()) {
    if (seen.has(place) || !targets.has(place)) continue;
    const members = [...targets].filter((target) => reach[target].has(place));
    for (const member of members) seen.add(member);
    loops.push(members);
  }
  return loops;
}
