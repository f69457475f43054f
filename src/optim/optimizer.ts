import type { Parameter } from "../nn/index.ts";
import type { Tensor, Variable } from "../tensor/index.ts";

/** Gradients in the order of an optimizer's parameters; a parameter that the loss does not depend on has none. */
export type Gradients = readonly (Tensor<"f32"> | undefined)[];

/** What an update needs besides gradients. */
export interface UpdateOptions {
  /** [] */
  learningRate: Tensor<"f32"> | number;
  /** Multiplies each gradient, as clipping does. [] */
  scale?: Tensor<"f32">;
  /**
   * The gradients of the same batch's loss at what the parameters have been assigned since, with their own scale: for
   * methods that look at more than one point, such as `Sam`. A step that has no batch any more leaves it out.
   */
  gradientsAgain?: () => { gradients: Gradients; scale?: Tensor<"f32"> };
}

/** Updates parameters from their gradients, inside a traced function. */
export interface Optimizer {
  /** The parameters it updates, by checkpoint key. */
  readonly parameters: ReadonlyMap<string, Parameter>;
  /** State of the optimizer by name, for checkpoints. */
  readonly state: ReadonlyMap<string, Variable>;
  /**
   * Assigns new values to the parameters. `gradients` are in the order of `parameters`; one that has none stays as it
   * is, with its state.
   * @throws OptionError for a learning rate that is NaN, infinite or negative, where it is a number
   */
  update(gradients: Gradients, options: UpdateOptions): void;
}
