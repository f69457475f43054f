/** A stretch of a sentence that is of one type: from the first word or character to before `end`. */
export interface EntitySpan {
  type: string;
  start: number;
  end: number;
}

/** How tags say where an entity begins and ends. */
export type EntityScheme = "IOB2" | "IOE2" | "IOBES" | "BILOU";
/** Their names. */
export const entitySchemes: readonly EntityScheme[] = ["IOB2", "IOE2", "IOBES", "BILOU"];

/** A tag: a place within an entity, or O outside of all, and the type. */
export interface ConllTag {
  prefix: string;
  type: string;
}

const outside: ConllTag = { prefix: "O", type: "" };
/** What a place means, letter by letter: the last of BILOU is the end of IOBES, its unit a single. */
const afterWhichEnds = "ES";
const beforeWhichEnds = "BSO";

/** Entities as conlleval reads them: whatever follows something else begins one. */
export function looseSpans(tags: readonly ConllTag[]): EntitySpan[] {
  const spans: EntitySpan[] = [];
  let start = 0;
  let last = outside;
  for (const [at, tag] of [...tags, outside].entries()) {
    const isInside = last.prefix !== "O";
    const isOther = tag.type !== last.type;
    const ends = isInside && (afterWhichEnds.includes(last.prefix) || beforeWhichEnds.includes(tag.prefix) || isOther);
    if (ends) spans.push({ type: last.type, start, end: at });
    const begins =
      tag.prefix !== "O" && ("BS".includes(tag.prefix) || !isInside || afterWhichEnds.includes(last.prefix) || isOther);
    if (begins) start = at;
    last = tag;
  }
  return spans;
}

/** Which tags begin an entity after which, go on with it, and show that it has ended. */
interface SchemeRules {
  begins(last: ConllTag, tag: ConllTag): boolean;
  goesOn(last: ConllTag, tag: ConllTag): boolean;
  hasEnded(last: ConllTag, tag: ConllTag): boolean;
}

const isSame = (last: ConllTag, tag: ConllTag) => last.type === tag.type;
/** Whether the two prefixes are among the letters, and the types the same. */
const follows = (lasts: string, nexts: string) => (last: ConllTag, tag: ConllTag) =>
  lasts.includes(last.prefix) && nexts.includes(tag.prefix) && isSame(last, tag);

const rules: Readonly<Record<EntityScheme, SchemeRules>> = {
  IOB2: {
    begins: (_, tag) => tag.prefix === "B",
    goesOn: follows("BI", "I"),
    hasEnded: (last, tag) => "BI".includes(last.prefix) && ("OB".includes(tag.prefix) || !isSame(last, tag)),
  },
  IOE2: {
    begins: (last, tag) =>
      (tag.prefix !== "O" && "OE".includes(last.prefix)) ||
      (last.prefix === "I" && tag.prefix !== "O" && !isSame(last, tag)),
    goesOn: follows("I", "IE"),
    hasEnded: (last) => last.prefix === "E",
  },
  IOBES: {
    begins: (_, tag) => "BS".includes(tag.prefix),
    goesOn: follows("BI", "IE"),
    hasEnded: (last) => "ES".includes(last.prefix),
  },
  BILOU: {
    begins: (_, tag) => "BU".includes(tag.prefix),
    goesOn: follows("BI", "IL"),
    hasEnded: (last) => "LU".includes(last.prefix),
  },
};

/** Entities that are well formed: what has no end, or no beginning, is none. */
export function strictSpans(tags: readonly ConllTag[], scheme: EntityScheme): EntitySpan[] {
  const { begins, goesOn, hasEnded } = rules[scheme];
  const spans: EntitySpan[] = [];
  const all = [...tags, outside];
  let last = outside;
  for (let at = 0; at < all.length; ) {
    const start = at++;
    if (begins(last, all[start])) {
      while (at < all.length && goesOn(all[at - 1], all[at])) at++;
      if (hasEnded(all[at - 1], all[at] ?? outside)) spans.push({ type: all[start].type, start, end: at });
    }
    last = all[at - 1];
  }
  return spans;
}
