/**
 * CLIP and SigLIP: images and texts in one space. Radford et al. 2021, arXiv:2103.00020; Zhai et al. 2023, arXiv:2303.15343, whose loss looks at
 * each pair by itself.
 */
import {
  type Activation,
  activations,
  constantInit,
  Embedding,
  LayerNorm,
  Linear,
  Module,
  multiHeadAttention,
  normalInit,
  Parameter,
  TransformerLayer,
} from "../../nn/index.ts";
import {
  add,
  arange,
  argmax,
  broadcastTo,
  cast,
  concat,
  div,
  equal,
  exp,
  eye,
  logSigmoid,
  matmul,
  mean,
  mul,
  neg,
  norm,
  oneHot,
  type RandomKey,
  reshape,
  slice,
  sub,
  sum,
  type Tensor,
  transpose,
  unsqueeze,
  withScope,
} from "../../tensor/index.ts";
import { activation, count, type Fields, fromJson, makeConfig, number, positive, probability, requireField, size, toJson } from "../config.ts";
import { keyMask } from "../encoders/encoder.ts";
import { firstToken } from "../encoders/heads.ts";
import type { Family } from "../family.ts";
import { type Json, labelsFromJson, labelsToJson } from "../labels.ts";
import { classLoss, sequenceLoss } from "../losses.ts";
import { type LabelConfig, type PretrainedModel, type RunOptions, type Task, TaskModel } from "../model.ts";
import { type ImageInputs, PatchEmbeddings, requireSize, stretchPositions, token } from "./image.ts";

interface TowerConfig {
  hiddenSize: number;
  intermediateSize: number;
  numLayers: number;
  numHeads: number;
  activation: Activation;
  layerNormEpsilon: number;
  attentionDropout: number;
  initializerRange: number;
  projectionSize: number;
}
export interface ClipTextConfig extends TowerConfig {
  vocabSize: number;
  maxPositionEmbeddings: number;
  eosTokenId: number;
}
export interface ClipVisionConfig extends TowerConfig {
  imageSize: number;
  patchSize: number;
  numChannels: number;
}

/** How the two families differ. */
interface Traits {
  isSiglip: boolean;
}

const clipText: Fields<ClipTextConfig> = {
  vocabSize: size("vocab_size", 49408),
  hiddenSize: size("hidden_size", 512),
  intermediateSize: size("intermediate_size", 2048),
  numLayers: size("num_hidden_layers", 12),
  numHeads: size("num_attention_heads", 8),
  maxPositionEmbeddings: size("max_position_embeddings", 77),
  activation: activation("hidden_act", "quick_gelu"),
  layerNormEpsilon: positive("layer_norm_eps", 1e-5),
  attentionDropout: probability("attention_dropout", 0),
  initializerRange: number("initializer_range", 0.02),
  projectionSize: size("projection_dim", 512),
  eosTokenId: count("eos_token_id", 49407),
};
const clipVision: Fields<ClipVisionConfig> = {
  hiddenSize: size("hidden_size", 768),
  intermediateSize: size("intermediate_size", 3072),
  numLayers: size("num_hidden_layers", 12),
  numHeads: size("num_attention_heads", 12),
  imageSize: size("image_size", 224),
  patchSize: size("patch_size", 32),
  numChannels: size("num_channels", 3),
  activation: activation("hidden_act", "quick_gelu"),
  layerNormEpsilon: positive("layer_norm_eps", 1e-5),
  attentionDropout: probability("attention_dropout", 0),
  initializerRange: number("initializer_range", 0.02),
  projectionSize: size("projection_dim", 512),
};
const siglipText: Fields<ClipTextConfig> = {
  ...clipText,
  vocabSize: size("vocab_size", 32000),
  hiddenSize: size("hidden_size", 768),
  intermediateSize: size("intermediate_size", 3072),
  numHeads: size("num_attention_heads", 12),
  maxPositionEmbeddings: size("max_position_embeddings", 64),
  activation: activation("hidden_act", "gelu_pytorch_tanh"),
  layerNormEpsilon: positive("layer_norm_eps", 1e-6),
  projectionSize: size("projection_size", 768),
};
const siglipVision: Fields<ClipVisionConfig> = {
  ...clipVision,
  patchSize: size("patch_size", 16),
  activation: activation("hidden_act", "gelu_pytorch_tanh"),
  layerNormEpsilon: positive("layer_norm_eps", 1e-6),
};

const layerKeys = {
  attention: "self_attn",
  "attention.query": "q_proj",
  "attention.key": "k_proj",
  "attention.value": "v_proj",
  "attention.output": "out_proj",
  attentionNorm: "layer_norm1",
  up: "mlp.fc1",
  down: "mlp.fc2",
  feedForwardNorm: "layer_norm2",
};

const newLayers = (config: TowerConfig, key: RandomKey) =>
  key.split(config.numLayers).map((part) => {
    const shared = { ...config, normPlacement: "pre", epsilon: config.layerNormEpsilon, init: normalInit(config.initializerRange) } as const;
    return new TransformerLayer({ ...shared, keys: layerKeys }, part);
  });

class TextTower extends Module {
  readonly tokenEmbedding: Embedding; // [V, D]
  readonly positionEmbedding: Embedding; // [T, D]
  readonly layers: TransformerLayer[];
  readonly finalLayerNorm: LayerNorm;
  readonly head?: Linear; // [P, D], in SigLIP
  protected override readonly checkpointKeys = {
    tokenEmbedding: "embeddings.token_embedding",
    positionEmbedding: "embeddings.position_embedding",
    layers: "encoder.layers",
  };
  private readonly config: ClipTextConfig;

  constructor(config: ClipTextConfig, { isSiglip }: Traits, key: RandomKey) {
    super();
    const [tokenKey, positionKey, layerKey, headKey] = key.split(4);
    const { vocabSize, hiddenSize: width, maxPositionEmbeddings, layerNormEpsilon: epsilon, initializerRange, projectionSize } = config;
    const init = normalInit(initializerRange);
    this.tokenEmbedding = new Embedding({ numEmbeddings: vocabSize, embeddingDim: width, init }, tokenKey);
    this.positionEmbedding = new Embedding({ numEmbeddings: maxPositionEmbeddings, embeddingDim: width, init }, positionKey);
    this.layers = newLayers(config, layerKey);
    this.finalLayerNorm = new LayerNorm({ width, epsilon }, layerKey);
    if (isSiglip) this.head = new Linear({ inFeatures: width, outFeatures: projectionSize, init }, headKey);
    this.config = config;
  }

  /** -> states [B, T, D], and the pooled one [B, D] */
  encode({ inputIds, attentionMask, key }: TextInputs & RunOptions): { states: Tensor<"f32">; pooled: Tensor<"f32"> } {
    const { maxPositionEmbeddings } = this.config;
    const length = inputIds.shape[1] as number;
    requireField("inputIds", length <= maxPositionEmbeddings, `at most ${maxPositionEmbeddings} tokens`, length);
    let x = add(this.tokenEmbedding.forward(inputIds), this.positionEmbedding.forward(arange(length))); // [B, T, D]
    const options = { mask: keyMask(attentionMask), isCausal: !this.head };
    for (const [i, layer] of this.layers.entries()) x = withScope(`layers.${i}`, () => layer.forward(x, { ...options, key: key?.fold(i) }).output);
    const states = this.finalLayerNorm.forward(x);
    return { states, pooled: this.head ? this.head.forward(at(states, length - 1)) : this.atEnd(states, inputIds) };
  }

  /** The state at the token that ends the text; the oldest checkpoints take the largest id for it. */
  private atEnd(states: Tensor<"f32">, ids: Tensor<"i32">): Tensor<"f32"> {
    const { eosTokenId } = this.config;
    const length = ids.shape[1] as number;
    const place = eosTokenId === 2 ? argmax(ids, { axis: 1 }) : argmax(cast(equal(ids, eosTokenId), "i32"), { axis: 1 }); // [B]
    return sum(mul(states, unsqueeze(oneHot(place as Tensor<"i64">, length), 2)), { axes: 1 });
  }
}

const at = (x: Tensor<"f32">, index: number): Tensor<"f32"> => {
  const [batch, , width] = x.shape;
  return reshape(slice(x, { axis: 1, start: index, end: index + 1 }), [batch, width]);
};

/** SigLIP's pooling: a learned query attends to all patches. */
class AttentionPooling extends Module {
  readonly probe: Parameter; // [1, 1, D]
  readonly inProjWeight: Parameter; // [3 D, D]: queries, keys, values
  readonly inProjBias: Parameter; // [3 D]
  readonly outProj: Linear; // [D, D]
  readonly layernorm: LayerNorm;
  readonly fc1: Linear; // [F, D]
  readonly fc2: Linear; // [D, F]
  protected override readonly checkpointKeys = {
    inProjWeight: "attention.in_proj_weight",
    inProjBias: "attention.in_proj_bias",
    outProj: "attention.out_proj",
    fc1: "mlp.fc1",
    fc2: "mlp.fc2",
  };
  private readonly config: ClipVisionConfig;

  constructor(config: ClipVisionConfig, key: RandomKey) {
    super();
    const [probeKey, inKey, outKey, upKey, downKey] = key.split(5);
    const { hiddenSize: width, intermediateSize, layerNormEpsilon: epsilon, initializerRange: range } = config;
    const init = normalInit(range);
    this.probe = token([1, 1, width], range, probeKey);
    this.inProjWeight = token([3 * width, width], range, inKey);
    this.inProjBias = new Parameter([3 * width], constantInit(0)(inKey, [3 * width]));
    this.outProj = new Linear({ inFeatures: width, outFeatures: width, init }, outKey);
    this.layernorm = new LayerNorm({ width, epsilon }, key);
    this.fc1 = new Linear({ inFeatures: width, outFeatures: intermediateSize, init }, upKey);
    this.fc2 = new Linear({ inFeatures: intermediateSize, outFeatures: width, init }, downKey);
    this.config = config;
  }

  /** states: [B, N, D] -> [B, D] */
  forward(states: Tensor<"f32">): Tensor<"f32"> {
    const { hiddenSize: width, numHeads, activation } = this.config;
    const batch = states.shape[0];
    const part = (x: Tensor<"f32">, i: number) => {
      const rows = { axis: 0, start: i * width, end: (i + 1) * width };
      return add(matmul(x, slice(this.inProjWeight.value, rows), { transposeB: true }), slice(this.inProjBias.value, rows));
    };
    const query = broadcastTo(this.probe.value, [batch, 1, width]);
    const attended = multiHeadAttention(part(query, 0), part(states, 1), part(states, 2), { numHeads }).output;
    const y = this.outProj.forward(attended);
    const made = this.fc2.forward(activations[activation](this.fc1.forward(this.layernorm.forward(y))));
    return at(add(y, made), 0);
  }
}

class VisionTower extends Module {
  readonly classEmbedding?: Parameter; // [D], in CLIP
  readonly patchEmbedding: PatchEmbeddings; // [D, 3, patch, patch]
  readonly positionEmbedding: Embedding; // [N + 1, D], in SigLIP [N, D]
  readonly preLayrnorm?: LayerNorm; // spelt so in the checkpoints
  readonly layers: TransformerLayer[];
  readonly postLayernorm: LayerNorm;
  readonly head?: AttentionPooling;
  protected override readonly checkpointKeys = {
    classEmbedding: "embeddings.class_embedding",
    patchEmbedding: "embeddings",
    positionEmbedding: "embeddings.position_embedding",
    layers: "encoder.layers",
  };
  private readonly config: ClipVisionConfig;

  constructor(config: ClipVisionConfig, { isSiglip }: Traits, key: RandomKey) {
    super();
    const [classKey, patchKey, positionKey, layerKey, headKey] = key.split(5);
    const { hiddenSize: width, imageSize, patchSize, layerNormEpsilon: epsilon, initializerRange: range } = config;
    const patches = Math.floor(imageSize / patchSize) ** 2;
    if (!isSiglip) this.classEmbedding = token([width], range, classKey);
    this.patchEmbedding = new PatchEmbeddings({ ...config, width, bias: isSiglip }, patchKey, "patch_embedding");
    const init = normalInit(range);
    this.positionEmbedding = new Embedding({ numEmbeddings: patches + (isSiglip ? 0 : 1), embeddingDim: width, init }, positionKey);
    if (!isSiglip) this.preLayrnorm = new LayerNorm({ width, epsilon }, layerKey);
    this.layers = newLayers(config, layerKey);
    this.postLayernorm = new LayerNorm({ width, epsilon }, layerKey);
    if (isSiglip) this.head = new AttentionPooling(config, headKey);
    this.config = config;
  }

  /** -> states [B, N, D], and the pooled one [B, D] */
  encode({ pixelValues, interpolatePosEncoding, key }: ImageInputs & RunOptions): { states: Tensor<"f32">; pooled: Tensor<"f32"> } {
    const { imageSize, patchSize, hiddenSize: width } = this.config;
    if (!interpolatePosEncoding) requireSize("image", pixelValues, [imageSize, imageSize]);
    const { patches, grid } = this.patchEmbedding.forward(pixelValues);
    const [batch, , height, columns] = pixelValues.shape;
    const side = Math.floor(imageSize / patchSize);
    const table = unsqueeze(this.positionEmbedding.weight.value, 0); // [1, N, D]
    const isSame = grid[0] * grid[1] === side * side && height === columns;
    const extra = this.classEmbedding ? 1 : 0;
    const stretched = () => stretchPositions(slice(table, { axis: 1, start: extra }), [side, side], grid);
    const positions = isSame ? table : extra ? concat([slice(table, { axis: 1, end: 1 }), stretched()], 1) : stretched();
    const all = this.classEmbedding ? concat([broadcastTo(reshape(this.classEmbedding.value, [1, 1, width]), [batch, 1, width]), patches], 1) : patches;
    let x = add(all, positions);
    x = this.preLayrnorm?.forward(x) ?? x;
    for (const [i, layer] of this.layers.entries()) x = withScope(`layers.${i}`, () => layer.forward(x, { key: key?.fold(i) }).output);
    if (!this.head) return { states: x, pooled: this.postLayernorm.forward(firstToken(x)) };
    const states = this.postLayernorm.forward(x);
    return { states, pooled: this.head.forward(states) };
  }
}

export interface TextInputs {
  /** i32 [N, T] */
  inputIds: Tensor<"i32">;
  /** bool [N, T], false for padding. @default all true */
  attentionMask?: Tensor<"bool">;
}

export interface ClipConfig {
  text: ClipTextConfig;
  vision: ClipVisionConfig;
  projectionSize: number;
  logitScale: number;
}

export interface ClipOutput {
  /** How well images and texts fit: [images, texts], and its transpose */
  logitsPerImage: Tensor<"f32">;
  logitsPerText: Tensor<"f32">;
  /** Of length 1. [images, P], [texts, P] */
  imageEmbeds: Tensor<"f32">;
  textEmbeds: Tensor<"f32">;
  visionModelOutput: { lastHiddenState: Tensor<"f32"> };
  textModelOutput: { lastHiddenState: Tensor<"f32"> };
}

const unit = (x: Tensor<"f32">): Tensor<"f32"> => div(x, norm(x, { axes: -1, keepDims: true })) as Tensor<"f32">;
type Made = { modelType: string; architecture: string; config: ClipConfig };

/** CLIP or SigLIP: compares images with texts. */
export class ClipModel extends TaskModel<TextInputs & ImageInputs, ClipOutput, object> {
  readonly textModel: TextTower;
  readonly visionModel: VisionTower;
  readonly visualProjection?: Linear; // [P, D], in CLIP
  readonly textProjection?: Linear; // [P, D], in CLIP
  readonly logitScale: Parameter; // [], in SigLIP [1]
  readonly logitBias?: Parameter; // [1], in SigLIP
  readonly config: ClipConfig;
  readonly task = "zero-shot-image-classification";
  readonly modelType: string;
  readonly architecture: string;

  constructor({ modelType, architecture, config }: Made, traits: Traits, key: RandomKey) {
    super();
    const { text, vision, projectionSize: outFeatures, logitScale } = config;
    const [textKey, visionKey, projectionKey] = key.split(3);
    this.textModel = new TextTower(text, traits, textKey);
    this.visionModel = new VisionTower(vision, traits, visionKey);
    if (!traits.isSiglip) {
      const projection = (inFeatures: number) => new Linear({ inFeatures, outFeatures, bias: false, init: normalInit(inFeatures ** -0.5) }, projectionKey);
      this.visualProjection = projection(vision.hiddenSize);
      this.textProjection = projection(text.hiddenSize);
    }
    const shape = traits.isSiglip ? [1] : [];
    this.logitScale = new Parameter(shape, constantInit(logitScale)(key, shape));
    if (traits.isSiglip) this.logitBias = new Parameter(shape, constantInit(0)(key, shape));
    this.config = config;
    this.modelType = modelType;
    this.architecture = architecture;
  }

  /** inputIds -> [texts, P], not of length 1 */
  textFeatures(inputs: TextInputs & RunOptions): Tensor<"f32"> {
    const { pooled } = withScope("text_model", () => this.textModel.encode(inputs));
    return this.textProjection?.forward(pooled) ?? pooled;
  }

  /** pixelValues -> [images, P], not of length 1 */
  imageFeatures(inputs: ImageInputs & RunOptions): Tensor<"f32"> {
    const { pooled } = withScope("vision_model", () => this.visionModel.encode(inputs));
    return this.visualProjection?.forward(pooled) ?? pooled;
  }

  forward({ inputIds, attentionMask, pixelValues, interpolatePosEncoding, key }: TextInputs & ImageInputs & RunOptions): ClipOutput {
    const text = withScope("text_model", () => this.textModel.encode({ inputIds, attentionMask, key: key?.fold(0) }));
    const vision = withScope("vision_model", () => this.visionModel.encode({ pixelValues, interpolatePosEncoding, key: key?.fold(1) }));
    const textEmbeds = unit(this.textProjection?.forward(text.pooled) ?? text.pooled);
    const imageEmbeds = unit(this.visualProjection?.forward(vision.pooled) ?? vision.pooled);
    const similar = mul(matmul(textEmbeds, imageEmbeds, { transposeB: true }), exp(this.logitScale.value));
    const logitsPerText = this.logitBias ? add(similar, this.logitBias.value) : similar;
    return {
      logitsPerText,
      logitsPerImage: transpose(logitsPerText),
      textEmbeds,
      imageEmbeds,
      textModelOutput: { lastHiddenState: text.states },
      visionModelOutput: { lastHiddenState: vision.states },
    };
  }

  /** The i-th text belongs to the i-th image. */
  loss(inputs: TextInputs & ImageInputs & RunOptions): Tensor<"f32"> {
    const { logitsPerText, logitsPerImage } = this.forward(inputs);
    const pairs = logitsPerText.shape[0] as number;
    const own = arange(pairs, "i32");
    if (!this.logitBias) return mul(add(classLoss(logitsPerText, own), classLoss(logitsPerImage, own)), 0.5);
    const signs = sub(mul(eye(pairs), 2), 1);
    return neg(mean(sum(logSigmoid(mul(signs, logitsPerText)), { axes: -1 })));
  }
}

/** One tower with its projection. */
export class ClipTextModelWithProjection extends TaskModel<TextInputs, { textEmbeds: Tensor<"f32">; lastHiddenState: Tensor<"f32"> }> {
  readonly textModel: TextTower;
  readonly textProjection: Linear; // [P, D]
  readonly config: ClipTextConfig;
  readonly task = "feature-extraction";
  readonly modelType = "clip_text_model";
  readonly architecture = "CLIPTextModelWithProjection";

  constructor(config: ClipTextConfig, key: RandomKey) {
    super();
    const [towerKey, projectionKey] = key.split(2);
    this.config = config;
    this.textModel = new TextTower(config, { isSiglip: false }, towerKey);
    this.textProjection = new Linear({ inFeatures: config.hiddenSize, outFeatures: config.projectionSize, bias: false }, projectionKey);
  }

  forward(inputs: TextInputs & RunOptions) {
    const { states, pooled } = this.textModel.encode(inputs);
    return { textEmbeds: this.textProjection.forward(pooled), lastHiddenState: states };
  }

  /** There is none: train ClipModel. */
  loss(): never {
    throw new TypeError(`${this.architecture} has no loss`);
  }
}

/** One tower with its projection. */
export class ClipVisionModelWithProjection extends TaskModel<ImageInputs, { imageEmbeds: Tensor<"f32">; lastHiddenState: Tensor<"f32"> }> {
  readonly visionModel: VisionTower;
  readonly visualProjection: Linear; // [P, D]
  readonly config: ClipVisionConfig;
  readonly task = "feature-extraction";
  readonly modelType = "clip_vision_model";
  readonly architecture = "CLIPVisionModelWithProjection";

  constructor(config: ClipVisionConfig, key: RandomKey) {
    super();
    const [towerKey, projectionKey] = key.split(2);
    this.config = config;
    this.visionModel = new VisionTower(config, { isSiglip: false }, towerKey);
    this.visualProjection = new Linear({ inFeatures: config.hiddenSize, outFeatures: config.projectionSize, bias: false }, projectionKey);
  }

  forward(inputs: ImageInputs & RunOptions) {
    const { states, pooled } = this.visionModel.encode(inputs);
    return { imageEmbeds: this.visualProjection.forward(pooled), lastHiddenState: states };
  }

  /** There is none: train ClipModel. */
  loss(): never {
    throw new TypeError(`${this.architecture} has no loss`);
  }
}

/** The vision tower of CLIP or SigLIP with a classifier on the mean of its patches: [B, N]. */
export class ClipForImageClassification extends TaskModel<ImageInputs, { logits: Tensor<"f32"> }> {
  readonly visionModel: VisionTower;
  readonly classifier: Linear; // [N, D]
  readonly config: ClipConfig & LabelConfig;
  readonly task = "image-classification";
  readonly modelType: string;
  readonly architecture: string;

  constructor({ modelType, architecture, config }: Made & { config: ClipConfig & LabelConfig }, traits: Traits, key: RandomKey) {
    super();
    const [towerKey, headKey] = key.split(2);
    this.config = config;
    this.modelType = modelType;
    this.architecture = architecture;
    this.visionModel = new VisionTower(config.vision, traits, towerKey);
    this.classifier = new Linear({ inFeatures: config.vision.hiddenSize, outFeatures: config.labels.length }, headKey);
  }

  forward(inputs: ImageInputs & RunOptions): { logits: Tensor<"f32"> } {
    const { states } = this.visionModel.encode(inputs);
    const patches = this.visionModel.classEmbedding ? slice(states, { axis: 1, start: 1 }) : states;
    return { logits: this.classifier.forward(mean(patches, { axes: 1 })) };
  }

  loss({ labels, ...inputs }: ImageInputs & RunOptions & { labels: Tensor<"i32"> | Tensor<"f32"> }): Tensor<"f32"> {
    return sequenceLoss(this.forward(inputs).logits, labels, this.config);
  }
}

const read = <C extends object>(path: string, name: string, json: unknown, fields: Fields<C>): C =>
  makeConfig(name, fields, fromJson(`${path}, ${name}`, (json ?? {}) as Json, fields));
const checkHeads = (name: string, { hiddenSize, numHeads }: TowerConfig): void =>
  requireField(name, hiddenSize % numHeads === 0, "hiddenSize to be a multiple of numHeads", [hiddenSize, numHeads]);

const clipLike = (modelType: string, className: string, text: Fields<ClipTextConfig>, vision: Fields<ClipVisionConfig>, traits: Traits): Family => ({
  modelType,
  tasks: { [`${className}ForImageClassification`]: "image-classification", [`${className}Model`]: "zero-shot-image-classification" } satisfies Record<
    string,
    Task
  >,
  create: (architecture, path, json, key): PretrainedModel => {
    // old files repeat a tower's config under another name, which then counts
    const textJson = { ...(json.text_config as Json), ...(json.text_config_dict as Json) };
    const width = textJson.hidden_size ?? text.hiddenSize.default;
    const towers = {
      text: read(path, "text_config", { ...textJson, projection_size: textJson.projection_size ?? width }, text),
      vision: read(path, "vision_config", { ...(json.vision_config as Json), ...(json.vision_config_dict as Json) }, vision),
    };
    checkHeads("text_config", towers.text);
    checkHeads("vision_config", towers.vision);
    const projectionSize = (json.projection_dim as number | undefined) ?? clipText.projectionSize.default;
    const logitScale = (json.logit_scale_init_value as number | undefined) ?? Math.log(1 / 0.07);
    const config = { ...towers, projectionSize, logitScale };
    if (!architecture.endsWith("ForImageClassification")) return new ClipModel({ modelType, architecture, config }, traits, key);
    return new ClipForImageClassification({ modelType, architecture, config: { ...config, ...labelsFromJson(path, json) } }, traits, key);
  },
  configToJson: ({ config, task }) => {
    const { text: ownText, vision: ownVision, projectionSize, logitScale } = config as ClipConfig;
    return {
      text_config: { model_type: `${modelType}_text_model`, ...toJson(ownText, text) },
      vision_config: { model_type: `${modelType}_vision_model`, ...toJson(ownVision, vision) },
      ...(traits.isSiglip ? {} : { projection_dim: projectionSize, logit_scale_init_value: logitScale }),
      ...(task === "image-classification" ? labelsToJson(config as unknown as LabelConfig) : {}),
    };
  },
  tensorName: (name) => (/embeddings\.position_ids$/.test(name) ? undefined : name),
});

const tower = <C extends TowerConfig>(
  modelType: string,
  architecture: string,
  fields: Fields<C>,
  make: (config: C, key: RandomKey) => PretrainedModel,
): Family => ({
  modelType,
  tasks: { [architecture]: "feature-extraction" },
  create: (_, path, json, key) => make(read(path, modelType, json, fields), key),
  configToJson: ({ config }) => toJson(config as C, fields),
  tensorName: (name) => (/embeddings\.position_ids$/.test(name) ? undefined : name),
});

export const clips = [
  clipLike("clip", "CLIP", clipText, clipVision, { isSiglip: false }),
  clipLike("siglip", "Siglip", siglipText, siglipVision, { isSiglip: true }),
  tower("clip_text_model", "CLIPTextModelWithProjection", clipText, (config, key) => new ClipTextModelWithProjection(config, key)),
  tower("clip_vision_model", "CLIPVisionModelWithProjection", clipVision, (config, key) => new ClipVisionModelWithProjection(config, key)),
];
