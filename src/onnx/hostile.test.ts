/**
 * Damaged and hostile .onnx files are errors that say what is wrong: no crash, no hang, no allocation by the file's
 * word.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { KindlingError } from "../base/index.ts";
import {
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
} from "../lower/onnx-pb.ts";
import { tensor, zeros } from "../tensor/index.ts";
import { loadOnnx, parseOnnx } from "./index.ts";

const floats = create(TypeProtoSchema, {
  value: { case: "tensorType", value: { $typeName: "onnx.TypeProto.Tensor", elemType: 1 } },
});
const value = (name: string) => create(ValueInfoProtoSchema, { name, type: floats });
const node = (opType: string, input: string[], output: string[], rest: MessageInitShape<typeof NodeProtoSchema> = {}) =>
  create(NodeProtoSchema, { opType, input, output, ...rest } as MessageInitShape<typeof NodeProtoSchema>);

function model(nodes: NodeProto[], initializer: TensorProto[] = []): Uint8Array {
  const graph = create(GraphProtoSchema, {
    name: "g",
    node: nodes,
    initializer,
    input: [value("x")],
    output: [value("y")],
  });
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 10n,
      graph,
      opsetImport: [{ $typeName: "onnx.OperatorSetIdProto", domain: "", version: 21n }],
    }),
  );
}
const weight = (fields: object) =>
  create(TensorProtoSchema, { name: "w", dataType: 1, dims: [2n], rawData: new Uint8Array(8), ...fields });
const add = node("Add", ["x", "w"], ["y"]);
const external = (entries: Record<string, string>) =>
  weight({
    rawData: new Uint8Array(),
    dataLocation: 1,
    externalData: Object.entries(entries).map(([key, text]) =>
      create(StringStringEntryProtoSchema, { key, value: text }),
    ),
  });
const run = async (bytes: Uint8Array) => (await parseOnnx(bytes)).forward({ x: tensor([1, 2]) });

/** A body inside a body inside ... */
function nested(depth: number): NodeProto {
  const inner = depth === 0 ? node("Relu", ["x"], ["y"]) : nested(depth - 1);
  const graph = create(GraphProtoSchema, { name: "b", node: [inner], output: [value("y")] });
  const branch = (name: string) => create(AttributeProtoSchema, { name, type: AttributeType.GRAPH, g: graph });
  return node("If", ["w"], ["y"], { attribute: [branch("then_branch")] });
}
const truth = create(TensorProtoSchema, { name: "w", dataType: 9, dims: [], rawData: Uint8Array.of(1) });

const hostile: Record<string, [() => Uint8Array, RegExp]> = {
  "no protobuf": [() => new TextEncoder().encode("this is not a model"), /ModelProto|a graph/],
  "an empty file": [() => new Uint8Array(), /a graph/],
  "fewer bytes than the sizes say": [
    () => model([add], [weight({ dims: [1000n] })]),
    /4000 bytes for \[1000\]; received 8/,
  ],
  "sizes beyond all memory": [
    () => model([add], [weight({ dims: [2n ** 40n, 2n ** 40n] })]),
    /sizes that are not negative and can be held/,
  ],
  "a negative size": [() => model([add], [weight({ dims: [-2n] })]), /not negative/],
  "strings as weights": [() => model([add], [weight({ dataType: 8 })]), /ONNX data type 8/],
  "an unknown type": [() => model([add], [weight({ dataType: 999 })]), /ONNX data type 999/],
  "a cycle": [
    () => model([node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["y"])]),
    /no cycles/,
  ],
  "a node that feeds itself": [() => model([node("Add", ["x", "y"], ["y"])]), /no cycles/],
  "a name that nothing makes": [() => model([node("Add", ["x", "nowhere"], ["y"])]), /"nowhere" to be made by a node/],
  "an output that nothing makes": [() => model([node("Relu", ["x"], ["z"])]), /a node that makes output "y"/],
  "an output made twice": [() => model([node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["y"])]), /to be made once/],
  "an unknown operator": [() => model([node("Relux", ["x"], ["y"])]), /Relux.*nearest known is Relu/],
  "an attribute of another type": [
    () =>
      model([
        node("LeakyRelu", ["x"], ["y"], {
          attribute: [create(AttributeProtoSchema, { name: "alpha", type: AttributeType.INT, i: 1n })],
        }),
      ]),
    /attribute alpha of type FLOAT; received INT/,
  ],
  "bodies 200 deep": [() => model([nested(200)], [truth]), /inside one another|ModelProto/],
  "numbers outside of the folder": [
    () => model([add], [external({ location: "../../etc/passwd" })]),
    /inside the model's folder/,
  ],
  "numbers at an absolute path": [
    () => model([add], [external({ location: "/etc/passwd" })]),
    /inside the model's folder/,
  ],
  "numbers at a Windows path": [
    () => model([add], [external({ location: "C:\\secret" })]),
    /inside the model's folder/,
  ],
};

const whole = (name: string, value: number | bigint) =>
  create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) });
const wholes = (name: string, ...values: (number | bigint)[]) =>
  create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: values.map(BigInt) });
const numbers = (...values: (number | bigint)[]) =>
  weight({
    dataType: 7,
    dims: [BigInt(values.length)],
    rawData: new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer),
  });
const single = (name: string, value: bigint) =>
  create(TensorProtoSchema, { name, dataType: 7, dims: [], rawData: new Uint8Array(BigInt64Array.of(value).buffer) });

/** What 100 bytes may ask for. */
const greedy: Record<string, [() => Uint8Array, RegExp]> = {
  "2^31 outputs": [
    () => model([node("Split", ["x"], ["y"], { attribute: [whole("num_outputs", 2 ** 31)] })]),
    /limit onnxParts/,
  ],
  "no outputs": [
    () => model([node("Split", ["x"], ["y"], { attribute: [whole("num_outputs", 0)] })]),
    /num_outputs of at least 1/,
  ],
  "a window of 2^36 places": [
    () =>
      model(
        [
          node("Reshape", ["x", "w"], ["z"]),
          node("MaxPool", ["z"], ["y"], { attribute: [wholes("kernel_shape", 2 ** 36)] }),
        ],
        [numbers(1, 1, 2)],
      ),
    /limit onnxParts/,
  ],
  "neighbours of 2^40 channels": [
    () => model([node("LRN", ["x"], ["y"], { attribute: [whole("size", 2n ** 40n)] })]),
    /limit onnxParts/,
  ],
  "a range of 2^40 numbers": [
    () => model([node("Range", ["w", "a", "b"], ["y"])], [single("w", 0n), single("a", 2n ** 40n), single("b", 1n)]),
    /limit onnxConstantElements/,
  ],
  "a name of JavaScript's for an operator": [
    () => model([node("constructor", ["x"], ["y"])]),
    /an operator that Kindling can import/,
  ],
};
test.each(Object.entries(greedy))("%s", async (_, [bytes, message]) => {
  const started = performance.now();
  const failure = await run(bytes()).catch((cause) => cause);
  expect(failure).toBeInstanceOf(KindlingError);
  expect(failure.message).toMatch(message);
  expect(performance.now() - started).toBeLessThan(5000);
});

test("a sum over many constants is not worked out while importing", async () => {
  const bytes = model(
    [node("Expand", ["a", "w"], ["z"]), node("ReduceSum", ["z"], ["s"]), node("Add", ["x", "s"], ["y"])],
    [numbers(30_000, 30_000), single("a", 1n)],
  );
  const started = performance.now();
  await parseOnnx(bytes)
    .then((module) => module.forward({ x: tensor([1, 2], { dtype: "f32" }) }))
    .catch((cause) => expect(cause).toBeInstanceOf(KindlingError));
  expect(performance.now() - started).toBeLessThan(5000);
});

describe("hostile files", () => {
  test.each(Object.entries(hostile))("%s", async (_, [bytes, message]) => {
    const failure = await run(bytes()).catch((cause) => cause);
    expect(failure).toBeInstanceOf(KindlingError);
    expect(failure.message).toMatch(message);
  });

  test("external data must lie inside its file", async () => {
    const folder = mkdtempSync(join(tmpdir(), "kindling-onnx-"));
    try {
      writeFileSync(join(folder, "data.bin"), new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer));
      const write = (entries: Record<string, string>) =>
        writeFileSync(join(folder, "m.onnx"), model([add], [external({ location: "data.bin", ...entries })]));
      const path = join(folder, "m.onnx");
      write({ offset: "8", length: "8" });
      const { y } = (await loadOnnx(path)).forward({ x: tensor([1, 1]) });
      expect(await y.toArray()).toEqual([4, 5]);
      write({ offset: "12", length: "8" });
      await expect(loadOnnx(path)).rejects.toThrow(/bytes inside "data.bin" of 16 bytes; received offset 12, length 8/);
      write({ offset: "-8", length: "8" });
      await expect(loadOnnx(path)).rejects.toThrow(/bytes inside/);
      write({ location: "missing.bin" });
      await expect(loadOnnx(path)).rejects.toThrow(/a file that can be read/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("wrong inputs are named", async () => {
    const { forward, inputs } = await parseOnnx(model([add], [weight({})])).then((module) => ({
      forward: module.forward.bind(module),
      inputs: module.inputs,
    }));
    expect(inputs).toEqual([{ name: "x", dtype: "f32", shape: undefined }]);
    expect(() => forward({ z: tensor([1]) })).toThrow(/input "x".*received nothing; the inputs are x/);
    expect(() => forward({ x: tensor([1], { dtype: "i32" }) })).toThrow(/f32\[\.\.\.\]; received i32\[1\]/);
  });
});

test("mutated files give an error or a model, never anything else", async () => {
  const file = readFileSync(new URL("../../golden/onnx-nodes.json.gz", import.meta.url));
  const { tests } = JSON.parse(gunzipSync(file).toString()) as { tests: { model: string }[] };
  const originals = tests
    .map(({ model }) => new Uint8Array(Buffer.from(model, "base64")))
    .filter(({ length }) => length < 2000);
  const mutation = fc.record({
    at: fc.nat(),
    value: fc.nat({ max: 255 }),
    kind: fc.constantFrom("set", "cut", "insert"),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.nat({ max: originals.length - 1 }),
      fc.array(mutation, { minLength: 1, maxLength: 4 }),
      async (which, mutations) => {
        let bytes = [...originals[which]];
        for (const { at, value, kind } of mutations) {
          const position = at % bytes.length;
          if (kind === "set") bytes[position] = value;
          else if (kind === "cut") bytes = bytes.slice(0, Math.max(1, position));
          else bytes.splice(position, 0, value);
        }
        try {
          const module = await parseOnnx(Uint8Array.from(bytes));
          const isSmall = (shape: (typeof module.inputs)[number]["shape"]): shape is number[] =>
            shape?.every((size) => typeof size === "number" && size < 64) ?? false;
          module.forward(
            Object.fromEntries(
              module.inputs.flatMap(({ name, dtype, shape }) => (isSmall(shape) ? [[name, zeros(shape, dtype)]] : [])),
            ),
          );
        } catch (cause) {
          if (!(cause instanceof KindlingError)) throw cause;
        }
      },
    ),
    { numRuns: 1500 },
  );
});
