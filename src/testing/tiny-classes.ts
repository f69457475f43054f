/** Every class of docs/models.md, with a camelCase config of a tiny model. */
import { expect } from "vitest";
import { families, fromPretrained, LlamaForCausalLM, type PretrainedModel, savePretrained } from "../models/index.ts";
import { type RandomKey, randomKey } from "../tensor/index.ts";

const decoder = { vocabSize: 32, hiddenSize: 16, numLayers: 2, numHeads: 2 };
const narrow = { ...decoder, intermediateSize: 24, padTokenId: null };
/** Heads that share keys. */
export const grouped = { ...narrow, numHeads: 4, numKeyHeads: 2 };
const experts = { ...grouped, numExperts: 4, numExpertsPerToken: 2 };
const encoder = { ...decoder, intermediateSize: 24, padTokenId: 1, maxPositionEmbeddings: 16 };
const tower = { hiddenSize: 16, intermediateSize: 24, numLayers: 2, numHeads: 2 };
const picture = { ...tower, imageSize: 8, patchSize: 4 };
const stacks = {
  ...{ vocabSize: 32, hiddenSize: 16, encoderLayers: 1, decoderLayers: 2, encoderHeads: 2, decoderHeads: 2 },
  ...{ encoderIntermediateSize: 24, decoderIntermediateSize: 24, padTokenId: 1 },
};
const t5 = { vocabSize: 32, hiddenSize: 16, headDim: 8, intermediateSize: 24, numLayers: 2, numHeads: 2 };
const labels = ["cat", "dog", "ox"];
const stages = { hiddenSizes: [8, 16], depths: [1, 1], numHeads: [1, 2], labels };
const clip = { text: { ...tower, vocabSize: 32, maxPositionEmbeddings: 8 }, vision: picture };

/** Tiny configs of the families, by model_type; what they do not say are transformers' defaults. */
const configs: Readonly<Record<string, object>> = {
  gpt2: decoder,
  gpt_neox: { ...decoder, intermediateSize: 24 },
  llama: grouped,
  mistral: grouped,
  qwen2: grouped,
  qwen3: { ...grouped, headDim: 8 },
  olmo2: grouped,
  smollm3: grouped,
  gemma: { ...grouped, headDim: 8 },
  gemma2: { ...grouped, headDim: 8 },
  gemma3_text: { ...grouped, headDim: 8 },
  olmo3: grouped,
  phi3: grouped,
  glm: { ...grouped, headDim: 8 },
  glm4: { ...grouped, headDim: 8 },
  mixtral: experts,
  qwen3_moe: { ...experts, moeIntermediateSize: 8 },
  deepseek_v3: {
    ...{ ...narrow, numExperts: 4, numExpertsPerToken: 2, numGroups: 2, topkGroup: 1, moeIntermediateSize: 8 },
    ...{ kvLoraRank: 8, qLoraRank: 8, qkRopeHeadDim: 4, qkNopeHeadDim: 4, vHeadDim: 8, firstKDenseReplace: 1 },
  },
  bert: { ...encoder, labels },
  roberta: { ...encoder, labels },
  "xlm-roberta": { ...encoder, labels, problemType: "multi_label_classification" },
  distilbert: { ...encoder, labels },
  albert: { ...encoder, labels, embeddingSize: 8 },
  electra: { ...encoder, labels, embeddingSize: 8 },
  "deberta-v2": {
    ...encoder,
    labels,
    relativeAttention: true,
    positionTypes: ["c2p", "p2c"],
    normalizesPositions: true,
  },
  modernbert: { ...encoder, labels },
  t5,
  mt5: t5,
  bart: { ...stacks, maxPositionEmbeddings: 16 },
  marian: { ...stacks, maxPositionEmbeddings: 16, eosTokenId: 0, decoderStartTokenId: 1 },
  whisper: { ...stacks, maxSourcePositions: 8, maxTargetPositions: 8, numMelBins: 8 },
  resnet: { embeddingSize: 8, hiddenSizes: [16, 32], depths: [1, 2], labels },
  convnet: { hiddenSizes: [8, 12], depths: [1, 2], labels },
  convnext: { hiddenSizes: [8, 16], depths: [1, 1], labels },
  mobilenet_v2: { depthMultiplier: 0.25, labels },
  vit: { ...picture, labels },
  deit: { ...picture, labels },
  dinov2: { hiddenSize: 16, numLayers: 2, numHeads: 2, imageSize: 8, patchSize: 4, labels },
  swin: { imageSize: 16, patchSize: 2, embedDim: 8, depths: [1, 1], numHeads: [1, 2], windowSize: 2, labels },
  segformer: {
    ...stages,
    srRatios: [2, 1],
    patchSizes: [3, 3],
    strides: [2, 2],
    mlpRatios: [2, 2],
    decoderHiddenSize: 8,
  },
  clip: { ...clip, projectionSize: 8 },
  siglip: clip,
  clip_text_model: { ...clip.text, projectionSize: 8 },
  clip_vision_model: { ...picture, projectionSize: 8 },
  yolos: { ...picture, numDetectionTokens: 3, labels },
  detr: {
    ...{ hiddenSize: 16, numQueries: 3, encoderLayers: 1, decoderLayers: 2, encoderHeads: 2, decoderHeads: 2, labels },
    ...{ encoderIntermediateSize: 24, decoderIntermediateSize: 24 },
    backbone: { embeddingSize: 8, hiddenSizes: [16, 32], depths: [1, 1], layerType: "basic" },
  },
  llava: {
    languageModel: (key: RandomKey) => new LlamaForCausalLM(grouped, key),
    ...{ vision: picture, imageTokenId: 5 },
  },
  qwen2_vl: {
    text: { ...grouped, headDim: 4, rope: { mrope_section: [1, 1, 0] } },
    vision: { depth: 1, embedDim: 16, numHeads: 2, patchSize: 4 },
    ...{ imageTokenId: 5, videoTokenId: 6 },
  },
  blip: { text: { ...tower, vocabSize: 32, bosTokenId: 1, sepTokenId: 2 }, vision: picture },
};

type AnyClass = new (config: object, key: RandomKey) => PretrainedModel;
/** The classes of all families. */
export const classes = [...families].flatMap(({ modelType, classes }) =>
  Object.entries(classes).map(([name, Class]) => ({ name, modelType, Class: Class as unknown as AnyClass })),
);
/** A classifier's options; other classes of BART, CLIP and SigLIP have no labels. */
export const configOf = (modelType: string, name: string): object =>
  /^(Bart|CLIP|Siglip)For(Image|Sequence)Classification$/.test(name)
    ? { ...configs[modelType], labels }
    : configs[modelType];

/** Makes a class of its config, saves it, opens it: it is what it was. @param folder where it is saved */
export async function expectReopened(
  { name, modelType, Class }: (typeof classes)[number],
  folder: string,
): Promise<void> {
  const model = new Class(configOf(modelType, name), randomKey(7));
  expect([model.modelType, model.architecture]).toEqual([modelType, name]);
  const warnings: string[] = [];
  await savePretrained(model, folder);
  const opened = await fromPretrained(folder, {
    strict: true,
    onWarning: ({ notes }) => warnings.push(...notes.filter((note) => !/is no token of a vocabulary/.test(note))),
  });
  expect(warnings).toEqual([]);
  expect(opened).toBeInstanceOf(Class);
  expect(opened.config).toEqual(model.config);
  const stored = opened.namedState();
  expect([...stored.keys()]).toEqual([...model.namedState().keys()]);
  for (const [key, variable] of model.namedState())
    expect([key, await stored.get(key)?.read()]).toEqual([key, await variable.read()]);
  model.dispose();
  opened.dispose();
}
