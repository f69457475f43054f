import type { CodePoints } from "./code-points.ts";
import type { Dfa } from "./dfa.ts";
import type { Expression } from "./expression.ts";
import { requireWithin } from "./limits.ts";
import { utf8Sequences } from "./utf8.ts";

/** A place of a nondeterministic automaton and what leads on. Thompson 1968, Regular expression search algorithm. */
export interface Place {
  /** Places that are reached without a byte. */
  free: readonly number[];
  /** First byte, last byte, next place, and so on. */
  bytes: readonly number[];
  /** Rule, next place, and so on. */
  calls: readonly number[];
  /** Places that are reached without a byte at the beginning of the text, or at its end. */
  atStart: readonly number[];
  atEnd: readonly number[];
}

/** Most places have one way on: lists are made when there is something to put in. */
const none: readonly number[] = [];

/** What building needs of the rules. */
export interface NfaOptions {
  /** What errors name. */
  where: string;
  /** Whether a rule has the empty text. @default none does */
  isNullable?: (rule: number) => boolean;
  /** An automaton for a set of characters beyond ASCII, which is made once. */
  automatonOf: (set: CodePoints) => Dfa;
}

/** Builds the places of an expression. */
export class Nfa {
  readonly places: Place[] = [];
  private readonly options: NfaOptions;

  constructor(options: NfaOptions) {
    this.options = options;
  }

  place(): number {
    requireWithin("places", this.places.length + 1, this.options.where, "places of one rule");
    this.places.push({ free: none, bytes: none, calls: none, atStart: none, atEnd: none });
    return this.places.length - 1;
  }

  private append(from: number, list: keyof Place, ...values: number[]): void {
    const place = this.places[from];
    if (place[list] === none) place[list] = values;
    else (place[list] as number[]).push(...values);
  }

  free(from: number, to: number): void {
    this.append(from, "free", to);
  }

  bytes(from: number, first: number, last: number, to: number): void {
    this.append(from, "bytes", first, last, to);
  }

  /** What rules describe; those that may be empty may also be passed by. */
  call(from: number, rule: number, to: number): void {
    this.append(from, "calls", rule, to);
    if (this.options.isNullable?.(rule)) this.free(from, to);
  }

  /** Adds the paths of an expression between two places. */
  add(expression: Expression, from: number, to: number): void {
    switch (expression.type) {
      case "characters":
        this.addCharacters(expression.set, from, to);
        break;
      case "text":
        this.text(expression.text, from, to);
        break;
      case "sequence":
        this.addSequence(expression.parts, from, to);
        break;
      case "alternatives":
        for (const option of expression.options) this.addApart(option, from, to);
        break;
      case "repeat":
        this.addRepeat(expression, from, to);
        break;
      case "rule":
        this.call(from, expression.rule, to);
        break;
      case "automaton":
        this.embed(expression.dfa, from, to);
        break;
      case "graph":
        this.addGraph(expression, from, to);
        break;
      case "anchor":
        this.append(from, expression.at === "start" ? "atStart" : "atEnd", to);
        break;
    }
  }

  /** Adds an expression with places of its own at both ends, so that nothing can go around in it from outside. */
  private addApart(expression: Expression, from: number, to: number): void {
    const [start, end] = [this.place(), this.place()];
    this.free(from, start);
    this.add(expression, start, end);
    this.free(end, to);
  }

  text(text: string, from: number, to: number): void {
    const bytes = new TextEncoder().encode(text);
    let at = from;
    for (const [i, byte] of bytes.entries()) {
      const next = i === bytes.length - 1 ? to : this.place();
      this.bytes(at, byte, byte, next);
      at = next;
    }
    if (bytes.length === 0) this.free(from, to);
  }

  private addCharacters(set: CodePoints, from: number, to: number): void {
    const isAscii = set.length === 0 || set[set.length - 1] < 0x80;
    if (isAscii) for (let i = 0; i < set.length; i += 2) this.bytes(from, set[i], set[i + 1], to);
    else this.embed(this.options.automatonOf(set), from, to);
  }

  /** Adds the bytes of characters, one path for each sequence of ranges. */
  addUtf8(set: CodePoints, from: number, to: number): void {
    for (const ranges of utf8Sequences(set)) {
      let at = from;
      for (let i = 0; i < ranges.length; i += 2) {
        const next = i + 2 === ranges.length ? to : this.place();
        this.bytes(at, ranges[i], ranges[i + 1], next);
        at = next;
      }
    }
  }

  private addSequence(parts: readonly Expression[], from: number, to: number): void {
    let at = from;
    for (const [i, part] of parts.entries()) {
      const next = i === parts.length - 1 ? to : this.place();
      this.add(part, at, next);
      at = next;
    }
    if (parts.length === 0) this.free(from, to);
  }

  private addRepeat({ body, min, max }: Expression & { type: "repeat" }, from: number, to: number): void {
    let at = from;
    for (let count = 0; count < min; count++) {
      const next = this.place();
      this.add(body, at, next);
      at = next;
    }
    if (max === Number.POSITIVE_INFINITY) {
      const loop = this.place();
      this.free(at, loop);
      this.addApart(body, loop, loop);
      this.free(loop, to);
      return;
    }
    for (let count = min; count < max; count++) {
      this.free(at, to);
      const next = this.place();
      this.add(body, at, next);
      at = next;
    }
    this.free(at, to);
  }

  private addGraph({ arrows, ends }: Expression & { type: "graph" }, from: number, to: number): void {
    const places = new Map<number, number>();
    const placeOf = (node: number) => {
      const place = places.get(node) ?? this.place();
      places.set(node, place);
      return place;
    };
    this.free(from, placeOf(0));
    for (const { from: source, to: target, label } of arrows) this.add(label, placeOf(source), placeOf(target));
    for (const end of ends) this.free(placeOf(end), to);
  }

  /** Adds an automaton that is there already; without `to`, its final states lead nowhere. Gives its states' places. */
  embed(dfa: Dfa, from: number, to?: number): number[] {
    const places = Array.from({ length: dfa.numStates }, () => this.place());
    const edges = dfa.byteEdges();
    this.free(from, places[dfa.start]);
    for (let state = 0; state < dfa.numStates; state++) {
      for (let i = 0; i < edges.length; ) {
        const target = dfa.step(state, edges[i]);
        const first = edges[i];
        while (i < edges.length && dfa.step(state, edges[i]) === target) i++;
        if (target >= 0) this.bytes(places[state], first, (edges[i] ?? 256) - 1, places[target]);
      }
      for (const { rule, next } of dfa.calls(state)) this.call(places[state], rule, places[next]);
      if (to !== undefined && dfa.isFinal(state)) this.free(places[state], to);
    }
    return places;
  }
}
