/** Regular languages: automata of expressions, and what is in both, in one but not the other, in any. */
import { anyCharacter, type CodePoints } from "./code-points.ts";
import { determine } from "./determine.ts";
import { byteClasses, Dfa } from "./dfa.ts";
import { characters, type Expression, repeat } from "./expression.ts";
import { requireWithin } from "./limits.ts";
import { minimized, trimmed } from "./minimal.ts";
import { Nfa } from "./nfa.ts";

/** Makes automata of expressions, each set of characters once. */
export class Languages {
  private readonly sets = new Map<string, Dfa>();
  private every?: Dfa;
  private numStates = 0;

  /**
   * The smallest automaton of an expression, in which rules are letters.
   * @throws OptionError naming `where`, beyond a limit
   */
  of(expression: Expression, where: string, isNullable?: (rule: number) => boolean): Dfa {
    const nfa = this.nfa(where, isNullable);
    const [start, end] = [nfa.place(), nfa.place()];
    nfa.add(expression, start, end);
    return this.determined(nfa, start, end, where);
  }

  /** An automaton that is to be built. */
  nfa(where: string, isNullable?: (rule: number) => boolean): Nfa {
    return new Nfa({ where, isNullable, automatonOf: (set) => this.ofCharacters(set) });
  }

  /** All texts. */
  get anyText(): Dfa {
    this.every ??= this.of(repeat(characters(anyCharacter), 0), "any text");
    return this.every;
  }

  private ofCharacters(set: CodePoints): Dfa {
    const key = set.join();
    const known = this.sets.get(key);
    if (known) return known;
    const nfa = this.nfa("characters");
    const [start, end] = [nfa.place(), nfa.place()];
    nfa.addUtf8(set, start, end);
    const dfa = this.determined(nfa, start, end, "characters");
    this.sets.set(key, dfa);
    return dfa;
  }

  /** Texts that are not in a language. */
  complement(a: Dfa, where: string): Dfa {
    return this.difference(this.anyText, a, where);
  }

  /** Texts that are in both. */
  intersection(a: Dfa, b: Dfa, where: string): Dfa {
    return this.product(a, b, where, "both");
  }

  /** Texts that are in the first and not in the second. */
  difference(a: Dfa, b: Dfa, where: string): Dfa {
    return this.product(a, b, where, "first");
  }

  private product(a: Dfa, b: Dfa, where: string, what: "both" | "first"): Dfa {
    const width = b.numStates + 1; // the last one is what leads nowhere
    const nowhere = b.numStates;
    return this.explore({
      where,
      edges: [...a.byteEdges(), ...b.byteEdges()],
      start: a.start * width + b.start,
      step: (pair, byte) => {
        const x = a.step(Math.floor(pair / width), byte);
        const y = pair % width === nowhere ? -1 : b.step(pair % width, byte);
        if (x < 0 || (y < 0 && what === "both")) return undefined;
        return x * width + (y < 0 ? nowhere : y);
      },
      isFinal: (pair) => {
        const isInSecond = pair % width !== nowhere && b.isFinal(pair % width);
        return a.isFinal(Math.floor(pair / width)) && isInSecond === (what === "both");
      },
    });
  }

  /** The texts of a language that have so many characters; `max` may be infinite. */
  ofLength(dfa: Dfa, min: number, max: number, where: string): Dfa {
    const most = max === Number.POSITIVE_INFINITY ? min : max; // counts above it are alike
    const width = most + 1;
    return this.explore({
      where,
      edges: [...dfa.byteEdges(), 0x80, 0xc0],
      start: dfa.start * width,
      step: (pair, byte) => {
        const state = dfa.step(Math.floor(pair / width), byte);
        const count = (pair % width) + (isContinuation(byte) ? 0 : 1);
        if (state < 0 || count > max) return undefined;
        return state * width + Math.min(count, most);
      },
      isFinal: (pair) => dfa.isFinal(Math.floor(pair / width)) && pair % width >= min,
    });
  }

  /**
   * The smallest automaton that behaves as said.
   * @throws OptionError when it has more states than the limit
   */
  explore<S extends number | string>(behaviour: Behaviour<S>): Dfa {
    return this.smallest(explored(behaviour), behaviour.where);
  }

  /** The smallest automaton of the paths from a place to another. */
  determined(nfa: Nfa, start: number, end: number, where: string): Dfa {
    return this.smallest(determine(nfa, start, end, where), where);
  }

  /** The smallest automaton of the same texts. What all have cost is limited, since a grammar may ask for many. */
  private smallest(dfa: Dfa, where: string): Dfa {
    this.numStates += dfa.numStates;
    requireWithin("explored", this.numStates, where, "states of automata, those on the way included");
    return minimized(trimmed(dfa));
  }
}

const isContinuation = (byte: number) => byte >= 0x80 && byte < 0xc0;

/** An automaton by what it does. */
export interface Behaviour<S> {
  where: string;
  /** The first bytes of runs of bytes that are alike in all states. */
  edges: Iterable<number>;
  start: S;
  step(state: S, byte: number): S | undefined;
  isFinal(state: S): boolean;
}

/** The automaton that behaves as said, with the states that are reached. */
function explored<S extends number | string>({ where, edges, start, step, isFinal }: Behaviour<S>): Dfa {
  const { classOf, numClasses } = byteClasses(edges);
  const bytes = Array.from({ length: numClasses }, (_, of) => classOf.indexOf(of));
  const numbers = new Map<S, number>([[start, 0]]);
  const next: number[] = [];
  const final: number[] = [];
  for (const state of numbers.keys()) {
    final.push(isFinal(state) ? 1 : 0);
    for (const byte of bytes) {
      const target = step(state, byte);
      if (target !== undefined && !numbers.has(target)) {
        requireWithin("automatonStates", numbers.size + 1, where, "states of one automaton");
        numbers.set(target, numbers.size);
      }
      next.push(target === undefined ? -1 : numbers.get(target)!);
    }
  }
  const parts = { start: 0, classOf, numClasses, next: Int32Array.from(next), final: Uint8Array.from(final) };
  return new Dfa(parts);
}

/** A language without texts. */
export const emptyLanguage = (): Dfa =>
  new Dfa({
    start: 0,
    classOf: new Uint8Array(256),
    numClasses: 1,
    next: Int32Array.of(-1),
    final: Uint8Array.of(0),
  });

/** Whether a language without rules has no text; `dfa` is trimmed. */
export const isEmptyLanguage = (dfa: Dfa): boolean => !dfa.final.includes(1);

/** Whether an automaton has a text. */
export function accepts(dfa: Dfa, text: string): boolean {
  let state = dfa.start;
  for (const byte of new TextEncoder().encode(text)) {
    state = dfa.step(state, byte);
    if (state < 0) return false;
  }
  return dfa.isFinal(state);
}

/** The texts of a language that has at most so many, undefined of one that has more; `dfa` is trimmed. */
export function textsOf(dfa: Dfa, most: number): string[] | undefined {
  const texts: string[] = [];
  let paths: { state: number; bytes: number[] }[] = [{ state: dfa.start, bytes: [] }];
  // a path that is longer than there are states goes around, and so has no end of texts
  for (let length = 0; paths.length > 0; length++) {
    if (length > dfa.numStates || paths.length > most) return undefined;
    for (const { state, bytes } of paths)
      if (dfa.isFinal(state)) texts.push(new TextDecoder().decode(Uint8Array.from(bytes)));
    if (texts.length > most) return undefined;
    paths = paths.flatMap(({ state, bytes }) =>
      Array.from({ length: 256 }, (_, byte) => ({ state: dfa.step(state, byte), bytes: [...bytes, byte] })).filter(
        (path) => path.state >= 0,
      ),
    );
  }
  return texts;
}
