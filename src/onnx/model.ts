import { bytesPerElement, DataError, type DType, isFloat, ShapeError } from "../base/index.ts";
import { fileAt, readBytes, type StoredFile } from "../files/index.ts";
import { constantValue, describe, type TensorType, type Value } from "../ir/index.ts";
import { type ModelProto, onnxFormat } from "../lower/index.ts";
import { Module, Parameter } from "../nn/index.ts";
import { Tensor } from "../tensor/index.ts";
import { convertGraph } from "./graph.ts";
import { dtypeOf, type ExternalData, readTensor } from "./tensors.ts";

/** An input or output of a model: sizes that the file leaves open are names or null. */
export interface OnnxSignature {
  name: string;
  dtype: DType;
  shape: readonly (number | string | null)[] | undefined;
}

/**
 * Somebody else's model as a module: its float weights are parameters, so it can be run, differentiated and trained
 * further. Make one with loadOnnx. Shapes are those of the tensors that `forward` is given.
 */
export class OnnxModel extends Module {
  readonly inputs: readonly OnnxSignature[];
  readonly outputs: readonly OnnxSignature[];
  /** Float weights by their names in the file. */
  readonly weights: Readonly<Record<string, Parameter>>;
  private readonly constants: ReadonlyMap<string, Value>;
  private readonly proto: ModelProto;

  /** @internal */
  constructor(proto: ModelProto, weights: Record<string, Parameter>, constants: ReadonlyMap<string, Value>) {
    super();
    this.proto = proto;
    this.weights = weights;
    this.constants = constants;
    const graph = proto.graph as NonNullable<ModelProto["graph"]>;
    this.inputs = graph.input.filter(({ name }) => !(name in weights) && !constants.has(name)).map(signatureOf);
    this.outputs = graph.output.map(signatureOf);
  }

  /**
   * Applies the model to its inputs by name. Numbers of shapes and the like must not depend on what is computed. Where
   * a file chooses between branches by an input, give that input as a constant and not as an argument of a compiled
   * function: only the branch that is taken is then made.
   * @throws ShapeError when an input is missing or has another dtype or another size than the file says
   */
  forward(inputs: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
    const known = new Map<string, Value>(this.constants);
    for (const [name, weight] of Object.entries(this.weights)) known.set(name, weight.value.ir);
    for (const signature of this.inputs) known.set(signature.name, this.checked(signature, inputs[signature.name]));
    const graph = this.proto.graph as NonNullable<ModelProto["graph"]>;
    const version = this.proto.opsetImport.find(({ domain }) => domain === "" || domain === "ai.onnx")?.version ?? 1n;
    const values = convertGraph(graph, { opset: Number(version), known });
    return Object.fromEntries(this.outputs.map(({ name }, i) => [name, new Tensor(values[i])]));
  }

  /** The weights by their names in the file. */
  override namedParameters(prefix = ""): Map<string, Parameter> {
    return new Map(Object.entries(this.weights).map(([name, weight]) => [prefix + name, weight]));
  }

  private checked({ name, dtype, shape }: OnnxSignature, tensor: Tensor | undefined): Value {
    const fits =
      tensor !== undefined &&
      tensor.dtype === dtype &&
      (shape === undefined ||
        (shape.length === tensor.rank &&
          shape.every((size, i) => typeof size !== "number" || size === tensor.shape[i])));
    if (fits) return tensor.ir;
    throw new ShapeError({
      where: `input "${name}" of the ONNX model`,
      expected: `${dtype}[${shape?.map((size) => size ?? "?").join(", ") ?? "..."}]`,
      received: tensor
        ? describe(tensor.ir)
        : `nothing; the inputs are ${this.inputs.map((input) => input.name).join(", ")}`,
      fix: "pass one tensor for each input by its name",
    });
  }
}

function signatureOf({
  name,
  type,
}: {
  name: string;
  type?: { value: { case?: string; value?: unknown } };
}): OnnxSignature {
  const tensor =
    type?.value.case === "tensorType"
      ? (type.value.value as { elemType: number; shape?: { dim: { value: { case?: string; value?: unknown } }[] } })
      : undefined;
  if (!tensor) {
    throw new DataError({
      where: `ONNX model, "${name}"`,
      expected: "a tensor",
      received: type?.value.case ?? "no type",
      fix: "this model cannot be imported",
    });
  }
  const shape = tensor.shape?.dim.map(({ value }) => {
    if (value.case === "dimValue") return Number(value.value);
    return value.case === "dimParam" && value.value !== "" ? String(value.value) : null;
  });
  return { name, dtype: dtypeOf(tensor.elemType, `ONNX model, "${name}"`), shape };
}

/**
 * Reads a model from the bytes of a .onnx file.
 * @throws DataError when the file is damaged, hostile or has what Kindling cannot import
 */
export async function parseOnnx(bytes: Uint8Array, external?: ExternalData): Promise<OnnxModel> {
  const { parseModel } = await onnxFormat();
  const proto = parseModel(bytes);
  const { graph } = proto;
  if (!graph || graph.node.length + graph.output.length === 0) {
    throw new DataError({
      where: "ONNX model",
      expected: "a graph",
      received: "none",
      fix: "check that this is a .onnx file",
    });
  }
  if (graph.sparseInitializer.length > 0 || proto.functions.length > 0) {
    throw new DataError({
      where: "ONNX model",
      expected: "dense weights and no functions",
      received: "others",
      fix: "export the model with its functions inlined",
    });
  }
  const weights: Record<string, Parameter> = {};
  const constants = new Map<string, Value>();
  for (const tensor of graph.initializer) {
    const { dtype, shape, data } = await readTensor(tensor, `ONNX weight "${tensor.name}"`, external);
    const type: TensorType = { dtype, shape };
    // single numbers and shapes are constants, also of float dtype
    if (isFloat(dtype) && dtype === "f32" && shape.length > 0 && data.length > 1)
      weights[tensor.name] = new Parameter(shape, data as Float32Array);
    else constants.set(tensor.name, constantValue(data, type));
  }
  return new OnnxModel(proto, weights, constants);
}

/**
 * Loads a .onnx file, with what it stores in files beside it, as a module.
 *
 * @example
 * // const model = await loadOnnx("model.onnx");
 * // const { logits } = model.forward({ input_ids: ids });
 */
export async function loadOnnx(file: string | StoredFile): Promise<OnnxModel> {
  return parseOnnx(await readBytes(file), filesBeside(fileAt(file)));
}

/** Files beside a model, each read once. */
export function filesBeside(model: StoredFile): ExternalData {
  const files = new Map<string, Promise<Uint8Array>>();
  return (location) => {
    const known = files.get(location) ?? readBytes(model.folder().file(location), "a file that can be read");
    files.set(location, known);
    return known;
  };
}

/** What `describeOnnx` reads of a file. */
export interface OnnxDescription {
  /** The program that wrote the file. */
  producer: string | null;
  /** Its initializers; `bytes` is their size in memory. */
  weights: { name: string; dtype: DType; shape: number[]; bytes: number }[];
}

/**
 * The weights that a model's bytes name, and the program that wrote it, without reading numbers. @throws DataError for
 * what is no ONNX model
 */
export async function describeOnnx(bytes: Uint8Array): Promise<OnnxDescription> {
  const { parseModel } = await onnxFormat();
  const { graph, producerName } = parseModel(bytes);
  const weights = (graph?.initializer ?? []).map(({ name, dataType, dims }) => {
    const dtype = dtypeOf(dataType, `ONNX model, "${name}"`);
    const shape = dims.map(Number);
    return { name, dtype, shape, bytes: shape.reduce((a, b) => a * b, bytesPerElement[dtype]) };
  });
  return { producer: producerName || null, weights };
}
