/**
 * Matches regular expressions in time linear in the text, wherever a match is looked for: from the end of a text to its
 * start it notes for each place, and each step of the expression, where the match ends that goes on from there. An
 * engine that goes back instead takes time that grows with the square for "\s+$", since it goes through a run of spaces
 * for each of them. What is preferred (greedy, lazy, the earlier alternative) is as in such an engine: a step takes its
 * first way that leads to a match. Packrat parsers do the same from the other side: Ford 2002, "Packrat parsing",
 * section 3.
 */
import { withinLimit } from "../../base/index.ts";
import type { Regex } from "./syntax.ts";

/**
 * For each place of a text where the match ends that begins there; -1 where there is none. Characters are code points.
 */
export type Matcher = (characters: readonly string[]) => Int32Array;

/** A step, and those that come next: at the next place behind a character, else at the same. */
type Step =
  | { kind: "end" | "fail" }
  | { kind: "character"; set: number; next: number }
  | { kind: "choice"; first: number; second: number }
  | { kind: "place"; test: RegExp; next: number }
  | { kind: "look"; inner: number; isWanted: boolean; next: number }
  /** What gives nothing back: on from where it ends, or from `empty` where it ends at once. */
  | { kind: "atomic"; inner: number; next: number; empty: number };

interface Program {
  readonly steps: readonly Step[];
  readonly start: number;
  /** Steps that may be taken, each behind those that it needs at the same place. */
  readonly order: readonly number[];
  readonly isBackward: boolean;
}

/**
 * @param ignoresCase whether all of it is compared in any case, beside what its own parts say
 * @throws DataError for an expression of more steps than a limit
 */
export function matcherOf(regex: Regex, where: string, ignoresCase = false): Matcher {
  const compiler = new Compiler(where);
  const whole = compiler.program(regex, false);
  const tests = [...compiler.sets.keys()].map((source) => new RegExp(`^(?:${source})$`, ignoresCase ? "iv" : "v"));
  const known = new Map<string, Uint8Array>(); // the sets that a character is in: texts have few characters
  const setsOf = (character: string): Uint8Array => {
    let sets = known.get(character);
    if (!sets) {
      sets = Uint8Array.from(tests, (test) => Number(test.test(character)));
      known.set(character, sets);
    }
    return sets;
  };
  return (characters) => {
    const text = new Text(characters, characters.map(setsOf));
    const inner: Int32Array[] = [];
    for (const program of compiler.inner) inner.push(run(program, text, inner));
    return run(whole, text, inner);
  };
}

class Text {
  /** For each character whether it is in each set. */
  readonly sets: readonly Uint8Array[];
  private readonly characters: readonly string[];
  private units: Int32Array | undefined;
  private joined = "";

  constructor(characters: readonly string[], sets: readonly Uint8Array[]) {
    this.characters = characters;
    this.sets = sets;
  }

  /** Whether a sticky expression matches at a place. */
  isPlace(test: RegExp, place: number): boolean {
    if (!this.units) {
      this.joined = this.characters.join("");
      this.units = new Int32Array(this.characters.length + 1);
      for (const [i, character] of this.characters.entries()) this.units[i + 1] = this.units[i] + character.length;
    }
    test.lastIndex = this.units[place];
    return test.test(this.joined);
  }
}

const codes = { end: 0, fail: 1, character: 2, choice: 3, place: 4, look: 5, atomic: 6 } as const;

/** Where a program ends from each place. */
function run({ steps, start, order, isBackward }: Program, text: Text, inner: readonly Int32Array[]): Int32Array {
  const { length } = text.sets;
  const ends = new Int32Array(length + 1);
  let [here, beyond] = [new Int32Array(steps.length), new Int32Array(steps.length)];
  const flat = flatSteps(steps, order);
  /** Behind what gives nothing back, all places count. */
  const kept = new Map(
    steps.flatMap((step) => (step.kind === "atomic" ? [[step.next, new Int32Array(length + 1)]] : [])),
  );
  const known = { text, inner, kept };
  for (let i = 0; i <= length; i++) {
    const place = isBackward ? i : length - i;
    const sets = i === 0 ? noSets : text.sets[isBackward ? place - 1 : place];
    fill(here, beyond, sets, flat, (at) => rarer(steps[at], place, here, known));
    for (const [index, values] of kept) values[place] = here[index];
    ends[place] = here[start];
    [here, beyond] = [beyond, here];
  }
  return ends;
}
const noSets = new Uint8Array(0);

/** Where the steps end from one place, by where they end from the next. */
function fill(
  here: Int32Array,
  beyond: Int32Array,
  sets: Uint8Array,
  { order, code, first, second }: FlatSteps,
  rarerAt: (at: number) => number,
): void {
  for (let n = 0; n < order.length; n++) {
    const at = order[n];
    if (code[at] === codes.character) here[at] = sets[first[at]] === 1 ? beyond[second[at]] : -1;
    else if (code[at] === codes.choice) here[at] = here[first[at]] >= 0 ? here[first[at]] : here[second[at]];
    else here[at] = rarerAt(at);
  }
}

/** Where a step ends that few expressions have. */
function rarer(step: Step, place: number, here: Int32Array, { text, inner, kept }: Known): number {
  switch (step.kind) {
    case "end":
      return place;
    case "place":
      return here[step.next] >= 0 && text.isPlace(step.test, place) ? here[step.next] : -1;
    case "look":
      return inner[step.inner][place] >= 0 === step.isWanted ? here[step.next] : -1;
    case "atomic": {
      const end = inner[step.inner][place];
      return end === place ? here[step.empty] : (kept.get(step.next)?.[end] ?? -1);
    }
    default:
      return -1;
  }
}

interface Known {
  readonly text: Text;
  readonly inner: readonly Int32Array[];
  readonly kept: ReadonlyMap<number, Int32Array>;
}

/**
 * What is looked at for each place of a text: the kind of each step, and the set and next step of characters, or the
 * two ways of choices.
 */
function flatSteps(steps: readonly Step[], order: readonly number[]) {
  const numbers = steps.map((step) =>
    step.kind === "character" ? [step.set, step.next] : step.kind === "choice" ? [step.first, step.second] : [0, 0],
  );
  const [first, second] = [0, 1].map((i) => Int32Array.from(numbers, (pair) => pair[i]));
  return { order: Int32Array.from(order), code: Uint8Array.from(steps, ({ kind }) => codes[kind]), first, second };
}
type FlatSteps = ReturnType<typeof flatSteps>;

/** Turns an expression into steps, from its last part to its first. */
class Compiler {
  /** Sets of characters, by their source. */
  readonly sets = new Map<string, number>();
  /** Programs of looks and of what gives nothing back, the innermost first. */
  readonly inner: Program[] = [];
  private readonly where: string;
  private steps: Step[] = [];
  private isBackward = false;
  private total = 0;

  constructor(where: string) {
    this.where = where;
  }

  program(regex: Regex, isBackward: boolean): Program {
    const outer = [this.steps, this.isBackward] as const;
    const steps: Step[] = [];
    [this.steps, this.isBackward] = [steps, isBackward];
    const end = this.add({ kind: "end" });
    const start = this.part(regex, { taken: end, empty: end });
    [this.steps, this.isBackward] = outer;
    return { steps, start, order: orderOf(steps, start), isBackward };
  }

  private add(step: Step): number {
    withinLimit("regexSteps", ++this.total, this.where, "steps of a regular expression");
    return this.steps.push(step) - 1;
  }

  private inside(regex: Regex, isBackward: boolean): number {
    return this.inner.push(this.program(regex, isBackward)) - 1;
  }

  /** The step that a part begins with. */
  private part(regex: Regex, next: Next): number {
    switch (regex.type) {
      case "characters": {
        const set = this.sets.get(regex.source) ?? this.sets.size;
        this.sets.set(regex.source, set);
        return this.add({ kind: "character", set, next: next.taken });
      }
      case "place":
        return this.add({ kind: "place", test: new RegExp(regex.source, "vy"), next: next.empty });
      case "look": {
        const inner = this.inside(regex.body, regex.opening.startsWith("(?<"));
        return this.add({ kind: "look", inner, isWanted: regex.opening.endsWith("="), next: next.empty });
      }
      case "sequence": {
        const parts = this.isBackward ? regex.parts : regex.parts.toReversed();
        return parts.reduce((after, part) => this.both(after, (each) => this.part(part, each)), next).empty;
      }
      case "alternatives":
        return regex.options
          .map((option) => this.part(option, next))
          .reduceRight((second, first) => this.add({ kind: "choice", first, second }));
      case "atomic":
        return this.add({
          kind: "atomic",
          inner: this.inside(regex.body, this.isBackward),
          next: next.taken,
          empty: next.empty,
        });
      case "repeat":
        return regex.mode === "possessive"
          ? this.part({ type: "atomic", body: { ...regex, mode: "greedy" } }, next)
          : this.repeated(regex, next);
    }
  }

  /** What begins with a part, where characters were taken before it and where none were. */
  private both(next: Next, begin: (next: Next) => number): Next {
    const taken = begin({ taken: next.taken, empty: next.taken });
    return { taken, empty: next.taken === next.empty ? taken : begin(next) };
  }

  private repeated({ body, min, max, mode }: Regex & { type: "repeat" }, next: Next): number {
    const fail = this.add({ kind: "fail" });
    /** Once more, which must take a character, or on. */
    const more = (again: number, on: number): number => {
      const once = this.part(body, { taken: again, empty: fail });
      return this.add(
        mode === "lazy" ? { kind: "choice", first: on, second: once } : { kind: "choice", first: once, second: on },
      );
    };
    let start = next;
    if (max === Number.POSITIVE_INFINITY) {
      const loop = this.add({ kind: "fail" }); // until what leads to it is known
      this.steps[loop] = this.steps[more(loop, next.taken)];
      start = { taken: loop, empty: next.taken === next.empty ? loop : more(loop, next.empty) };
    } else {
      for (let i = min; i < max; i++) {
        const again = start.taken;
        start = this.both(next, (each) => more(again, each.empty));
      }
    }
    for (let i = 0; i < min; i++) start = this.both(start, (each) => this.part(body, each));
    return start.empty;
  }
}

/**
 * Steps that come next: where a part has taken characters, and where it has not. A loop does not go round for nothing.
 */
interface Next {
  readonly taken: number;
  readonly empty: number;
}

/** Steps in an order in which each comes behind those that it needs at the same place. */
function orderOf(steps: readonly Step[], start: number): number[] {
  const order = new Set<number>();
  const seen = new Set<number>();
  const later = [start];
  const visit = (index: number): void => {
    if (seen.has(index)) return;
    seen.add(index);
    const step = steps[index];
    if (step.kind === "character") later.push(step.next);
    if (step.kind === "choice") for (const next of [step.first, step.second]) visit(next);
    if (step.kind === "place" || step.kind === "look") visit(step.next);
    if (step.kind === "atomic") {
      later.push(step.next);
      visit(step.empty);
    }
    order.add(index);
  };
  for (const index of later) visit(index);
  return [...order];
}
