import type { FloatDType } from "../base/index.ts";
import type { CausalLM } from "../models/index.ts";
import { clipFactor, globalNorm, type Optimizer } from "../optim/index.ts";
import {
  autocast,
  type CompiledFunction,
  compile,
  grad,
  LossScaler,
  type RandomKey,
  type Tensor,
  withScope,
} from "../tensor/index.ts";

export interface StepResult {
  /** Mean cross-entropy of the batch before the update, in nats. */
  loss: Tensor<"f32">;
  /** Euclidean norm of all gradients before clipping. */
  gradientNorm: Tensor<"f32">;
}

export interface StepOptions {
  /** Gradients are scaled to a norm of at most this. */
  clipNorm: number;
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
}

/** Arguments: input ids [B, T], targets [B, T], learning rate, and the number of the step. */
export type TrainStep = CompiledFunction<[Tensor<"i32">, Tensor<"i32">, Tensor<"f32">, Tensor<"i32">], StepResult>;

/** One training step as one graph: forward, backward, clipping and the optimizer's update. */
export function compileTrainStep(
  model: CausalLM,
  optimizer: Optimizer,
  {
    clipNorm,
    key,
    keepPreviousState,
    profile,
    precision = "f32",
    scaler = precision === "f16" ? new LossScaler() : undefined,
  }: StepOptions,
): TrainStep {
  const parameters = [...optimizer.parameters.values()];
  return compile(
    (inputs: Tensor<"i32">, targets: Tensor<"i32">, learningRate: Tensor<"f32">, step: Tensor<"i32">): StepResult => {
      const exact = model.loss(inputs, targets, { key: key?.fold(step) });
      const loss = precision === "f32" ? exact : autocast(exact, precision);
      const scaled = scaler?.gradients(loss, parameters);
      const gradients = scaled?.gradients ?? grad(loss, parameters);
      const gradientNorm = withScope("clip", () => globalNorm(gradients));
      const update = () =>
        withScope("optimizer", () =>
          optimizer.update(gradients, { learningRate, scale: clipFactor(gradientNorm, clipNorm) }),
        );
      if (scaler && scaled) scaler.step(scaled.areFinite, update);
      else update();
      return { loss, gradientNorm };
    },
    { keepPreviousState, profile },
  );
}
