import { OptionError } from "../base/index.ts";
import type { RandomKey } from "../tensor/index.ts";
import type { Initializer } from "./init.ts";
import { type KeyPattern, matchesKey } from "./key-pattern.ts";
import type { Module } from "./module.ts";

/** New numbers for the parameters that a pattern means. */
export interface InitRule {
  matches: KeyPattern;
  init: Initializer;
}

/**
 * Sets parameters of a module anew, each by the first rule that means it; what no rule means stays as it is. Each gets
 * random numbers of its own from the key.
 * @throws OptionError for a rule that is the first of no parameter; nothing is changed then
 *
 * @example
 * const model = new Linear({ inFeatures: 4, outFeatures: 4 }, randomKey(0));
 * const rules = [{ matches: "*bias", init: constantInit(0) }, { matches: /weight$/, init: orthogonalInit() }];
 * initialize(model, rules, randomKey(1));
 * await model.bias.toArray(); // [0, 0, 0, 0]
 */
export function initialize(module: Module, rules: readonly InitRule[], key: RandomKey): void {
  const used = new Set<InitRule>();
  const changes = [...module.namedParameters()].flatMap(([name, parameter], i) => {
    const rule = rules.find(({ matches }) => matchesKey(matches, name, parameter));
    if (!rule) return [];
    used.add(rule);
    return [{ parameter, value: rule.init(key.fold(i), parameter.shape) }];
  });
  const idle = rules.find((rule) => !used.has(rule));
  if (idle) {
    throw new OptionError({
      where: "initialize",
      expected: "rules that are each the first of a parameter",
      received: `rule ${rules.indexOf(idle)} (${String(idle.matches)}), which is of none`,
      fix: "correct its pattern, or put it before the rule that has its parameters",
    });
  }
  for (const { parameter, value } of changes) parameter.set(value);
}
