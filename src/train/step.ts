import { type FloatDType, known, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import { topologicalOrder } from "../ir/index.ts";
import type { Parameter } from "../nn/index.ts";
import { clipFactor, clipGradientValue, globalNorm, type Optimizer } from "../optim/index.ts";
import {
  autocast,
  type CallArguments,
  type CompiledFunction,
  checkpointLayers,
  compile,
  grad,
  LossScaler,
  logicalAnd,
  type RandomKey,
  type Tensor,
  withoutAssignments,
  withScope,
} from "../tensor/index.ts";
import type { Objective, ObjectiveResult } from "./objective.ts";

/** What a step gives back: tensors as soon as it has begun. */
export interface StepResult {
  /** Of the batch before the update. */
  loss: Tensor<"f32">;
  /** Euclidean norm of all gradients before clipping. */
  gradientNorm: Tensor<"f32">;
  /** What else the objective measures. */
  metrics: NonNullable<ObjectiveResult["metrics"]>;
}

/** How gradients become an update. */
export interface StepOptions {
  /** Gradients are scaled to a norm of at most this, above 0. Infinity clips nothing. */
  clipNorm: number;
  /** Each number of a gradient is held to plus or minus this first, above 0. @default Infinity: no limit */
  clipValue?: number;
  /** Turns dropout on; folded with the step number. */
  key?: RandomKey;
  /** See CompileFunctionOptions. @default false */
  keepPreviousState?: boolean;
  /** See CompileFunctionOptions. @default false */
  profile?: boolean;
  /** Dtype of products; weights and optimizer state stay in f32. f16 scales the loss, see LossScaler. @default "f32" */
  precision?: FloatDType;
  /** Keeps the gradients of f16 in range. Give one to save its state. @default a new one where precision is f16 */
  scaler?: LossScaler;
  /**
   * What a layer computes is not kept for its gradient, but computed again: about a third more time, much less memory.
   * @default false
   */
  checkpointActivations?: boolean;
  /** Parameters of the optimizer that stay as they are, and of which there are no gradients. @default none */
  frozen?: ReadonlySet<Parameter>;
  /** A step that makes a NaN fails, and names the operation and its module. Slower. @default false */
  debugNans?: boolean;
}

/** The names of a step's options. */
const stepOptions = {
  ...({ clipNorm: true, clipValue: true, key: true, keepPreviousState: true, profile: true } as const),
  ...({ precision: true, scaler: true, checkpointActivations: true, frozen: true, debugNans: true } as const),
} as const;

/** Arguments: a batch, the learning rate, and the number of the step. */
export type TrainStep<B> = CompiledFunction<[batch: B, learningRate: Tensor<"f32">, step: Tensor<"i32">], StepResult>;

/** A batch as a compiled function takes it, where TypeScript does not know yet what `B` is. */
export type BatchArgument<B> = CallArguments<[B]>[0];

/**
 * One training step as one graph: forward, backward, clipping and the optimizer's update. Parameters that the loss does
 * not depend on stay as they are, as in PyTorch.
 * @throws OptionError for unknown options and a clipNorm that is not above 0
 */
export function compileTrainStep<B>(
  objective: Pick<Objective<B>, "loss">,
  optimizer: Optimizer,
  options: StepOptions,
): TrainStep<B> {
  const settings = stepSettings("compileTrainStep", options);
  const { keepPreviousState, profile, debugNans, scaler } = settings;
  const parameters = [...optimizer.parameters.values()];
  /** The loss at what the parameters are now, and its gradients in their order, cut by value. */
  const differentiate = (batch: B, step: Tensor<"i32">) => {
    const { loss, metrics = {} } = lossOf(objective, batch, {
      ...{ key: settings.key?.fold(step), settings, parameters },
    });
    const used = usedBy(loss, parameters, settings.frozen);
    const scaled = scaler?.gradients(loss, used);
    const raw = scaled?.gradients ?? grad(loss, used);
    const gradients = clipGradientValue(raw, settings.clipValue);
    const gradientOf = new Map(used.map((parameter, i) => [parameter, gradients[i]]));
    const norm = withScope("clip", () => globalNorm(raw));
    const cutNorm =
      settings.clipValue === Number.POSITIVE_INFINITY ? norm : withScope("clip", () => globalNorm(gradients));
    return {
      ...{ loss, metrics, norm, areFinite: scaled?.areFinite },
      gradients: parameters.map((parameter) => gradientOf.get(parameter)),
      scale: clipFactor(cutNorm, settings.clipNorm),
    };
  };
  const step = (batch: B, learningRate: Tensor<"f32">, step: Tensor<"i32">): StepResult => {
    const { gradients, scale, ...first } = differentiate(batch, step);
    let areOthersFinite: Tensor<"bool"> | undefined;
    const gradientsAgain = () => {
      const again = withoutAssignments(() => differentiate(batch, step));
      const { areFinite } = again;
      if (areFinite) areOthersFinite = areOthersFinite ? logicalAnd(areOthersFinite, areFinite) : areFinite;
      return again;
    };
    const update = () => {
      withScope("optimizer", () => optimizer.update(gradients, { learningRate, scale, gradientsAgain }));
      return areOthersFinite;
    };
    if (scaler && first.areFinite) scaler.step(first.areFinite, update);
    else update();
    return { loss: first.loss, gradientNorm: first.norm, metrics: first.metrics };
  };
  return compile(step as never, { keepPreviousState, profile, debugNans });
}

/** The options of a step with defaults. @throws OptionError for unknown ones, and limits that are not above 0 */
export function stepSettings(where: string, options: StepOptions) {
  const { clipNorm, clipValue = Number.POSITIVE_INFINITY, precision = "f32" } = known(where, options, stepOptions);
  requireNumbers(where, { clipNorm, clipValue }, { clipNorm: numberRules.limit, clipValue: numberRules.limit });
  const { scaler = precision === "f16" ? new LossScaler() : undefined } = options;
  return { ...options, clipValue, precision, scaler };
}

/** What `lossOf` needs besides a batch. */
interface LossRun {
  key: RandomKey | undefined;
  settings: StepOptions;
  /** Whose values stay in f32, also where a step has assigned them. @default none: those of variables do anyway */
  parameters?: readonly Parameter[];
}

/** Of a training step: with its dropout, in its precision. */
export function lossOf<B>(
  objective: Pick<Objective<B>, "loss">,
  batch: B,
  { key, settings, parameters = [] }: LossRun,
): ObjectiveResult {
  const { precision = "f32", checkpointActivations = false } = settings;
  const { loss: exact, weight, metrics } = objective.loss(batch, { key, isTraining: true });
  const loss = precision === "f32" ? exact : autocast(exact, precision, parameters);
  if (!checkpointActivations) return { loss, weight, metrics };
  const entries = Object.entries(metrics ?? {});
  const results = checkpointLayers([loss, ...(weight ? [weight] : []), ...entries.map(([, metric]) => metric)]);
  const first = weight ? 2 : 1;
  return {
    loss: results[0],
    ...(weight && { weight: results[1] }),
    metrics: Object.fromEntries(entries.map(([name], i) => [name, results[first + i]])),
  };
}

/** The parameters that a loss is computed from, but for frozen ones. @throws OptionError when there are none */
export function usedBy(
  loss: Tensor,
  parameters: readonly Parameter[],
  frozen: ReadonlySet<Parameter> = new Set(),
): Parameter[] {
  const nodes = new Set(topologicalOrder([loss.ir]));
  const used = parameters.filter((parameter) => nodes.has(parameter.ir.node) && !frozen.has(parameter));
  if (used.length > 0) return used;
  throw new OptionError({
    where: "training step",
    expected: "a loss that depends on the parameters of the optimizer",
    received: `one that depends on none of the ${parameters.length}`,
    fix: "compute it with the model that the optimizer updates",
  });
}
