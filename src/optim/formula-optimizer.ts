import { checkOptions, numberRules, requireNumbers } from "../base/index.ts";
import type { Parameter } from "../nn/index.ts";
import { add, mul, Tensor, tensor, Variable } from "../tensor/index.ts";
import { requireChoice, requireLearningRate } from "./checks.ts";
import { type DecayGroup, decayAll, membersOfGroups, type ParameterGroup } from "./groups.ts";
import type { Gradients, Optimizer, UpdateOptions } from "./optimizer.ts";
import { createStore, type StateSpec, type StateStore } from "./state-store.ts";

/** Settings that all optimizers of one formula have. */
export interface CommonSettings {
  /** How strongly weights are drawn to 0; 0 does nothing. */
  weightDecay: number;
  /**
   * 8 keeps states of 4096 numbers and more in 8 bits, in blocks of 256 with a scale each: a quarter of the memory.
   * Dettmers et al. 2021, arXiv:2110.02861. @default 32
   */
  stateBits: 8 | 32;
}

/** Settings of an optimizer, each with a default, those of groups of parameters, and which parameters decay. */
export type OptimizerOptions<S extends CommonSettings> = Partial<S> & {
  /** Which parameters decay. @default all, of AdamW matrices */
  decays?: DecayGroup;
  /** Parameters with other settings than these. @default none */
  groups?: readonly ParameterGroup<S>[];
};

/** What is the same for all parameters of a group in a step. */
export interface Moment {
  /** [] */
  learningRate: Tensor<"f32">;
  /** Number of this step, from 1, where the formula uses it. [] */
  step: Tensor<"f32">;
  /** What gradients are multiplied by. [] */
  scale: Tensor<"f32"> | undefined;
}

/** State of one parameter by name; every one that its group's settings have. */
export type StateTensors = Readonly<Record<string, Tensor<"f32">>>;

/** What a formula gets of one parameter. */
export interface Operands {
  /** [...] */
  value: Tensor<"f32">;
  /** Scaled. [...] */
  gradient: Tensor<"f32">;
  /** Not scaled, for formulas that can scale something smaller. [...] */
  rawGradient: Tensor<"f32">;
  state: StateTensors;
  /** 0 for a parameter that does not decay. */
  weightDecay: number;
}

/** What a formula makes of one parameter: its next value, and its whole next state. */
export interface Updated {
  value: Tensor<"f32">;
  state: StateTensors;
}

/** An optimizer that treats each parameter by itself, as data. */
export interface OptimizerDefinition<S extends CommonSettings> {
  /** For messages. */
  name: string;
  /** All settings. */
  defaults: S;
  /** @default all */
  decays?: DecayGroup;
  /** @throws OptionError for settings of its own that are out of range; those in common are checked */
  check(where: string, settings: S): void;
  /** Whether the formula asks for the number of the step. */
  usesStep(settings: S): boolean;
  /** What is kept for a parameter, by name. */
  state(settings: S, shape: readonly number[]): Readonly<Record<string, StateSpec>>;
  /** The formula: what is the same for all parameters is computed first, and once. */
  formula(settings: S, moment: Moment): (operands: Operands) => Updated;
}

/** State of the parameter's shape, 0 at first, of either sign. */
export const signed = (shape: readonly number[]): StateSpec => ({ shape, isUnsigned: false, initial: 0 });
/** State of the parameter's shape that is never below 0. */
export const unsigned = (shape: readonly number[], initial = 0): StateSpec => ({ shape, isUnsigned: true, initial });

interface Group<S> {
  settings: S;
  multiplier: number;
  decays: DecayGroup;
}

interface Entry<S> {
  parameter: Parameter;
  group: Group<S>;
  weightDecay: number;
  stores: ReadonlyMap<string, StateStore>;
}

/** The second over the first, but for what is undefined. */
function over<S extends object>(defaults: S, options: Partial<S>): S {
  const known = Object.entries(options).filter(([name, value]) => name in defaults && value !== undefined);
  return { ...defaults, ...Object.fromEntries(known) };
}

/** An optimizer that is a formula for one parameter: the rest, state and groups and scale, is the same for all. */
export class FormulaOptimizer<S extends CommonSettings> implements Optimizer {
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly state = new Map<string, Variable>();
  private readonly definition: OptimizerDefinition<S>;
  private readonly entries: readonly Entry<S>[];
  private readonly step: Variable<"f32"> | undefined;

  /** @throws OptionError for unknown options or values out of range, and for a group of no parameter */
  constructor(
    definition: OptimizerDefinition<S>,
    parameters: ReadonlyMap<string, Parameter>,
    options: OptimizerOptions<S> = {},
  ) {
    this.definition = definition;
    this.parameters = parameters;
    const { name, defaults } = definition;
    checkOptions(name, options, [...Object.keys(defaults), "decays", "groups"]);
    const { decays = definition.decays ?? decayAll, groups: parts = [] } = options;
    const common: Group<S> = { settings: over(defaults, options as Partial<S>), multiplier: 1, decays };
    this.requireSettings(name, common);
    const groups = new Map(parts.map((part) => [part, this.groupOf(part, common)]));
    const members = membersOfGroups(name, parameters, parts);
    const groupOf = (key: string) => groups.get(members.get(key) as ParameterGroup<S>) ?? common;
    if ([common, ...groups.values()].some(({ settings }) => definition.usesStep(settings))) {
      this.step = new Variable({ name: "step", dtype: "f32", shape: [] }, Float32Array.of(0));
      this.state.set("step", this.step);
    }
    this.entries = [...parameters].map(([key, parameter]) => this.entry(key, parameter, groupOf(key)));
  }

  private groupOf(part: ParameterGroup<S>, common: Group<S>): Group<S> {
    const where = `${this.definition.name}, group "${part.name}"`;
    const { learningRateMultiplier: multiplier = 1, decays = common.decays } = part;
    const names = ["name", "matches", "learningRateMultiplier", "decays"];
    checkOptions(where, part, [...Object.keys(this.definition.defaults), ...names]);
    requireNumbers(where, { learningRateMultiplier: multiplier }, { learningRateMultiplier: numberRules.notNegative });
    const group = { settings: over(common.settings, part as Partial<S>), multiplier, decays };
    this.requireSettings(where, group);
    return group;
  }

  private requireSettings(where: string, { settings }: Group<S>): void {
    this.definition.check(where, settings);
    requireNumbers(where, settings, { weightDecay: numberRules.notNegative });
    requireChoice(where, "stateBits", settings.stateBits, [8, 32]);
  }

  private entry(key: string, parameter: Parameter, group: Group<S>): Entry<S> {
    const { settings, decays } = group;
    const stores = new Map<string, StateStore>();
    for (const [name, spec] of Object.entries(this.definition.state(settings, parameter.shape))) {
      const store = createStore(`${key}.${name}`, spec, settings.stateBits);
      stores.set(name, store);
      for (const [suffix, variable] of store.variables) this.state.set(`${key}.${name}${suffix}`, variable);
    }
    return { parameter, group, weightDecay: decays(key, parameter) ? settings.weightDecay : 0, stores };
  }

  update(gradients: Gradients, { learningRate, scale }: UpdateOptions): void {
    requireLearningRate(this.definition.name, learningRate);
    const step = this.step ? add(this.step.value, 1) : tensor(1);
    this.step?.assign(step);
    const rate = learningRate instanceof Tensor ? learningRate : tensor(learningRate);
    const formulas = new Map<Group<S>, (operands: Operands) => Updated>();
    const formulaOf = (group: Group<S>) => {
      const scaled = group.multiplier === 1 ? rate : mul(rate, group.multiplier);
      const formula =
        formulas.get(group) ?? this.definition.formula(group.settings, { learningRate: scaled, step, scale });
      formulas.set(group, formula);
      return formula;
    };
    this.entries.forEach(({ parameter, group, weightDecay, stores }, i) => {
      const rawGradient = gradients[i];
      if (!rawGradient) return;
      const next = formulaOf(group)({
        value: parameter.value,
        gradient: scale ? mul(rawGradient, scale) : rawGradient,
        rawGradient,
        state: Object.fromEntries([...stores].map(([name, store]) => [name, store.read()])),
        weightDecay,
      });
      for (const [name, store] of stores) store.write(next.state[name]);
      parameter.assign(next.value);
    });
  }
}

/** The gradient with that of half the squares of the weights, times the decay: L2 regularisation. */
export function withL2({ gradient, value, weightDecay }: Operands): Tensor<"f32"> {
  return weightDecay > 0 ? add(gradient, mul(value, weightDecay)) : gradient;
}
