import { basename } from "#system";
import { bytesPerElement, checkOptions, type DType, GraphError, type HostArray } from "../base/index.ts";
import { writeFileAtomic } from "../files/index.ts";
import { addSizes, type Size, symbol, type TensorType, type Value } from "../ir/index.ts";
import { onnxFormat, optimize, splitStages, type TensorProto } from "../lower/index.ts";
import { onnxTypeCode } from "../ops/index.ts";
import { type CapturedWeight, type Tensor, traceGraph, type Variable } from "../tensor/index.ts";

/** An input of an exported model: sizes that are named, or sums of such as "past + new", may differ from run to run. */
export interface OnnxInput {
  dtype: DType;
  shape: readonly (number | string)[];
}

/** Where `exportOnnx` puts the weights, and what it calls them. */
export interface ExportOptions {
  /**
   * Whether weights lie in a file beside the model, "<model>_data". Files of more than 2 GB must. @default from 1 GB on
   */
  externalData?: boolean;
  /**
   * Names of the variables that the function uses, as `model.namedState()` gives them. @default weight_0, weight_1, ...
   */
  names?: ReadonlyMap<string, Variable>;
}

type Forward = (inputs: Record<string, Tensor>) => Record<string, Tensor>;

/** A protobuf has at most 2 GB. */
const LARGE_MODEL = 2 ** 30;
const DATA_LOCATION_EXTERNAL = 1;
/** Weights in a file of their own begin at multiples of this, so that they can be mapped into memory. */
const ALIGNMENT = 4096;

/**
 * Writes a function of named tensors as an ONNX model, opset 21, that ONNX Runtime runs with the same results. What the
 * function captures, a model's parameters, becomes the weights.
 * @throws GraphError for a function with ops that ONNX has not, or one that assigns variables
 *
 * @example
 * await exportOnnx("runs/double.onnx", ({ x }) => ({ y: x.mul(2) }), { x: { dtype: "f32", shape: ["batch", 3] } });
 */
export async function exportOnnx(
  path: string,
  forward: Forward,
  inputs: Readonly<Record<string, OnnxInput>>,
  options: ExportOptions = {},
): Promise<void> {
  checkOptions("exportOnnx", options, ["externalData", "names"]);
  const { create, TensorProtoSchema, writeOnnx } = await onnxFormat();
  const types = Object.fromEntries(
    Object.entries(inputs).map(([name, { dtype, shape }]) => [name, typeOf(dtype, shape)]),
  );
  const { graph: traced, captured, outputNames } = traceGraph(forward, types);
  const graph = optimize(traced);
  if (splitStages(graph).stages.length > 1) {
    throw new GraphError({
      where: "exportOnnx",
      expected: "ops that ONNX has",
      received: "ops that are computed outside it",
      fix: "leave them out of the function",
    });
  }
  const bytes = captured.reduce(
    (sum, { dtype, shape }) => sum + shape.reduce((a, b) => a * b, bytesPerElement[dtype]),
    0,
  );
  const isExternal = options.externalData ?? bytes >= LARGE_MODEL;
  const weights = new Map<Value, TensorProto>();
  const pieces: Uint8Array[] = [];
  let offset = 0;
  const names = namesOf(captured, options.names);
  for (const [i, { value, dtype, shape, read }] of captured.entries()) {
    if (!graph.inputs.includes(value)) continue;
    const data = bytesOf(await read());
    const proto = { name: names[i], dataType: onnxTypeCode[dtype], dims: shape.map(BigInt) };
    if (!isExternal) weights.set(value, create(TensorProtoSchema, { ...proto, rawData: data }));
    else {
      const entries = { location: `${basename(path)}_data`, offset: String(offset), length: String(data.length) };
      const externalData = Object.entries(entries).map(([key, text]) => ({ key, value: text }));
      weights.set(value, create(TensorProtoSchema, { ...proto, dataLocation: DATA_LOCATION_EXTERNAL, externalData }));
      const padding = new Uint8Array((ALIGNMENT - (data.length % ALIGNMENT)) % ALIGNMENT);
      pieces.push(data, padding);
      offset += data.length + padding.length;
    }
  }
  const model = writeOnnx(graph, { inputNames: Object.keys(inputs), outputNames, weights });
  if (isExternal) await writeFileAtomic(`${path}_data`, pieces);
  await writeFileAtomic(path, model.bytes);
}

/** A name for each weight: that of its variable, or one that no other has. */
function namesOf(captured: readonly CapturedWeight[], known: ExportOptions["names"] = new Map()): string[] {
  const keys = new Map([...known].map(([key, variable]) => [variable, key] as const));
  let count = 0;
  const unused = (): string => {
    const name = `weight_${count++}`;
    return known.has(name) ? unused() : name;
  };
  return captured.map(({ variable }) => (variable && keys.get(variable)) ?? unused());
}

const typeOf = (dtype: DType, shape: OnnxInput["shape"]): TensorType => ({
  dtype,
  shape: shape.map((size) =>
    typeof size === "string" ? size.split(" + ").reduce<Size>((sum, part) => addSizes(sum, symbol(part)), 0) : size,
  ),
});

const bytesOf = (data: HostArray) =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength) as Uint8Array<ArrayBuffer>;
