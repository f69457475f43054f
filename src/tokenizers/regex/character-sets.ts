/** Sets of characters as bits, so that what they have in common is one operation. */

/** The last code point of a letter, a mark or a sign; planes of no, of private and of special use follow. */
const LAST_SIGN = 0x323af;
const OTHERS = [0x3ffff, 0xe0001, 0xe0020, 0xe0100, 0xf0000, 0x10ffff];
let everything: string | undefined;

/** A text that has every character that sets tell apart, in order. */
function allCharacters(): string {
  if (everything === undefined) {
    const codes = Array.from({ length: LAST_SIGN + 1 }, (_, code) => code).filter(
      (code) => code < 0xd800 || code > 0xdfff,
    );
    everything = [...codes, ...OTHERS].map((code) => String.fromCodePoint(code)).join("");
  }
  return everything;
}

/**
 * Where runs of a set's characters begin and end in `allCharacters`; all of it, of a set that JavaScript has no name
 * for.
 */
function runsOf(source: string): number[] {
  const text = allCharacters();
  try {
    return Array.from(text.matchAll(new RegExp(`[${source}]+`, "gv")), ({ 0: run, index }) => [
      index,
      index + run.length,
    ]).flat();
  } catch {
    return [0, text.length];
  }
}

/** For each set a number, two of which have a bit in common where the sets have a character in common. */
export function characterBits(sources: Iterable<string>): ReadonlyMap<string, bigint> {
  const runs = [...new Set(sources)].map((source) => [source, runsOf(source)] as const);
  const edges = runs
    .flatMap(([, bounds], set) => bounds.map((at, i) => ({ at, set, isStart: i % 2 === 0 })))
    .sort((a, b) => a.at - b.at);
  const inside = new Set<number>();
  const seen = new Map<string, number[]>();
  for (const [i, { at, set, isStart }] of edges.entries()) {
    if (isStart) inside.add(set);
    else inside.delete(set);
    const isLast = edges[i + 1]?.at !== at;
    if (isLast && inside.size > 0) seen.set([...inside].sort((a, b) => a - b).join(), [...inside]);
  }
  const bits = runs.map(() => 0n);
  for (const [bit, members] of [...seen.values()].entries()) for (const set of members) bits[set] |= 1n << BigInt(bit);
  return new Map(runs.map(([source], set) => [source, bits[set]]));
}
