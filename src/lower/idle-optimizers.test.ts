import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession } from "onnxruntime-node";
import { expect, test } from "vitest";
import { pullBack } from "../autodiff/index.ts";
import { Graph, placeholder, type Value } from "../ir/index.ts";
import * as ops from "../ops/index.ts";
import { onnxFormat, optimize } from "./index.ts";

const input = (...shape: number[]) => placeholder("x", { dtype: "f32", shape });
const mean = (x: Value) => ops.mean(x, { axes: [-1], keepDims: true });

/** Written out as exporters do, so that ONNX Runtime's optimizers would find it. */
const written = {
  norm: (x: Value, weight: Value, bias: Value) => {
    const centred = ops.sub(x, mean(x));
    const deviation = ops.sqrt(ops.add(mean(ops.pow(centred, 2)), 1e-5));
    return ops.add(ops.mul(ops.div(centred, deviation), weight), bias);
  },
  gelu: (x: Value) => ops.mul(ops.mul(x, ops.add(ops.erf(ops.div(x, Math.SQRT2)), 1)), 0.5),
};

/** Graphs with the patterns that fusions look for, as functions of inputs. */
const graphs: Record<string, { inputs: Value[]; build: (...inputs: Value[]) => Value[] }> = {
  "a block of an encoder": {
    inputs: [input(2, 4, 8), input(8, 8), input(8), input(8)],
    build: (x, weight, scale, bias) => {
      const hidden = written.gelu(ops.add(ops.matmul(x, weight), bias));
      const scores = ops.softmax(ops.matmul(hidden, x, { transposeB: true, scale: 0.5 }), -1);
      return [written.norm(ops.add(x, ops.matmul(scores, hidden)), scale, bias)];
    },
  },
  "a block by our own ops": {
    inputs: [input(2, 4, 8), input(8, 8), input(8), input(8)],
    build: (x, weight, scale, bias) => {
      const hidden = ops.gelu(ops.add(ops.matmul(ops.layerNorm(x, scale, bias, 1e-5), weight), bias), "tanh");
      return [ops.add(x, ops.mul(hidden, ops.sigmoid(ops.mul(hidden, 1.702))))];
    },
  },
  "convolutions and pools": {
    inputs: [input(1, 4, 8, 8), input(4, 4, 3, 3), input(4)],
    build: (x, weight, bias) => {
      const y = ops.relu(ops.conv(x, weight, bias, { padding: 1 }));
      return [ops.add(ops.relu(ops.conv(y, weight, bias, { padding: 1 })), y)];
    },
  },
  "a step of training": {
    inputs: [input(4, 8), input(8, 8), input(8)],
    build: (x, weight, bias) => {
      const y = ops.sum(ops.square(ops.softmax(ops.gelu(ops.add(ops.matmul(x, weight), bias)), -1)));
      return [y, ...(pullBack([y], [ops.scalar(1, "f32")], [weight, bias]) as Value[])];
    },
  },
};

test.each(Object.entries(graphs))(
  "%s: ONNX Runtime makes the same of it without the optimizers that are said to be idle",
  async (_, { inputs, build }) => {
    const { writeOnnx, parseModel } = await onnxFormat();
    const { bytes, idleOptimizers } = writeOnnx(optimize(new Graph(inputs, build(...inputs))));
    expect(idleOptimizers).toContain("QDQPropagationTransformer");
    const folder = await mkdtemp(join(tmpdir(), "kindling-"));
    try {
      const optimized = async (name: string, disabled: readonly string[]) => {
        const session = await InferenceSession.create(bytes, {
          ...{ optimizedModelFilePath: join(folder, name), logSeverityLevel: 4, graphOptimizationLevel: "all" },
          extra: { optimization: { disable_specified_optimizers: disabled.join(";") } },
        });
        await session.release();
        const { graph } = parseModel(await readFile(join(folder, name)));
        return graph?.node.map(({ opType, input, output }) => [opType, input, output]);
      };
      expect(await optimized("without", idleOptimizers)).toEqual(await optimized("with", []));
    } finally {
      await rm(folder, { recursive: true });
    }
  },
);

test("what a graph could use is not left out", async () => {
  const { writeOnnx } = await onnxFormat();
  const idleOf = ({ inputs, build }: (typeof graphs)[string]) =>
    writeOnnx(optimize(new Graph(inputs, build(...inputs)))).idleOptimizers;
  const [encoder, , pictures] = Object.values(graphs).map(idleOf);
  for (const name of ["GeluFusionL1", "LayerNormFusionL1", "SkipLayerNormFusion", "BiasSoftmaxFusion"])
    expect(encoder).not.toContain(name);
  expect(encoder).toContain("NchwcTransformer");
  expect(pictures).not.toContain("NchwcTransformer");
  expect(pictures).toContain("GeluFusionL1");
});
