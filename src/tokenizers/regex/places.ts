/**
 * A regular expression as places, each of which takes one character, and ways from place to place. Glushkov 1961; Berry
 * and Sethi 1986.
 */
import { withinLimit } from "../../base/index.ts";
import type { Regex } from "./syntax.ts";

/** Places, and in how many ways each is reached; two stand for more. */
type Ways = ReadonlyMap<number, number>;
const MANY = 2;

export interface Place {
  /** The set of its characters. */
  source: string;
  /** Places that may come next. */
  next: Map<number, number>;
}

export interface Places {
  places: readonly Place[];
  /** Places behind which all has matched, whatever follows. */
  ends: ReadonlySet<number>;
  /**
   * Expressions to be looked at by themselves: looks ahead and behind, and what is repeated a fixed number of times.
   */
  inner: readonly Regex[];
}

/** A part of an expression: where it begins and ends, and in how many ways it matches nothing. */
interface Part {
  first: Ways;
  last: Ways;
  /** Of the last ones those behind which nothing is asked any more. */
  ends: Ways;
  empty: number;
  /** Whether nothing is asked where it matches nothing. */
  isFree: boolean;
}

const none: Ways = new Map();
const nothing: Part = { first: none, last: none, ends: none, empty: 1, isFree: true };
/** So many repetitions, of a fixed number of them, are written out; more are taken for any number. */
const WRITTEN_OUT = 16;

const withoutEnd = (body: Regex): Regex => ({
  type: "repeat",
  body,
  min: 1,
  max: Number.POSITIVE_INFINITY,
  mode: "greedy",
});
const anything: Regex = withoutEnd({ type: "characters", source: "[\\s\\S]" });
/** Something that may fail behind a part: its ways are no longer harmless. */
const failure: Regex = { type: "place", source: "(?!)" };

/**
 * @param seen parts whose inner expressions are looked at already
 * @throws DataError for an expression of more places than a limit
 */
export function placesOf(regex: Regex, where: string, seen: Set<Regex>): Places {
  const builder = new Builder(where, seen);
  const { ends } = builder.part(regex, false);
  return { places: builder.places, ends: new Set(ends.keys()), inner: builder.inner };
}

function union(a: Ways, b: Ways, factor = 1): Ways {
  if (factor === 0 || b.size === 0) return a;
  const sum = new Map(a);
  for (const [place, ways] of b) sum.set(place, Math.min(MANY, (sum.get(place) ?? 0) + ways * factor));
  return sum;
}

class Builder {
  readonly places: Place[] = [];
  readonly inner: Regex[] = [];
  private readonly where: string;
  private readonly seen: Set<Regex>;

  constructor(where: string, seen: Set<Regex>) {
    this.where = where;
    this.seen = seen;
  }

  private lookAt(part: Regex, inner: Regex): void {
    if (!this.seen.has(part)) this.inner.push(inner);
    this.seen.add(part);
  }

  part(regex: Regex, isRepeated: boolean): Part {
    switch (regex.type) {
      case "characters": {
        const place = this.places.push({ source: regex.source, next: new Map() }) - 1;
        withinLimit("regexPlaces", place, this.where, "places of a regular expression");
        const one: Ways = new Map([[place, 1]]);
        return { first: one, last: one, ends: one, empty: 0, isFree: false };
      }
      case "place":
        return { ...nothing, isFree: false };
      case "look":
        // inside of a loop it is looked for again at each character: as if anything stood in front
        this.lookAt(regex, isRepeated ? { type: "sequence", parts: [anything, regex.body, failure] } : regex.body);
        return { ...nothing, isFree: false };
      case "sequence":
        return regex.parts.reduce<Part>((before, part) => this.joined(before, this.part(part, isRepeated)), nothing);
      case "alternatives":
        return regex.options
          .map((option) => this.part(option, isRepeated))
          .reduce((a, b) => ({
            first: union(a.first, b.first),
            last: union(a.last, b.last),
            ends: union(a.ends, b.ends),
            empty: Math.min(MANY, a.empty + b.empty),
            isFree: a.isFree || b.isFree,
          }));
      case "atomic":
        return this.part(regex.body, isRepeated);
      case "repeat":
        return this.repeated(regex, isRepeated);
    }
  }

  private joined(a: Part, b: Part): Part {
    this.connect(a.last, b.first);
    return {
      first: union(a.first, b.first, a.empty),
      last: union(b.last, a.last, b.empty),
      ends: b.isFree ? union(b.ends, a.ends) : b.ends,
      empty: Math.min(MANY, a.empty * b.empty),
      isFree: a.isFree && b.isFree,
    };
  }

  private connect(from: Ways, to: Ways): void {
    for (const [place, out] of from) {
      const { next } = this.places[place];
      for (const [target, into] of to) next.set(target, Math.min(MANY, (next.get(target) ?? 0) + out * into));
    }
  }

  private repeated(regex: Regex & { type: "repeat" }, isRepeated: boolean): Part {
    const { body, min, max } = regex;
    if (max === 0) return nothing;
    if (min === max && max <= WRITTEN_OUT) {
      if (max > 1) this.lookAt(regex, { type: "sequence", parts: [withoutEnd(body), failure] });
      return Array.from({ length: max }, () => this.part(body, isRepeated)).reduce((a, b) => this.joined(a, b));
    }
    const part = this.part(body, isRepeated || max > 1);
    if (max > 1) this.connect(part.last, part.first);
    return {
      ...part,
      ends: min > 1 ? none : part.ends, // that enough of them have matched is not known here
      empty: min === 0 ? Math.min(MANY, part.empty + 1) : part.empty,
      isFree: min === 0 || (min === 1 && part.isFree),
    };
  }
}
