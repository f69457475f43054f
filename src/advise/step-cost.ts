/** What one training step computes and keeps, told from its graph: nothing is compiled or run. */
import { topologicalOrder } from "../ir/index.ts";
import { estimateMemory, optimize } from "../lower/index.ts";
import type { PretrainedModel } from "../models/index.ts";
import { type Parameter, parameterCount } from "../nn/index.ts";
import { applyAdapter, newAdapter } from "../peft/index.ts";
import { autocast, checkpointLayers, compile, grad, mean, randomKey, square, type Tensor } from "../tensor/index.ts";
import { supervised } from "../train/index.ts";
import { buildModel, type DescribedModel, layerCount, withLayers } from "./describe.ts";
import { countFlops } from "./flops.ts";
import { type BatchSize, sampleBatch } from "./sample-batch.ts";

/** What of a model is trained: all of it, or LoRA matrices beside it, whose base may be kept in 4 bits. */
export type TrainingWay = "full" | "lora" | "qlora";

/** Form of a training step. */
export interface StepForm extends BatchSize {
  way: TrainingWay;
  /** Of LoRA's matrices, on all linear layers. */
  rank: number;
  precision: "f32" | "bf16";
  /** What layers compute is not kept for their gradients, but computed again. */
  checkpointActivations: boolean;
}

/** What a step takes. */
export interface StepCost {
  /** Numbers in the model, without an adapter. */
  parameters: number;
  /** Numbers that are trained. */
  trainedParameters: number;
  /** Most bytes of activations and gradients that are there at the same time. */
  stepBytes: number;
  /** Multiplications and additions of the step's products and convolutions, two for each pair. */
  flops: number;
}

/** Layers up to which a graph is traced as it is. */
const TRACED_LAYERS = 40;
/** Layers of the graphs of which the memory of more is told: it grows by the same number with each. */
const SMALL = 12;
const LARGER = 16;

/** The cost of a step of a model, by its graph. @throws OptionError for a task of which no estimate is made */
export async function stepCost(model: DescribedModel, form: StepForm): Promise<StepCost> {
  const layers = layerCount(model);
  if (layers === undefined || layers <= TRACED_LAYERS) return traced(model, form);
  const [small, larger] = [await traced(withLayers(model, SMALL), form), await traced(withLayers(model, LARGER), form)];
  const extended = (field: keyof StepCost) =>
    small[field] + ((larger[field] - small[field]) / (LARGER - SMALL)) * (layers - SMALL);
  return {
    parameters: buildModel(model).parameterCount(),
    trainedParameters: Math.round(extended("trainedParameters")),
    stepBytes: Math.round(extended("stepBytes")),
    flops: extended("flops"),
  };
}

async function traced(described: DescribedModel, form: StepForm): Promise<StepCost> {
  const model = buildModel(described);
  const parameters = model.parameterCount();
  const trained = form.way === "full" ? model.parameters() : await adapterParameters(model, form.rank);
  const batch = sampleBatch(model, form);
  const step = compile((inputs: object): Tensor[] => {
    const exact = lossOf(model, inputs);
    const loss = form.precision === "f32" ? exact : autocast(exact, form.precision, trained);
    const [kept] = form.checkpointActivations ? checkpointLayers([loss]) : [loss];
    const nodes = new Set(topologicalOrder([kept.ir]));
    return [
      kept,
      ...grad(
        kept,
        trained.filter((parameter) => nodes.has(parameter.ir.node)),
      ),
    ];
  });
  const graph = optimize(step.graph(batch as never));
  step.dispose();
  return {
    parameters,
    trainedParameters: parameterCount(trained),
    stepBytes: estimateMemory(graph).peakBytes,
    flops: countFlops(graph),
  };
}

async function adapterParameters(model: PretrainedModel, rank: number): Promise<Parameter[]> {
  const adapter = await newAdapter(model, { rank, targetModules: "all-linear" }, randomKey(0));
  return [...applyAdapter(model, adapter, { onWarning: () => {} }).parameters.values()];
}

/** The loss of a task; of models without a head the mean square of their states, which has gradients of their size. */
function lossOf(model: PretrainedModel, inputs: object): Tensor<"f32"> {
  if ("loss" in model) return supervised(model as never).loss(inputs as never, {}).loss;
  const { lastHiddenState } = (
    model as unknown as { forward(inputs: object): { lastHiddenState: Tensor<"f32"> } }
  ).forward(inputs);
  return mean(square(lastHiddenState));
}
