import { determine } from "./determine.ts";
import { type Automaton, Dfa } from "./dfa.ts";
import { minimized, trimmed } from "./minimal.ts";
import { Nfa } from "./nfa.ts";

/*
 * A rule is left-recursive when a text of it may begin with a text of the rule itself: sum = sum "+" term | term. A
 * pushdown automaton that calls rules would call such a one without end. The cure is that of left-corner parsing, on
 * automata: a text of the rule begins with one of some rule of the cycle that does not begin with another of the cycle;
 * once that is over, it was the beginning of whatever rule of the cycle may begin so. Rosenkrantz and Lewis 1970,
 * Deterministic left corner parsing.
 */

/** The rules that a text of each may begin with. No automaton has the empty text. */
export const leftCalls = (automaton: Automaton): number[] => automaton.calls(automaton.start).map(({ rule }) => rule);

/** Rules in an order in which none begins with one before it; those that begin with one another are together. */
export function leftOrder(leftCallsOf: readonly (readonly number[])[]): number[][] {
  // Tarjan 1972, Depth-first search and linear graph algorithms; without recursion
  const count = leftCallsOf.length;
  const index = new Int32Array(count).fill(-1);
  const low = new Int32Array(count);
  const isOpen = new Uint8Array(count);
  const open: number[] = [];
  const components: number[][] = [];
  let next = 0;
  const enter = (rule: number) => {
    index[rule] = low[rule] = next++;
    isOpen[rule] = 1;
    open.push(rule);
    return { rule, at: 0 };
  };
  const close = (rule: number) => {
    const component = open.splice(open.lastIndexOf(rule));
    for (const member of component) isOpen[member] = 0;
    components.push(component);
  };
  for (let root = 0; root < count; root++) {
    if (index[root] >= 0) continue;
    const path = [enter(root)];
    while (path.length > 0) {
      const top = path[path.length - 1];
      const callee = leftCallsOf[top.rule][top.at++];
      if (callee === undefined) {
        path.pop();
        if (low[top.rule] === index[top.rule]) close(top.rule);
        const above = path.at(-1);
        if (above) low[above.rule] = Math.min(low[above.rule], low[top.rule]);
      } else if (index[callee] < 0) path.push(enter(callee));
      else if (isOpen[callee]) low[top.rule] = Math.min(low[top.rule], index[callee]);
    }
  }
  return components.reverse();
}

/** Automata of the same texts in which no rule begins with itself, through however many others. */
export function withoutLeftRecursion<A extends Automaton>(rules: readonly (A | Dfa)[], where: string): (A | Dfa)[] {
  const result = [...rules];
  const corners = rules.map(leftCalls);
  for (const cycle of leftOrder(corners)) {
    if (cycle.length === 1 && !corners[cycle[0]].includes(cycle[0])) continue;
    const members = new Map(cycle.map((rule) => [rule, rules[rule]] as const).filter(isTable));
    for (const goal of cycle) result[goal] = fromCorners(members, goal, where);
  }
  return result;
}

const isTable = (entry: readonly [number, Automaton]): entry is readonly [number, Dfa] => entry[1] instanceof Dfa;

function fromCorners(cycle: ReadonlyMap<number, Dfa>, goal: number, where: string): Dfa {
  const automatonOf = () => {
    throw new RangeError("automata have no sets of characters");
  };
  const nfa = new Nfa({ where, automatonOf });
  const [start, end] = [nfa.place(), nfa.place()];
  const apart = nfa.place(); // leads on to nothing: states are entered by what follows
  const places = new Map([...cycle].map(([rule, dfa]) => [rule, nfa.embed(dfa, apart)]));
  const finals = (rule: number) => places.get(rule)!.filter((_, state) => cycle.get(rule)!.isFinal(state));
  for (const [rule, dfa] of cycle) {
    const states = places.get(rule)!;
    const { bytes } = nfa.places[states[dfa.start]];
    for (let i = 0; i < bytes.length; i += 3) nfa.bytes(start, bytes[i], bytes[i + 1], bytes[i + 2]);
    for (const { rule: callee, next } of dfa.calls(dfa.start)) {
      if (!cycle.has(callee)) nfa.call(start, callee, states[next]);
      else for (const place of finals(callee)) nfa.free(place, states[next]);
    }
  }
  for (const place of finals(goal)) nfa.free(place, end);
  return minimized(trimmed(determine(nfa, start, end, where)));
}
