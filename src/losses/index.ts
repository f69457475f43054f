/** Losses of tensors: what training makes small. Values and gradients are PyTorch's. Imports tensor/ and below. */
export type { LossReduction } from "../ops/index.ts";
export {
  type CtcLossInputs,
  type CtcLossOptions,
  crossEntropy,
  ctcLoss,
  type TensorCrossEntropyOptions,
} from "../tensor/index.ts";
export {
  type BinaryCrossEntropyOptions,
  type BinaryLogitsOptions,
  binaryCrossEntropy,
  binaryCrossEntropyWithLogits,
} from "./binary.ts";
export { type CosentOptions, cosentLoss } from "./cosent.ts";
export { type DiceLossOptions, diceLoss, multiClassDiceLoss } from "./dice.ts";
export {
  type AttentionLossOptions,
  attentionLoss,
  type DistillationOptions,
  distillationLoss,
  type HiddenStateOptions,
  hiddenStateLoss,
  type MaskedOptions,
} from "./distillation.ts";
export {
  contrastiveLoss,
  cosineEmbeddingLoss,
  type TripletDistanceOptions,
  type TripletMarginOptions,
  tripletMarginLoss,
  tripletMarginWithDistanceLoss,
} from "./embedding.ts";
export { type SigmoidFocalOptions, type SoftmaxFocalOptions, sigmoidFocalLoss, softmaxFocalLoss } from "./focal.ts";
export { clipLoss, type InfoNceOptions, infoNceLoss } from "./in-batch.ts";
export { type KlDivergenceOptions, klDivergence, type NllLossOptions, nllLoss } from "./likelihood.ts";
export { type LinearCrossEntropyOptions, linearCrossEntropy } from "./linear-cross-entropy.ts";
export {
  type HingeLossOptions,
  hingeEmbeddingLoss,
  hingeLoss,
  type MarginOptions,
  type MultiMarginOptions,
  marginRankingLoss,
  multiMarginLoss,
  softMarginLoss,
} from "./margin.ts";
export type { ReductionOptions } from "./reduction.ts";
export {
  type HuberLossOptions,
  huberLoss,
  l1Loss,
  mseLoss,
  type SmoothL1LossOptions,
  smoothL1Loss,
} from "./regression.ts";
