import { OptionError } from "../../base/index.ts";
import { linearCrossEntropy } from "../../losses/index.ts";
import {
  CausalLM,
  type CausalLMInputs,
  type NextTokenLabels,
  nextTokenTargets,
  type OutputLayer,
  type RunOptions,
} from "../../models/index.ts";
import {
  BlockEmbedding,
  BlockLinear,
  biasOf,
  Conv1D,
  Embedding,
  EmbeddingTable,
  Linear,
  TiedProjection,
} from "../../nn/index.ts";
import { reshape, type Tensor } from "../../tensor/index.ts";

/** Layers that are their matrix and their bias, in the forward pass and in gradients. */
const plainLayers: readonly (abstract new (...args: never[]) => object)[] = [
  ...[Linear, Conv1D, TiedProjection, BlockLinear],
  ...[Embedding, BlockEmbedding],
];

const isPlain = (layer: object): boolean =>
  plainLayers.some((Layer) => layer.constructor === Layer) &&
  (!(layer instanceof TiedProjection) || isPlain(layer.table));

/** The output layer of a model. @throws OptionError for a model whose loss it does not say all of */
export function requireOutputLayer(where: string, model: CausalLM): OutputLayer {
  const { outputLayer, textPrefix } = model;
  const isOneLayer = outputLayer && isPlain(outputLayer.layer);
  if (isOneLayer && !textPrefix && model.loss === CausalLM.prototype.loss) return outputLayer;
  throw new OptionError({
    where: `${where}, lossChunk`,
    expected: "a model whose loss is the cross-entropy of one output layer of kindling/nn",
    received: `${model.architecture}, whose ${reason(model)}`,
    fix: "leave lossChunk out: all logits then exist at once",
  });
}

function reason({ outputLayer, textPrefix }: CausalLM): string {
  if (textPrefix) return "texts have states before them";
  if (!outputLayer) return "outputLayer is undefined";
  return isPlain(outputLayer.layer) ? "loss is its own" : `output layer is a ${outputLayer.layer.constructor.name}`;
}

const WHERE = "languageModel";

/**
 * The loss of a language model, with at most `chunk` classes at a time. Numbers and gradients are those of `loss`.
 * @throws OptionError naming a model that has another output layer, such as one with an adapter, or another loss
 */
export function chunkedLoss(
  model: CausalLM,
  chunk: number,
): (inputs: CausalLMInputs & NextTokenLabels & RunOptions) => Tensor<"f32"> {
  requireOutputLayer(WHERE, model);
  return ({ labels, shiftLabels, ...inputs }) => {
    const { layer, softCap } = requireOutputLayer(WHERE, model); // an adapter may have taken its place
    const isTable = layer instanceof EmbeddingTable;
    const targets = nextTokenTargets(model.architecture, { labels, shiftLabels } as NextTokenLabels);
    const { lastHiddenState: states } = model.forward(inputs); // its logits are computed for nobody
    return linearCrossEntropy(
      reshape(states, [-1, states.size(2)]),
      isTable ? layer.rows() : layer.matrix(),
      reshape(targets, [-1]),
      { bias: isTable ? undefined : biasOf(layer)?.value, chunk, logitSoftCap: softCap },
    );
  };
}
