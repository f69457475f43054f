import { known } from "../../base/index.ts";
import { alternatives, type Expression, empty, repeat, sequence } from "./expression.ts";
import type { Grammar } from "./grammar.ts";
import { Languages } from "./languages.ts";
import { isTerminalName, LarkBody, type LarkContext } from "./lark-body.ts";
import { larkCommon } from "./lark-common.ts";
import { LarkTokens } from "./lark-tokens.ts";
import { requireWithin } from "./limits.ts";
import { NamedRules } from "./named-rules.ts";

/** How a grammar of Lark's is read. */
export interface LarkOptions {
  /** The rule of the whole text. @default "start" */
  start?: string;
}

/**
 * A grammar in Lark's form: rules in small letters, terminals in capitals, strings, regular expressions, and the
 * directives %import common.NAME and %ignore. What is ignored may stand before, between and behind terminals of rules.
 * Terminals are not told apart by a lexer: a text fits when it can be read in any way.
 *
 * @example
 * const grammar = larkGrammar('start: NAME ("," NAME)*\n%import common.WORD -> NAME\n%ignore " "');
 * matchesGrammar(grammar, "Ahab, Ishmael"); // true
 *
 * @throws OptionError with the line of what is not understood; templates, %declare, %extend and %override are not
 */
export function larkGrammar(source: string, options: LarkOptions = {}): Grammar {
  known("larkGrammar", options, { start: true });
  requireWithin("sourceCharacters", source.length, "Lark grammar", "characters");
  return new LarkReader(source).grammar(options.start ?? "start");
}

/** Names that no grammar has: what is ignored, the whole text, and terminals of common. */
const IGNORED = "what is ignored";
const WHOLE = "the whole text";
const commonName = (name: string) => `common.${name}`;

class LarkReader {
  private readonly tokens: LarkTokens;
  private readonly languages = new Languages();
  private readonly rules = new NamedRules("Lark grammar");
  private readonly ignored: Expression[] = [];
  private readonly hasIgnored: boolean;
  private readonly imported = new Set<string>();
  private readonly ruleBody: LarkBody;
  private readonly terminalBody: LarkBody;

  constructor(source: string) {
    const { languages } = this;
    this.tokens = new LarkTokens(source);
    this.hasIgnored = this.tokens.has("%ignore");
    this.ruleBody = new LarkBody(this.tokens, {
      languages,
      reference: (name) => this.rules.named(name),
      terminal: (expression) => (this.hasIgnored ? sequence(expression, this.rules.named(IGNORED)) : expression),
    });
    const reference = (name: string) =>
      isTerminalName(name) ? this.rules.named(name) : this.tokens.fail("no rules in a terminal");
    this.terminalBody = new LarkBody(this.tokens, { languages, reference, terminal: (expression) => expression });
  }

  grammar(start: string): Grammar {
    const { tokens } = this;
    while (!tokens.isAtEnd) {
      if (tokens.take("newline") !== undefined) continue;
      const directive = tokens.take("directive");
      if (directive === "%ignore") this.ignored.push(this.terminalBody.alternatives());
      else if (directive === "%import") this.import();
      else if (directive !== undefined) tokens.fail(`no ${directive}`);
      else this.definition();
      if (!tokens.isAtEnd && tokens.take("newline") === undefined) tokens.fail("the end of the line");
    }
    if (this.hasIgnored) this.rules.describe(IGNORED, repeat(alternatives(...this.ignored), 0));
    const before = this.hasIgnored ? this.rules.named(IGNORED) : empty;
    this.rules.describe(WHOLE, sequence(before, this.rules.named(start)));
    return this.rules.grammar(WHOLE, this.languages);
  }

  private name(expected: string): string {
    return this.tokens.take("name") ?? this.tokens.fail(expected);
  }

  /** %import common.NAME, with another name behind an arrow, or several in parentheses. */
  private import(): void {
    const { tokens } = this;
    if (this.name('terminals of "common"') !== "common") tokens.fail('terminals of "common", without an address');
    if (!tokens.skip(".")) {
      if (!tokens.skip("(")) tokens.fail('"." or "(" behind common');
      do {
        const name = this.name("the name of a terminal");
        this.rules.describe(name, this.common(name));
      } while (tokens.skip(","));
      if (!tokens.skip(")")) tokens.fail('")"');
      return;
    }
    const name = this.name("the name of a terminal");
    const alias = tokens.skip("->") ? this.name("a name behind ->") : name;
    this.rules.describe(alias, this.common(name));
  }

  /** A terminal of common, and all that it names. */
  private common(name: string): Expression {
    if (!Object.hasOwn(larkCommon, name))
      this.tokens.fail(`a terminal of common: ${Object.keys(larkCommon).join(", ")}`);
    if (!this.imported.has(name)) {
      this.imported.add(name);
      const context: LarkContext = {
        languages: this.languages,
        reference: (other) => this.common(other),
        terminal: (expression) => expression,
      };
      const tokens = new LarkTokens(larkCommon[name], `common.${name}`);
      this.rules.describe(commonName(name), new LarkBody(tokens, context).alternatives());
    }
    return this.rules.named(commonName(name));
  }

  /** A rule or a terminal; what says how trees are built is passed over. */
  private definition(): void {
    const { tokens } = this;
    while (tokens.take("operator") === "?" || tokens.skip("!"));
    const name = this.name("a rule, a terminal or a directive");
    if (tokens.skip("{")) tokens.fail("no templates");
    if (tokens.skip(".") && tokens.take("number") === undefined) tokens.fail("a number behind the point");
    if (!tokens.skip(":")) tokens.fail('":" behind the name');
    const body = isTerminalName(name) ? this.terminalBody : this.ruleBody;
    this.rules.describe(name, body.alternatives());
  }
}
