/** ONNX ops as a model has them. */
type OpTypes = ReadonlySet<string>;

const hasAny =
  (...names: readonly string[]) =>
  (ops: OpTypes): boolean =>
    names.some((name) => ops.has(name));

const quantizes = hasAny("QuantizeLinear", "DequantizeLinear");
const convolves = hasAny(
  ...["Conv", "FusedConv", "ConvInteger", "QLinearConv", "ConvTranspose"],
  ...["MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"],
);
/** A norm that is written out squares by Pow. */
const norms = hasAny("LayerNormalization", "SimplifiedLayerNormalization", "Pow");
const multiplies = hasAny("MatMul", "FusedMatMul");
const multipliesIntegers = hasAny("MatMulInteger", "DynamicQuantizeLinear");
const gelus = hasAny("Erf", "Tanh", "Gelu", "FastGelu");

/**
 * ONNX Runtime's optimizers that look for a certain op, or for what others make of it, by their names there. Each walks
 * through the whole graph, several times: of a training step, which has none of most, they took half of the time in
 * which it is compiled.
 */
const seekers: Readonly<Record<string, (ops: OpTypes) => boolean>> = {
  EnsureUniqueDQForNodeUnit: quantizes,
  WhereDummyDq: quantizes,
  WeightBiasQuantization: quantizes,
  QDQPropagationTransformer: quantizes,
  DoubleQDQPairsRemover: quantizes,
  QDQSelectorActionTransformer: quantizes,
  QDQS8ToU8Transformer: quantizes,
  QDQFinalCleanupTransformer: quantizes,
  ConvActivationFusion: convolves,
  ConvAddActivationFusion: convolves,
  NchwcTransformer: convolves,
  NhwcTransformer: convolves,
  LayerNormFusionL1: hasAny("Pow"),
  LayerNormFusionL2: hasAny("Pow"),
  SimplifiedLayerNormFusion: hasAny("Pow"),
  SkipLayerNormFusion: norms,
  BiasSkipLayerNormFusion: norms,
  EmbedLayerNormFusion: hasAny("LayerNormalization", "Pow"),
  AttentionFusion: hasAny("LayerNormalization", "Pow"),
  GroupQueryAttentionFusion: hasAny("GroupQueryAttention"),
  GroupQueryAttentionPreNormFusion: hasAny("GroupQueryAttention"),
  GeluFusionL1: hasAny("Erf"),
  GeluFusionL2: hasAny("Erf"),
  FastGeluFusion: hasAny("Tanh"),
  QuickGeluFusion: hasAny("Sigmoid"),
  BiasGeluFusion: gelus,
  BiasSoftmaxFusion: hasAny("Softmax"),
  BiasDropoutFusion: hasAny("Dropout"),
  MatMulAddFusion: hasAny("MatMul"),
  MatMulActivationFusion: multiplies,
  MatMulScaleFusion: multiplies,
  MatmulTransposeFusion: multiplies,
  GemmActivationFusion: hasAny("Gemm"),
  DynamicQuantizeMatMulFusion: multipliesIntegers,
  MatMulIntegerToFloatFusion: multipliesIntegers,
  MatMulNBitsFusion: hasAny("MatMulNBits"),
  SliceConcatToSpaceToDepthFusion: (ops) => ops.has("Slice") && ops.has("Concat"),
};

/** ONNX Runtime's optimizers that would find nothing to do in a model of these ops. */
export function idleOptimizers(ops: OpTypes): string[] {
  return Object.entries(seekers).flatMap(([name, mayFind]) => (mayFind(ops) ? [] : [name]));
}
