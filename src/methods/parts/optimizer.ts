/** The optimizer and the schedule that a config names. */
import { checkOptions, nearest, OptionError } from "../../base/index.ts";
import { Parameter } from "../../nn/index.ts";
import {
  AdaDelta,
  Adafactor,
  AdaGrad,
  AdaMax,
  Adam,
  AdamW,
  constantSchedule,
  cosineRestartsSchedule,
  cosineSchedule,
  ExponentialAverage,
  exponentialSchedule,
  inverseSquareRootSchedule,
  Lion,
  Lookahead,
  layerwiseLearningRates,
  linearSchedule,
  Muon,
  multiStepSchedule,
  NAdam,
  type Optimizer,
  oneCycleSchedule,
  plateauSchedule,
  polynomialSchedule,
  RAdam,
  RmsProp,
  Sam,
  type Schedule,
  Sgd,
  StochasticAverage,
  stableDecaySchedule,
  stepSchedule,
  warmup,
} from "../../optim/index.ts";
import type { SharedConfig } from "../config/schema.ts";

const optimizers = {
  adamw: AdamW,
  adam: Adam,
  sgd: Sgd,
  lion: Lion,
  adafactor: Adafactor,
  muon: Muon,
  rmsprop: RmsProp,
  adagrad: AdaGrad,
  adadelta: AdaDelta,
  nadam: NAdam,
  radam: RAdam,
  adamax: AdaMax,
} as const satisfies Record<SharedConfig["optimizer"]["name"], unknown>;

/** The optimizer of a config. @throws OptionError for settings that the optimizer has not */
export function makeOptimizer(config: SharedConfig["optimizer"], trained: ReadonlyMap<string, Parameter>): Optimizer {
  const { name, learningRate: _, layerDecay, average, lookahead, sharpness, ...settings } = config;
  if (layerDecay !== undefined && "groups" in settings)
    throw new OptionError({
      where: "config, optimizer",
      expected: "groups or layerDecay, which makes groups of the layers",
      received: "both",
      fix: "leave one out",
    });
  const groups = layerDecay === undefined ? undefined : layerwiseLearningRates(trained, { decay: layerDecay });
  const Class = optimizers[name] as new (parameters: typeof trained, options: object) => Optimizer;
  let optimizer: Optimizer = new Class(trained, { ...settings, ...(groups && { groups }) });
  if (sharpness !== undefined) optimizer = new Sam(optimizer, { rho: sharpness });
  if (lookahead) optimizer = new Lookahead(optimizer, lookahead);
  if (average?.type === "ema") {
    const { type: __, ...options } = average;
    optimizer = new ExponentialAverage(optimizer, options);
  } else if (average) {
    const { type: __, ...options } = average;
    optimizer = new StochasticAverage(optimizer, options);
  }
  return optimizer;
}

/** What a schedule needs besides its own settings. */
interface Rates {
  learningRate: number;
  totalSteps: number;
}

type Settings = Readonly<Record<string, unknown>>;
type ScheduleName = SharedConfig["schedule"]["name"];
type Maker = (rates: Rates, settings: Settings) => Schedule;

/** Makes a schedule whose options are checked by itself; `fill` says those that the config need not. */
const maker =
  <O>(
    make: (options: O) => Schedule,
    fill: (rates: Rates) => object = ({ learningRate }) => ({ learningRate }),
  ): Maker =>
  (rates, settings) =>
    make({ ...fill(rates), ...settings } as O);

const schedules: Readonly<Record<Exclude<ScheduleName, "cosine">, Maker>> = {
  constant: ({ learningRate }, settings) => {
    checkOptions("schedule constant", settings, []);
    return constantSchedule(learningRate);
  },
  linear: maker(linearSchedule, (rates) => rates),
  "cosine-restarts": maker(cosineRestartsSchedule, ({ learningRate, totalSteps }) => ({
    learningRate,
    cycleSteps: totalSteps,
  })),
  polynomial: maker(polynomialSchedule, (rates) => rates),
  exponential: maker(exponentialSchedule),
  step: maker(stepSchedule),
  "multi-step": maker(multiStepSchedule),
  "one-cycle": maker(oneCycleSchedule, ({ learningRate, totalSteps }) => ({
    maxLearningRate: learningRate,
    totalSteps: Math.max(2, totalSteps),
  })),
  "inverse-square-root": maker(inverseSquareRootSchedule),
  "warmup-stable-decay": maker(stableDecaySchedule, ({ learningRate, totalSteps }) => {
    const decaySteps = Math.max(1, Math.round(DECAY_SHARE * totalSteps));
    return { learningRate, decaySteps, stableSteps: Math.max(0, totalSteps - decaySteps) };
  }),
  plateau: maker(plateauSchedule),
};
/** Share of the steps in which the rate falls, unless `decaySteps` is said. Hu et al. 2024, arXiv:2404.06395 */
const DECAY_SHARE = 0.1;
const WARMUP_RATIO = 0.03;
/** These rise by themselves, or are not to. */
const withoutWarmup: readonly ScheduleName[] = ["constant", "one-cycle", "plateau"];

/** The schedule of a config. @throws OptionError for settings that the schedule has not */
export function makeSchedule(
  { name, warmupSteps, warmupRatio, ...settings }: SharedConfig["schedule"],
  { learningRate, steps, mode }: { learningRate: number; steps: number; mode: "min" | "max" },
): Schedule {
  if (warmupSteps !== undefined && warmupRatio !== undefined) {
    throw new OptionError({
      where: "schedule",
      expected: "warmupSteps or warmupRatio",
      received: "both",
      fix: "leave one out",
    });
  }
  const ratio = warmupRatio ?? (withoutWarmup.includes(name) ? 0 : WARMUP_RATIO);
  const stated = warmupSteps ?? Math.round(ratio * steps);
  // it has a warm-up of its own: the same line, and its rates are its own to the last bit
  if (name === "cosine")
    return cosineSchedule({ learningRate, totalSteps: steps, warmupSteps: Math.min(stated, steps), ...settings });
  const rising = Math.min(stated, steps - 1);
  const rates = { learningRate, totalSteps: Math.max(1, steps - rising) };
  const schedule = schedules[name](rates, name === "plateau" ? { mode, ...settings } : settings);
  return rising > 0 ? warmup(schedule, rising, { startFactor: 1 / (rising + 1) }) : schedule;
}

/**
 * Makes the optimizer and the schedule of a config for a parameter that is nobody's, so that their settings are wrong
 * before a model is read.
 * @throws OptionError naming the section, and the nearest field
 */
export function requireOwnOptions(where: string, { optimizer, schedule }: SharedConfig): void {
  const { layerDecay: _, groups: __, ...settings } = optimizer; // of a model's parameters, which these have not
  const { learningRate = 1 } = optimizer;
  withFields(`${where}, optimizer`, optimizer, optimizerFields, () => {
    const matrix = new Parameter([2, 2], new Float32Array(4));
    const { state } = makeOptimizer(settings, new Map([["matrix", matrix]]));
    for (const variable of [...state.values(), matrix]) variable.dispose();
  });
  withFields(`${where}, schedule`, schedule, scheduleFields, () =>
    makeSchedule(schedule, { learningRate, steps: 1000, mode: "min" }),
  );
}

const optimizerFields = ["name", "learningRate", "layerDecay", "average", "lookahead", "sharpness"];
const scheduleFields = ["name", "warmupSteps", "warmupRatio"];

/** Names the section in an error, and of fields those that are not the class' own too. */
function withFields(where: string, section: object, fields: readonly string[], make: () => unknown): void {
  try {
    make();
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    const stranger = Object.keys(section).find((key) => error.received === `"${key}"`);
    const near = stranger === undefined ? undefined : nearest(stranger, fields);
    const { expected, received } = error;
    const fix = near ? `did you mean "${near}"?` : error.fix;
    throw new OptionError({ where: `${where}: ${error.where}`, expected, received, fix, cause: error });
  }
}
