/**
 * Models as ONNX files that ONNX Runtime runs alone, with the names of inputs and outputs that optimum and
 * transformers.js have.
 */
import { join } from "node:path";
import { checkOptions } from "../../base/index.ts";
import { addSizes, type Size } from "../../ir/index.ts";
import { GrowingCache, type KeysAndValues, mergeHeads, splitHeads } from "../../nn/index.ts";
import { type ExportOptions, exportOnnx, type OnnxInput } from "../../onnx/index.ts";
import {
  arange,
  broadcastTo,
  cast,
  cumsum,
  flip,
  gather,
  greaterEqual,
  max,
  notEqual,
  sub,
  type Tensor,
  zeros,
} from "../../tensor/index.ts";
import { saveCompanions } from "../companions.ts";
import type { CausalLM } from "../decoders/causal-lm.ts";
import type { PretrainedModel, Task } from "../model.ts";
import type { TaskModels } from "../pretrained.ts";
import { saveConfigs } from "../save-pretrained.ts";
import type { EncoderDecoder } from "../seq2seq/seq2seq.ts";
import type { ImageTextModel } from "../vision-language/vision-language.ts";

export interface ExportModelOptions extends ExportOptions {
  /** Height and width of pictures, in pixels. @default what the config says, or 224 */
  imageSize?: readonly [number, number];
}

type Tensors = Record<string, Tensor>;
type Inputs = Readonly<Record<string, OnnxInput>>;
type Anything = { forward(inputs: object): Record<string, Tensor | Tensor[] | object | undefined> };

const BATCH = "batch_size";
const LENGTH = "sequence_length";
const SOURCE = "encoder_sequence_length";
const ids = (length = LENGTH): OnnxInput => ({ dtype: "i64", shape: [BATCH, length] });

/**
 * Writes a model into a folder: model.onnx; of encoder-decoders encoder_model.onnx, decoder_model.onnx for the first
 * tokens, and decoder_with_past_model.onnx for each that follows. Keys and values of the tokens before are inputs and
 * outputs: past_key_values.N.key and present.N.key, or, of encoder-decoders, past_key_values.N.decoder.key and
 * past_key_values.N.encoder.key. Models that read images in a text are vision_encoder.onnx, embed_tokens.onnx and
 * decoder_model_merged.onnx, whose inputs_embeds hold the image_features in their places. Beside them are config.json,
 * generation_config.json and the tokenizer of where the model was loaded from: `fromPretrained` opens the folder again.
 * @returns the names of the ONNX files
 */
export async function exportModel(
  model: PretrainedModel,
  folder: string,
  options: ExportModelOptions = {},
): Promise<string[]> {
  checkOptions("exportModel", options, ["imageSize", "externalData", "names"]);
  const { imageSize: _, ...fileOptions } = options;
  const write = async (name: string, forward: (inputs: Tensors) => Tensors, inputs: Inputs) => {
    await exportOnnx(join(folder, name), forward, inputs, { names: model.namedState(), ...fileOptions });
    return name;
  };
  await saveConfigs(model, folder);
  await saveCompanions(model.source, folder);
  const { task } = model;
  if (task === "causal-lm") return [await write("model.onnx", ...causalLM(model as CausalLM))];
  if (task === "seq2seq-lm" || task === "speech-seq2seq" || task === "image-to-text") {
    const { encoder, decoder, decoderWithPast } = encoderDecoder(model as TaskModels["seq2seq-lm"], options);
    return [
      await write("encoder_model.onnx", ...encoder),
      await write("decoder_model.onnx", ...decoder),
      await write("decoder_with_past_model.onnx", ...decoderWithPast),
    ];
  }
  if (task === "image-text-to-text") {
    const { vision, tokens, decoder } = imageText(model as ImageTextModel, options);
    return [
      await write("vision_encoder.onnx", ...vision),
      await write("embed_tokens.onnx", ...tokens),
      await write("decoder_model_merged.onnx", ...decoder),
    ];
  }
  const inputs = inputsOf(model, options);
  const run = (given: Tensors) => flatOutputs((model as unknown as Anything).forward(ownInputs(given)), task);
  return [await write("model.onnx", run, inputs)];
}

/** The tensors of a model's result that its task is about, under transformers' names. */
function flatOutputs(outputs: Record<string, unknown>, task: Task): Tensors {
  const wanted = Object.entries(outputs).filter(
    ([name, value]) => value !== undefined && name !== "hiddenStates" && !name.endsWith("ModelOutput"),
  );
  const tensors = wanted.filter((entry): entry is [string, Tensor] => "dtype" in Object(entry[1]));
  const named = tensors.map(([name, tensor]) => [snake(name), tensor] as const);
  return Object.fromEntries(
    task === "object-detection" ? named.filter(([name]) => name === "logits" || name === "pred_boxes") : named,
  );
}

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const camel = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

/** i64 ids and masks as the model takes them. */
function ownInputs(given: Tensors): Tensors {
  return Object.fromEntries(
    Object.entries(given).map(([name, tensor]) => {
      if (tensor.dtype !== "i64") return [camel(name), tensor];
      return [camel(name), name.endsWith("mask") ? notEqual(tensor, 0) : cast(tensor, "i32")];
    }),
  );
}

interface SomeConfig {
  maxPositionEmbeddings?: number;
  vocabSize?: number;
  typeVocabSize?: number;
  imageSize?: number | readonly number[];
  numChannels?: number;
  numMelBins?: number;
  maxSourcePositions?: number;
  hiddenSize?: number;
  text?: SomeConfig;
  vision?: SomeConfig;
}

const DEFAULT_IMAGE = 224;

function image(
  { imageSize, vision, numChannels = 3 }: SomeConfig,
  { imageSize: given }: ExportModelOptions,
): OnnxInput {
  const size = given ?? imageSize ?? vision?.imageSize ?? DEFAULT_IMAGE;
  const [height, width] = typeof size === "number" ? [size, size] : size;
  return { dtype: "f32", shape: [BATCH, vision?.numChannels ?? numChannels, height, width] };
}

function inputsOf(model: PretrainedModel, options: ExportModelOptions): Inputs {
  const config = model.config as SomeConfig;
  const { task, modelType } = model;
  const pixels = image(config, options);
  const textInputs = {
    input_ids: ids(),
    attention_mask: ids(),
    ...((config.typeVocabSize ?? 0) > 1 && { token_type_ids: ids() }),
  };
  if (task === "zero-shot-image-classification") {
    const { input_ids: _, attention_mask: __, ...rest } = textInputs;
    // SigLIP's texts are padded to one length, at whose end it reads what they say
    const length = modelType === "siglip" ? (config.text?.maxPositionEmbeddings as number) : LENGTH;
    const texts = { dtype: "i64", shape: ["text_batch_size", length] } as const;
    return {
      input_ids: texts,
      attention_mask: texts,
      ...rest,
      pixel_values: { ...pixels, shape: ["image_batch_size", ...pixels.shape.slice(1)] },
    };
  }
  const isImage = config.vocabSize === undefined || modelType === "clip_vision_model";
  if (!isImage) return textInputs;
  return {
    pixel_values: pixels,
    ...(modelType === "detr" && { pixel_mask: { dtype: "i64", shape: [BATCH, ...pixels.shape.slice(2)] } }),
  };
}

/**
 * Inputs: ids of the new tokens, the mask of all, positions of the new ones, keys and values of those before. With
 * `hasImages` inputs_embeds are in place of ids, and there may be positions in time, height and width.
 */
function causalLM(
  model: CausalLM,
  hasImages = false,
  positionAxes: readonly number[] = [],
): [(inputs: Tensors) => Tensors, Inputs] {
  const { numLayers } = model.config;
  const { numKeyHeads, headDim } = model.cacheShape;
  const past = { dtype: "f32", shape: [BATCH, numKeyHeads, "past_sequence_length", headDim] } as const;
  const inputs: Inputs = {
    ...(hasImages
      ? { inputs_embeds: { dtype: "f32", shape: [BATCH, LENGTH, model.config.hiddenSize] } }
      : { input_ids: ids() }),
    attention_mask: ids(`past_sequence_length + ${LENGTH}`),
    position_ids: { dtype: "i64", shape: [...positionAxes, BATCH, LENGTH] },
    ...heldInputs(numLayers, { key: past, value: past }),
  };
  const forward = (given: Tensors): Tensors => {
    const keyMask = notEqual(given.attention_mask, 0);
    const keyPositions = sub(cumsum(cast(keyMask, "i32"), { axis: 1 }), 1); // [B, P + T]
    const positions = cast(given.position_ids, "i32");
    const length = positions.shape[positions.rank - 1];
    // those of images are not their places in the text
    const queryPositions = hasImages ? lastOf(keyPositions, length) : positions;
    const cache = new GrowingCache(held(given, "", numLayers), { queryPositions, keyPositions, keyMask });
    const embeddings = given.inputs_embeds as Tensor<"f32"> | undefined;
    const tokens = embeddings ? zeros(queryPositions.shape, "i32") : cast(given.input_ids, "i32");
    const hidden = model.hidden(tokens, { positions, embeddings, cache });
    return { logits: model.logits(hidden), ...named("present", "", cache.layers) };
  };
  return [forward, inputs];
}

/** The last entries of rows: [B, N] -> [B, length] */
function lastOf(rows: Tensor<"i32">, length: Size): Tensor<"i32"> {
  const last = max(arange(rows.shape[1]));
  return gather(rows, sub(last, flip(arange(length))) as Tensor<"i32">, 1);
}

/** What images become, what tokens become, and the text model over both. */
function imageText(model: ImageTextModel, options: ExportModelOptions) {
  const config: SomeConfig = model.config;
  const { languageModel, modelType } = model;
  const isQwen = modelType === "qwen2_vl";
  const visionInputs: Inputs = isQwen
    ? {
        pixel_values: patches(config.vision as PatchConfig, options),
        image_grid_thw: { dtype: "i64", shape: ["num_images", 3] },
      }
    : { pixel_values: image(config, options) };
  const see = (given: Tensors): Tensors => ({
    image_features: model.imageFeatures(ownInputs(given) as { pixelValues: Tensor<"f32"> }),
  });
  const embed = (given: Tensors): Tensors => ({ inputs_embeds: languageModel.embed(cast(given.input_ids, "i32")) });
  return {
    vision: [see, visionInputs] as const,
    tokens: [embed, { input_ids: ids() }] as const,
    decoder: causalLM(languageModel, true, isQwen ? [3] : []),
  };
}

interface PatchConfig {
  patchSize: number;
  temporalPatchSize: number;
  inChannels: number;
}

/** The patches of one picture of the size that was asked for, or of several smaller ones. */
function patches(
  { patchSize, temporalPatchSize, inChannels }: PatchConfig,
  { imageSize = [DEFAULT_IMAGE, DEFAULT_IMAGE] }: ExportModelOptions,
): OnnxInput {
  const count = imageSize.map((side) => Math.floor(side / patchSize)).reduce((a, b) => a * b, 1);
  return { dtype: "f32", shape: [count, inChannels * temporalPatchSize * patchSize ** 2] };
}

/** Keys and values under the names of their layers: `past_key_values.0.decoder.key`. */
const named = (prefix: string, suffix: string, layers: readonly { k: Tensor; v: Tensor }[]): Tensors =>
  Object.fromEntries(
    layers.flatMap(({ k, v }, i) => [
      [`${prefix}.${i}.${suffix}key`, k],
      [`${prefix}.${i}.${suffix}value`, v],
    ]),
  );
/** The inputs that `held` reads: some parts of every layer. */
const heldInputs = (layers: number, parts: Inputs): Inputs =>
  Object.fromEntries(
    Array.from({ length: layers }, (_, i) =>
      Object.entries(parts).map(([part, input]): [string, OnnxInput] => [`past_key_values.${i}.${part}`, input]),
    ).flat(),
  );
const held = (given: Tensors, suffix: string, layers: number): KeysAndValues[] =>
  Array.from({ length: layers }, (_, i) => {
    const [k, v] = ["key", "value"].map((part) => given[`past_key_values.${i}.${suffix}${part}`] as Tensor<"f32">);
    return { k, v };
  });

/**
 * The encoder; the decoder over the first tokens; and over one more token, after the keys and values of those before
 * and of the encoder.
 */
function encoderDecoder(model: EncoderDecoder & PretrainedModel, options: ExportModelOptions) {
  const config: SomeConfig = model.config;
  const { numLayers, numKeyHeads: numHeads, headDim } = model.cacheShape;
  const isSpeech = model.task === "speech-seq2seq";
  const isImage = model.task === "image-to-text";
  const encoderInputs: Inputs = isSpeech
    ? {
        input_features: {
          dtype: "f32",
          shape: [BATCH, config.numMelBins ?? 80, 2 * (config.maxSourcePositions ?? 1500)],
        },
      }
    : isImage
      ? { pixel_values: image(config, options) }
      : { input_ids: ids(SOURCE), attention_mask: ids(SOURCE) };
  const encode = (given: Tensors): Tensors => ({ last_hidden_state: model.encode(ownInputs(given)) });

  const mask: Inputs = isSpeech || isImage ? {} : { encoder_attention_mask: ids(SOURCE) };
  const states: OnnxInput = { dtype: "f32", shape: [BATCH, SOURCE, (config.vision ?? config).hiddenSize as number] };
  /** The new tokens after `past`; `across` are the encoder's keys and values, [B, S, H Dh]. */
  const decode = (given: Tensors, past: readonly KeysAndValues[], across: readonly KeysAndValues[]): Tensors => {
    const inputIds = cast(given.input_ids, "i32");
    const [batch, length] = inputIds.shape;
    const keys = addSizes(past[0].k.shape[2], length);
    const keyPositions = broadcastTo(arange(keys), [batch, keys]);
    const isFirst = past[0].k.shape[2] === 0;
    // all, or the one new token's
    const queryPositions = isFirst ? keyPositions : (max(keyPositions, { axes: 1, keepDims: true }) as Tensor<"i32">);
    const encoderMask = given.encoder_attention_mask && notEqual(given.encoder_attention_mask, 0);
    const keyMask = greaterEqual(keyPositions, 0);
    const cache = new GrowingCache(past, { queryPositions, keyPositions, keyMask });
    const hidden = model.decode(inputIds, { encoderKeysAndValues: across, encoderMask, cache });
    return { logits: model.logits(hidden), ...named("present", "decoder.", cache.layers) };
  };
  const headsOf = (layers: readonly KeysAndValues[], turn: (x: Tensor<"f32">) => Tensor<"f32">) =>
    layers.map(({ k, v }) => ({ k: turn(k), v: turn(v) }));
  const begin = (given: Tensors): Tensors => {
    const across = model.crossKeysAndValues(given.encoder_hidden_states as Tensor<"f32">);
    const split = headsOf(across, (x) => splitHeads(x, numHeads));
    const { shape } = split[0].k;
    const nothing = zeros([shape[0] as number, numHeads, 0, shape[3] as number]);
    const past = across.map(() => ({ k: nothing, v: nothing }));
    return { ...decode(given, past, across), ...named("present", "encoder.", split) };
  };
  const goOn = (given: Tensors): Tensors =>
    decode(given, held(given, "decoder.", numLayers), headsOf(held(given, "encoder.", numLayers), mergeHeads));

  const layer = (length: string): OnnxInput => ({ dtype: "f32", shape: [BATCH, numHeads, length, headDim] });
  const [own, across] = [layer("past_sequence_length"), layer(SOURCE)];
  const pastInputs = heldInputs(numLayers, {
    "decoder.key": own,
    "decoder.value": own,
    "encoder.key": across,
    "encoder.value": across,
  });
  return {
    encoder: [encode, encoderInputs] as const,
    decoder: [begin, { input_ids: ids(), encoder_hidden_states: states, ...mask }] as const,
    decoderWithPast: [goOn, { input_ids: { dtype: "i64", shape: [BATCH, 1] }, ...mask, ...pastInputs }] as const,
  };
}
