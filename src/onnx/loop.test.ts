/** Loops of ONNX files: with a known number of steps, which can be trained, and until a condition. */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import {
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  type GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProtoSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
} from "../lower/onnx-pb.ts";
import { compile, grad, sum, type Tensor, tensor } from "../tensor/index.ts";
import { parseOnnx } from "./index.ts";

const [FLOAT, INT64, BOOL] = [1, 7, 9];
const typed = (name: string, elemType: number, sizes: number[] = []) => {
  const shape = { $typeName: "onnx.TensorShapeProto" as const, dim: sizes.map((size) => dimension(size)) };
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, {
      value: { case: "tensorType", value: { $typeName: "onnx.TypeProto.Tensor", elemType, shape } },
    }),
  });
};
const dimension = (size: number) => ({
  $typeName: "onnx.TensorShapeProto.Dimension" as const,
  denotation: "",
  value: { case: "dimValue" as const, value: BigInt(size) },
});
const node = (
  opType: string,
  input: string[],
  output: string[],
  attribute: MessageInitShape<typeof AttributeProtoSchema>[] = [],
) =>
  create(NodeProtoSchema, {
    opType,
    input,
    output,
    attribute: attribute.map((one) => create(AttributeProtoSchema, one)),
  });
const constant = (name: string, dataType: number, rawData: Uint8Array) =>
  create(TensorProtoSchema, { name, dataType, dims: [], rawData: Uint8Array.from(rawData) });
const bytes = (array: ArrayBufferView) => new Uint8Array(array.buffer);
const body = (g: MessageInitShape<typeof GraphProtoSchema>) => ({ name: "body", type: AttributeType.GRAPH, g });
const file = (graph: MessageInitShape<typeof GraphProtoSchema>) =>
  toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 10n,
      graph,
      opsetImport: [{ $typeName: "onnx.OperatorSetIdProto", domain: "", version: 21n }],
    }),
  );

const isTrue = constant("true", BOOL, Uint8Array.of(1));
const x = tensor([1, 2]);

test("a loop of a known number of steps gives state, results of its steps, and gradients", async () => {
  // s = 2 s + step, three times
  const step = {
    name: "b",
    input: [typed("step", INT64), typed("go", BOOL), typed("s", FLOAT, [2])],
    output: [typed("on", BOOL), typed("next", FLOAT, [2]), typed("shown", FLOAT, [2])],
    node: [
      node("Identity", ["go"], ["on"]),
      node("Cast", ["step"], ["f"], [{ name: "to", type: AttributeType.INT, i: BigInt(FLOAT) }]),
      node("Add", ["s", "s"], ["twice"]),
      node("Add", ["twice", "f"], ["next"]),
      node("Identity", ["next"], ["shown"]),
    ],
  };
  const module = await parseOnnx(
    file({
      name: "g",
      input: [typed("x", FLOAT, [2])],
      output: [typed("y", FLOAT, [2]), typed("steps", FLOAT, [3, 2])],
      initializer: [isTrue, constant("three", INT64, bytes(BigInt64Array.of(3n)))],
      node: [node("Loop", ["three", "true", "x"], ["y", "steps"], [body(step)])],
    }),
  );
  const { y, steps } = module.forward({ x }) as Record<string, Tensor<"f32">>;
  expect(await y.toArray()).toEqual([12, 20]);
  expect(await steps.toArray()).toEqual([
    [2, 4],
    [5, 9],
    [12, 20],
  ]);
  const slope = compile(
    (input: Tensor<"f32">) => grad(sum(module.forward({ x: input }).y as Tensor<"f32">), [input])[0],
  );
  expect(await (await slope(x)).toArray()).toEqual([8, 8]);
});

test("a loop until a condition, and with a limit besides", async () => {
  // s = 2 s while its sum is below 20
  const step = {
    name: "b",
    input: [typed("step", INT64), typed("go", BOOL), typed("s", FLOAT, [2])],
    output: [typed("on", BOOL), typed("next", FLOAT, [2])],
    node: [
      node("Add", ["s", "s"], ["next"]),
      node("ReduceSum", ["next"], ["total"], [{ name: "keepdims", type: AttributeType.INT, i: 0n }]),
      node("Less", ["total", "limit"], ["on"]),
    ],
  };
  const build = (most: string) =>
    parseOnnx(
      file({
        name: "g",
        input: [typed("x", FLOAT, [2])],
        output: [typed("y", FLOAT, [2])],
        initializer: [
          isTrue,
          constant("limit", FLOAT, bytes(Float32Array.of(20))),
          constant("two", INT64, bytes(BigInt64Array.of(2n))),
          constant("nine", INT64, bytes(BigInt64Array.of(9n))),
        ],
        node: [node("Loop", [most, "true", "x"], ["y"], [body(step)])],
      }),
    );
  const run = async (most: string) => (await build(most)).forward({ x }).y.toArray();
  expect(await run("")).toEqual([8, 16]);
  expect(await run("two")).toEqual([4, 8]);
  expect(await run("nine")).toEqual([8, 16]); // the condition ends it, though it holds at first
});
