import { type HostArray, isFloat } from "../base/index.ts";
import { fileAt, readBytes, type StoredFile } from "../files/index.ts";
import { type ModelProto, onnxFormat } from "../lower/index.ts";
import { filesBeside } from "./model.ts";
import { readTensor, type StoredNumbers } from "./tensors.ts";

type GraphProto = NonNullable<ModelProto["graph"]>;

/**
 * The float weights of a .onnx file by their names in the checkpoint that it was made of. Where PyTorch's exporter has
 * turned the weight of a linear layer round and lost its name, both are found again by the name of the operator.
 * @throws DataError when the file is damaged or hostile
 */
export async function* onnxWeights(
  file: string | StoredFile,
): AsyncGenerator<[name: string, StoredNumbers], void, void> {
  const { parseModel } = await onnxFormat();
  const { graph } = parseModel(await readBytes(file));
  if (!graph) return;
  const renamed = linearWeights(graph);
  const external = filesBeside(fileAt(file));
  for (const proto of graph.initializer) {
    const layer = renamed.get(proto.name);
    if (!layer && isNameless(proto.name)) continue;
    const tensor = await readTensor(proto, `ONNX weight "${proto.name}"`, external);
    if (!isFloat(tensor.dtype)) continue;
    yield [layer?.name ?? proto.name, layer?.isTurned && tensor.shape.length === 2 ? turned(tensor) : tensor];
  }
}

const isNameless = (name: string) => /^(onnx::|\/|_v_|val_)/.test(name) || /^\d+$/.test(name);

/**
 * Weights without a name that an operator of a linear layer multiplies with: "/bert/pooler/dense/MatMul" has that of
 * "bert.pooler.dense.weight".
 */
function linearWeights({ node, initializer }: GraphProto): Map<string, { name: string; isTurned: boolean }> {
  const nameless = new Set(initializer.map(({ name }) => name).filter(isNameless));
  const weights = new Map<string, { name: string; isTurned: boolean }>();
  for (const { opType, name, input, attribute } of node) {
    const [, module] = /^\/(.+)\/(?:MatMul|Gemm)$/.exec(name) ?? [];
    if (!module || !nameless.has(input[1])) continue;
    const isTurned = opType === "MatMul" || !attribute.some(({ name: key, i }) => key === "transB" && i === 1n);
    weights.set(input[1], { name: `${module.replaceAll("/", ".")}.weight`, isTurned });
  }
  return weights;
}

/** [in, out] -> [out, in] */
function turned({ dtype, shape, data }: StoredNumbers): StoredNumbers {
  const [rows, columns] = shape;
  const out = data.slice() as HostArray;
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = data[i * columns + j];
  return { dtype, shape: [columns, rows], data: out };
}
