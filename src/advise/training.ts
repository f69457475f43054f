/** What training a model takes: memory and time, here and on GPUs. */
import { checkOptions, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import { blockKeys } from "../nn/index.ts";
import { buildModel, type DescribedModel } from "./describe.ts";
import { type StepCost, type StepForm, stepCost, type TrainingWay } from "./step-cost.ts";

/** How a model is trained. */
export interface TrainingOptions extends Partial<StepForm> {
  /** Numbers that the optimizer keeps of each that is trained: 2 of AdamW, 1 of Lion, 0 of SGD. @default 2 */
  optimizerStates?: number;
}

/** Memory and arithmetic of training. All sizes in bytes. */
export interface TrainingEstimate extends StepCost, StepForm {
  weightBytes: number;
  optimizerBytes: number;
  /** Of this program and its libraries, and what the runtime's memory is larger than what is in it. */
  runtimeBytes: number;
  /** Most memory of a process of this program. */
  totalBytes: number;
  /** Most memory of a GPU, of a program that updates weights in their place. */
  deviceBytes: number;
  /** Tokens of a step, or examples of a model that reads none. */
  items: number;
}

const F32 = 4;
/** Numbers of a base in blocks of 32: 4 bits each, a scale and an offset in 16. */
const BLOCK_BYTES = 4.5 / 8;

/** Resident memory of Node, ONNX Runtime and this package without a model: measured. */
export const BASE_BYTES = 130 * 2 ** 20;
/**
 * What the runtime's memory for a step is larger than the numbers in it, since it is cut into pieces that do not all
 * fit: measured, 1.2 to 1.3.
 */
const FRAGMENTATION = 1.25;

/** Of each number that AdamW trains: it, two moments, its gradient and the square of that. */
export const TRAINED_BYTES = F32 * 3 + FRAGMENTATION * F32 * 2;
/** Of a GPU's driver and libraries. */
const DEVICE_BYTES = 2 ** 30;

const defaults: StepForm = {
  way: "full",
  batchSize: 8,
  length: 512,
  rank: 16,
  precision: "f32",
  checkpointActivations: false,
};
const ways: readonly TrainingWay[] = ["full", "lora", "qlora"];

/**
 * What training takes, told from the graph of a step of a model without weights: nothing is run.
 * @throws OptionError for options that are wrong, and a task of which no estimate is made
 */
export async function estimateTraining(
  model: DescribedModel,
  options: TrainingOptions = {},
): Promise<TrainingEstimate> {
  const { optimizerStates = 2, ...form } = checked(options);
  const cost = await stepCost(model, form);
  const weightBytes =
    form.way === "qlora"
      ? quantizedBytes(model)
      : F32 * (cost.parameters + (form.way === "full" ? 0 : cost.trainedParameters));
  const optimizerBytes = F32 * optimizerStates * cost.trainedParameters;
  const held = weightBytes + optimizerBytes;
  // the norm of all gradients comes first: then they are there at once, and their squares, which moments are made of
  const updateBytes = F32 * (optimizerStates > 0 ? 2 : 1) * cost.trainedParameters;
  const needed = FRAGMENTATION * Math.max(cost.stepBytes, updateBytes);
  const runtimeBytes = BASE_BYTES + needed - cost.stepBytes;
  return {
    ...form,
    ...cost,
    ...{ weightBytes, optimizerBytes, runtimeBytes },
    totalBytes: Math.round(held + cost.stepBytes + runtimeBytes),
    deviceBytes: Math.round(held + cost.stepBytes + DEVICE_BYTES),
    items: form.batchSize * form.length,
  };
}

function checked(options: TrainingOptions): StepForm & { optimizerStates?: number } {
  const where = "estimateTraining";
  checkOptions(where, options, [...Object.keys(defaults), "optimizerStates"]);
  const form = { ...defaults, ...options };
  form.checkpointActivations = options.checkpointActivations ?? form.way === "qlora"; // as configs have it
  const { batchSize, length, rank } = form;
  const positive = numberRules.positiveInteger;
  requireNumbers(where, { batchSize, length, rank }, { batchSize: positive, length: positive, rank: positive });
  if (!ways.includes(form.way)) throw wrong("way", ways.join(", "), form.way);
  if (form.precision !== "f32" && form.precision !== "bf16") throw wrong("precision", "f32 or bf16", form.precision);
  return form;
}

const wrong = (field: string, expected: string, received: unknown) =>
  new OptionError({
    where: `estimateTraining, ${field}`,
    expected,
    received: String(received),
    fix: "choose one of them",
  });

/** Bytes of a base whose large matrices are in blocks of 4 bits, and all else in f32. */
function quantizedBytes(described: DescribedModel): number {
  const model = buildModel(described);
  const inBlocks = blockKeys(model);
  let bytes = 0;
  for (const [key, { shape }] of model.namedParameters())
    bytes += shape.reduce((a, b) => a * b, inBlocks.has(key) ? BLOCK_BYTES : F32);
  return bytes;
}
