/**
 * ONNX's own backend tests of single operators, for every operator that can be imported: through Kindling to ONNX
 * Runtime.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { type DType, type HostArray, hostArrayFromBytes, toNumbers } from "../base/index.ts";
import { parseModel } from "../lower/format.ts";
import { fromHost, readTensors, rotaryEmbedding, type Tensor } from "../tensor/index.ts";
import { exportOnnx, loadOnnx, onnxOperators, parseOnnx } from "./index.ts";

interface Stored {
  shape: number[];
  dtype: DType;
  data: string;
}
interface NodeTest {
  name: string;
  operator: string;
  model: string;
  inputs: Stored[];
  outputs: Stored[];
  tolerance: number;
}

const bytesOf = (text: string) => new Uint8Array(Buffer.from(text, "base64"));
const dataOf = ({ dtype, data }: Stored): HostArray => hostArrayFromBytes(dtype, bytesOf(data));
const file = readFileSync(new URL("../../golden/onnx-nodes.json.gz", import.meta.url));
const { tests } = JSON.parse(gunzipSync(file).toString()) as { tests: NodeTest[] };

/** Tests of what Kindling does not do, and why. */
const excluded: readonly (readonly [RegExp, string])[] = [
  [/averagepool.*dilations/, "an average with dilation"],
  [/bitshift.*(ge_width|negative_shift)/, "shifts by more than the width, or by less than 0"],
  [/training_dropout/, "ONNX's own random numbers"],
  [/dynamicquantizelinear$/, "hinges on the last bit of a quotient that is a tie"],
  [/gridsample_volumetric/, "three spatial axes"],
  [/identity_(sequence|opt)|if_(seq|opt)/, "sequences and optional values"],
  [/loop11/, "slices at places that are computed in the loop"],
  [/maxpool_with_argmax.*strides/, "positions counted along columns"],
  [/mod_float_edge/, "the remainder by infinity"],
  [/tf_crop_and_resize/, "cropping while resizing"],
  [/^test_scan_sum$/, "Scan of opset 8, which had a batch axis"],
  [/scatter.*(multiply|_max|_min|reduction_(mul|max|min))/, "scattering with other reductions than a sum"],
];

const isKnown = ({ model }: NodeTest) =>
  parseModel(bytesOf(model)).graph?.node.every(({ opType }) => onnxOperators.includes(opType)) ?? false;
const usable = tests.filter(isKnown).filter(({ name }) => !excluded.some(([pattern]) => pattern.test(name)));

test("nearly all operators have tests", () => {
  expect(usable.length).toBeGreaterThan(400);
});

describe.each([...new Set(usable.map(({ operator }) => operator))].sort())("%s", (operator) => {
  test.each(usable.filter((example) => example.operator === operator))(
    "$name",
    async ({ model, inputs, outputs, tolerance }) => {
      const module = await parseOnnx(bytesOf(model));
      const feeds = Object.fromEntries(
        module.inputs.map(({ name }, i) => [
          name,
          fromHost(inputs[i].dtype, inputs[i].shape, dataOf(inputs[i]) as never),
        ]),
      );
      const results = Object.values(module.forward(feeds));
      const numbers = await readTensors(results);
      outputs.forEach((golden, i) => {
        expect(results[i].shape).toEqual(golden.shape);
        expect(results[i].dtype).toBe(golden.dtype);
        const [actual, expected] = [toNumbers(golden.dtype, numbers[i]), toNumbers(golden.dtype, dataOf(golden))];
        expected.forEach((value, j) => {
          const isSame =
            Object.is(actual[j], value) ||
            actual[j] === value ||
            Math.abs(actual[j] - value) <= 1e-5 + Math.max(1e-3, tolerance) * Math.abs(value);
          if (!isSame) throw new Error(`output ${i}, element ${j}: ${actual[j]} instead of ${value}`);
        });
      });
    },
  );
});

test.each([1, 2])("rotary embeddings are read again as they were written, with angles for %i rows", async (rows) => {
  const folder = mkdtempSync(join(tmpdir(), "kindling-onnx-"));
  try {
    const path = join(folder, "rotary.onnx");
    const shapes = { x: [2, 3, 2, 8], cos: [rows, 3, 1, 4], sin: [rows, 3, 1, 4] };
    const turn = ({ x, cos, sin }: Record<string, Tensor>) => ({
      y: rotaryEmbedding(x as Tensor<"f32">, cos as Tensor<"f32">, sin as Tensor<"f32">),
    });
    const types = Object.fromEntries(
      Object.entries(shapes).map(([name, shape]) => [name, { dtype: "f32" as const, shape }]),
    );
    await exportOnnx(path, turn, types);
    const inputs = Object.fromEntries(
      Object.entries(shapes).map(([name, shape], seed) => {
        const length = shape.reduce((a, b) => a * b, 1);
        return [
          name,
          fromHost(
            "f32",
            shape,
            Float32Array.from({ length }, (_, i) => Math.sin(seed + i * i)),
          ),
        ];
      }),
    );
    const [expected, read] = await readTensors([turn(inputs).y, (await loadOnnx(path)).forward(inputs).y]);
    expect(read).toEqual(expected);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
