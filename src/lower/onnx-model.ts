import type { Value } from "../ir/index.ts";
import type { TensorProto } from "./onnx-pb.ts";
import type { OutsideConstant } from "./outside-constant.ts";

/** What the model is written for, and how its inputs, outputs and weights are written. */
export interface WriteOptions {
  /** For the WebGPU provider. @default false */
  isWebGpu?: boolean;
  /** Lowering.channelBlock. @default 0 */
  channelBlock?: number;
  /**
   * Write large constants as names only, to be given to the session beside the model: so that models share them, and
   * none is copied.
   * @default false
   */
  keepsConstantsOutside?: boolean;
  /**
   * bf16 crosses the boundary of the graph as it is; ONNX Runtime's JavaScript API has no such tensors, and it crosses
   * as f32. @default false
   */
  hasBfloat16?: boolean;
  /** Names of the inputs in the model. @default in0, in1, ... */
  inputNames?: readonly string[];
  /** @default the names of the values that are given out */
  outputNames?: readonly string[];
  /** Inputs that are weights, stored in the model or in a file beside it, by their values. @default none */
  weights?: ReadonlyMap<Value, TensorProto>;
}

/** A graph as an ONNX model, and what a session has to be told of it. */
export interface OnnxModel {
  /** The model as a file has it: a ModelProto. */
  bytes: Uint8Array;
  /** Names of nodes that the device's provider must leave to the CPU. */
  cpuNodes: string[];
  /** Names of the graph's inputs in the model, in their order. */
  inputNames: string[];
  /** Names of the graph's outputs in the model, in their order. */
  outputNames: string[];
  /** With keepsConstantsOutside: the constants that are not in the model. */
  outsideConstants: OutsideConstant[];
  /** ONNX Runtime's optimizers that have nothing to do in the model, by their names there. */
  idleOptimizers: string[];
}
