/** The four parts every Kindling error is made of. */
export interface ErrorParts {
  /** The operation, file or option where the problem was noticed. */
  where: string;
  expected: string;
  received: string;
  /** What the reader can do about it. */
  fix: string;
  cause?: unknown;
}

/** What an error says: its parts may be sentences of others, with full stops of their own. */
export function errorMessage({ where, expected, received, fix }: Omit<ErrorParts, "cause">): string {
  const ended = (text: string) => (/[.?!…]$/.test(text) ? text : `${text}.`);
  return `${where}: expected ${expected}; received ${ended(received)} Fix: ${ended(fix)}`;
}

/**
 * Base of all errors thrown on purpose by Kindling. The parts are kept as fields, so that a server or a CLI can map
 * them without reading the message.
 */
export class KindlingError extends Error {
  where: string;
  readonly expected: string;
  readonly received: string;
  readonly fix: string;
  private isLocated = false;

  constructor({ where, expected, received, fix, cause }: ErrorParts) {
    super(errorMessage({ where, expected, received, fix }), cause === undefined ? {} : { cause });
    this.name = new.target.name;
    this.where = where;
    this.expected = expected;
    this.received = received;
    this.fix = fix;
  }

  /** Adds the part of a model in which it happened, such as "h.17.attn". The first, innermost part stays. */
  locate(scope: string): void {
    if (this.isLocated || scope === "") return;
    this.isLocated = true;
    const before = this.where;
    this.where = `${before} in ${scope}`;
    const message = this.where + this.message.slice(before.length);
    this.stack = this.stack?.replace(this.message, () => message);
    this.message = message;
  }
}

/** Shapes do not fit together. */
export class ShapeError extends KindlingError {}
/** An operation does not accept this dtype. */
export class DTypeError extends KindlingError {}
/**
 * A graph is malformed, or something was asked of it that it cannot give (for example the gradient of an unrelated
 * tensor).
 */
export class GraphError extends KindlingError {}
/** An option or a configuration value is unknown or out of range. */
export class OptionError extends KindlingError {}
/** A file or a data set is missing, empty, truncated or not what it claims to be. */
export class DataError extends KindlingError {}
/** The runtime that executes graphs is missing or failed. */
export class RuntimeError extends KindlingError {}

/** Levenshtein distance; the number of single-character edits between two words. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(previous[j] + 1, current[j - 1] + 1, substitution));
    }
    previous = current;
  }
  return previous[b.length];
}

/** Names that an error lists; of more it lists as many, and says how many others there are. */
const MOST_LISTED = 8;
/** Letters of a word by which names are ranked. */
const MOST_LETTERS = 64;

/** Names for an error: all of a few, of many those nearest to `word`. */
export function listedNames(word: string, names: readonly string[]): string {
  if (names.length <= MOST_LISTED) return names.join(", ");
  const start = word.toLowerCase().slice(0, MOST_LETTERS);
  const ranked = names
    .map((name) => ({ name, distance: editDistance(start, name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, MOST_LISTED);
  return `${ranked.map(({ name }) => name).join(", ")} and ${names.length - MOST_LISTED} others`;
}

/** The candidate nearest to `word`, or undefined when none is near enough to be a likely typing mistake. */
export function nearest(
  word: string,
  candidates: readonly string[],
  mostEdits: number = Math.max(2, Math.floor(word.length / 3)),
): string | undefined {
  const ranked = candidates
    .filter((candidate) => Math.abs(candidate.length - word.length) <= mostEdits) // a long word takes no time that way
    .map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best && best.distance <= mostEdits ? best.candidate : undefined;
}

/**
 * Checks that an options object has no unknown keys.
 * @param fix what to do about a key that none is near to. @default to remove it
 * @throws OptionError naming the nearest known option.
 */
export function checkOptions(where: string, options: object, known: readonly string[], fix?: string): void {
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue;
    const near = nearest(key, known);
    throw new OptionError({
      where,
      expected: `one of the options ${listedNames(key, known)}`,
      received: `"${key}"`,
      fix: near ? `did you mean "${near}"?` : (fix ?? `remove "${key}"`),
    });
  }
}
