import { nearest, OptionError } from "../../base/index.ts";
import { type Expression, nothing, ruleNumber } from "./expression.ts";
import { type Grammar, grammarOfRules, type Rule } from "./grammar.ts";
import type { Languages } from "./languages.ts";

/** Rules by name, which may be named before they are described. */
export class NamedRules {
  private readonly where: string;
  private readonly numbers = new Map<string, number>();
  private readonly rules: Rule[] = [];
  private readonly described = new Set<number>();

  /** @param where what errors name */
  constructor(where: string) {
    this.where = where;
  }

  /** What a rule describes. */
  named(name: string): Expression {
    return ruleNumber(this.numberOf(name));
  }

  private numberOf(name: string): number {
    const known = this.numbers.get(name);
    if (known !== undefined) return known;
    this.numbers.set(name, this.rules.length);
    return this.rules.push({ name, body: nothing }) - 1;
  }

  /** Says what a rule describes. @throws OptionError for one that is described already */
  describe(name: string, body: Expression): void {
    const number = this.numberOf(name);
    if (this.described.has(number)) throw this.fault("each rule once", name, "rename one, or join them with |");
    this.described.add(number);
    this.rules[number] = { name, body };
  }

  /**
   * The grammar of the texts of a rule.
   * @throws OptionError for rules that are named and not described
   */
  grammar(root: string, languages?: Languages): Grammar {
    const names = [...this.numbers].filter(([, number]) => this.described.has(number)).map(([name]) => name);
    const missing = [root, ...this.numbers.keys()].find((name) => !names.includes(name));
    if (missing !== undefined) {
      const near = nearest(missing, names);
      const fix = near ? `did you mean "${near}"?` : `describe "${missing}"`;
      throw this.fault("rules that are described", missing, fix);
    }
    return grammarOfRules(this.rules, this.numberOf(root), this.where, languages);
  }

  private fault(expected: string, received: string, fix: string): OptionError {
    return new OptionError({ where: this.where, expected, received: JSON.stringify(received), fix });
  }
}
