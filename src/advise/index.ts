/** What a model takes before it is fetched: memory, time, cost; and which one fits. Imports train/, peft/ and below. */

export { type BaseModel, baseModels, MODELS_DATE, modelTasks } from "./base-models.ts";
export { type DeviceCost, servingCost, trainingCost, trainingRate } from "./costs.ts";
export { type DescribedModel, describeModel } from "./describe.ts";
export { DECODE_UTILISATION, type Gpu, gpus, PRICES_DATE, TRAINING_UTILISATION } from "./devices.ts";
export { measureFlops } from "./machine.ts";
export { type Recommendation, type RecommendOptions, recommend } from "./recommend.ts";
export { estimateServing, type ServedWeights, type ServingEstimate, type ServingOptions } from "./serving.ts";
export type { StepCost, StepForm, TrainingWay } from "./step-cost.ts";
export { estimateTraining, type TrainingEstimate, type TrainingOptions } from "./training.ts";
