/** Tags that say where entities begin and go on. */
import type { OnWarning } from "../../base/index.ts";

/** Whether tags say where entities begin and go on. */
export const areEntityTags = (names: readonly string[]): boolean =>
  names.some((name) => name !== "O") && names.every((name) => /^(O|[BIESLU]-.+)$/su.test(name));

/** Whether they are of BILOU, whose last and single words have letters of their own. */
export const hasBilouTags = (names: readonly string[]): boolean => names.some((name) => /^[LU]-/.test(name));

/** Which tags may follow which, by the letters of their places. */
const followers: Readonly<Record<"IOB2" | "IOBES", Readonly<Record<string, string>>>> = {
  IOB2: { O: "OB", B: "OBI", I: "OBI" },
  IOBES: { O: "OBS", B: "IE", I: "IE", E: "OBS", S: "OBS" },
};

/** Counts tags that cannot follow the one before them, in IOB2 or, where tags have E or S, in IOBES. */
export class TagWatch {
  private readonly rules: Readonly<Record<string, string>>;
  private readonly scheme: keyof typeof followers;
  private count = 0;
  private first = "";

  constructor(names: readonly string[]) {
    this.scheme = names.some((name) => /^[ES]-/.test(name)) ? "IOBES" : "IOB2";
    this.rules = followers[this.scheme];
  }

  see(tags: readonly string[], place: string): void {
    let last = "O";
    for (const [i, tag] of [...tags, "O"].entries()) {
      const isInside = this.rules[last[0]].includes("I") && "IE".includes(tag[0]);
      const isWrong = !this.rules[last[0]].includes(tag[0]) || (isInside && last.slice(1) !== tag.slice(1));
      if (isWrong && this.count++ === 0)
        this.first = i < tags.length ? `${tag} behind ${last}, ${place}` : `${last} at the end, ${place}`;
      last = tag;
    }
  }

  warn(onWarning: OnWarning): void {
    if (this.count === 0) return;
    const note = `${this.count} tags are not well formed in ${this.scheme}, as ${this.first}; they are learned as they are`;
    onWarning({ where: "data", notes: [note] });
  }
}
