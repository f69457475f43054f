/** What a model says of its ONNX files, under the names of inputs and outputs that optimum and transformers.js have. */
import type { KeysAndValues } from "../../../nn/index.ts";
import type { OnnxInput } from "../../../onnx/index.ts";
import { cast, notEqual, type Tensor } from "../../../tensor/index.ts";

/** Inputs or outputs of a file, by their names in it. */
export type OnnxTensors = Record<string, Tensor>;
/** Inputs by their names; sizes that are open have names too. */
export type OnnxInputs = Readonly<Record<string, OnnxInput>>;

/** One ONNX file of a model. */
export interface OnnxPart {
  /** Such as "model.onnx". */
  readonly file: string;
  readonly inputs: OnnxInputs;
  /**
   * What the file computes, traced once: from tensors of the shapes of `inputs`, such as i64 [B, T], to its outputs.
   */
  forward(inputs: OnnxTensors): OnnxTensors;
}

/** What a model's ONNX files are written for. */
export interface OnnxPartOptions {
  /** Height and width of pictures, in pixels. @default what the config says, or 224 */
  imageSize?: readonly [number, number];
}

/** B, an open size, as it is called in the files. */
export const BATCH = "batch_size";
/** T, an open size, as it is called in the files. */
export const LENGTH = "sequence_length";
/** Height and width of pictures where nothing says it. */
export const IMAGE_SIZE = 224;

/** Ids or a mask of texts: i64 [batch_size, length]. */
export const onnxIds = (length = LENGTH): OnnxInput => ({ dtype: "i64", shape: [BATCH, length] });

/** Texts, and the kinds of their tokens where a model knows several. */
export const onnxTexts = (tokenTypes = 0): OnnxInputs => ({
  input_ids: onnxIds(),
  attention_mask: onnxIds(),
  ...(tokenTypes > 1 && { token_type_ids: onnxIds() }),
});

/** Pictures, f32 [batch_size, channels, height, width]: of the size that is asked for, or else that of the config. */
export function onnxPictures(
  { numChannels = 3, imageSize }: { numChannels?: number; imageSize?: number | readonly number[] },
  options: OnnxPartOptions,
): OnnxInput {
  const size = options.imageSize ?? imageSize ?? IMAGE_SIZE;
  const [height, width] = typeof size === "number" ? [size, size] : size;
  return { dtype: "f32", shape: [BATCH, numChannels, height, width] };
}

/** i64 ids and masks as a model takes them, in i32 and bool, under its names of inputs. */
export function modelInputs<Inputs extends object>(inputs: OnnxTensors): Inputs {
  const entries = Object.entries(inputs).map(([name, tensor]) => {
    if (tensor.dtype !== "i64") return [camel(name), tensor];
    return [camel(name), name.endsWith("mask") ? notEqual(tensor, 0) : cast(tensor, "i32")];
  });
  return Object.fromEntries(entries) as Inputs;
}

/** model.onnx: a forward as it is, with the tensors of its result under transformers' names. */
export const modelPart = <Inputs extends object>(
  inputs: OnnxInputs,
  forward: (inputs: Inputs) => object,
): OnnxPart => ({
  file: "model.onnx",
  inputs,
  forward: (tensors) => {
    const outputs = Object.entries<unknown>(forward(modelInputs<Inputs>(tensors)) as Record<string, unknown>);
    const isTensor = (entry: [string, unknown]): entry is [string, Tensor] => "dtype" in Object(entry[1]);
    return Object.fromEntries(outputs.filter(isTensor).map(([name, tensor]) => [snake(name), tensor]));
  },
});

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const camel = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

/** Keys and values as outputs under the names of their layers: `present.0.decoder.key`. */
export const presentOutputs = (suffix: string, layers: readonly { k: Tensor; v: Tensor }[]): OnnxTensors =>
  Object.fromEntries(
    layers.flatMap(({ k, v }, i) => [
      [`present.${i}.${suffix}key`, k],
      [`present.${i}.${suffix}value`, v],
    ]),
  );

/** The inputs that `pastOf` reads: some parts of every layer, such as `past_key_values.0.decoder.key`. */
export const pastInputs = (layers: number, parts: OnnxInputs): OnnxInputs =>
  Object.fromEntries(
    Array.from({ length: layers }, (_, i) =>
      Object.entries(parts).map(([part, input]): [string, OnnxInput] => [`past_key_values.${i}.${part}`, input]),
    ).flat(),
  );

/** Keys and values of each layer among the inputs. */
export const pastOf = (inputs: OnnxTensors, suffix: string, layers: number): KeysAndValues[] =>
  Array.from({ length: layers }, (_, i) => {
    const [k, v] = ["key", "value"].map((part) => inputs[`past_key_values.${i}.${suffix}${part}`] as Tensor<"f32">);
    return { k, v };
  });
