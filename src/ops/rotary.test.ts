import { expect, test } from "vitest";
import { compile, rotaryEmbedding, type Tensor, tensor } from "../tensor/index.ts";

const filled = (shape: readonly number[]) => tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), { shape });

test.each([
  [0, 3, 1],
  [0, 3, 0],
  [2, 0, 1],
  [2, 0, 2],
])("a batch of %i and %i positions, with angles of %i rows, may be empty", async (batch, length, rows) => {
  const turn = compile((x: Tensor<"f32">, angles: Tensor<"f32">) => rotaryEmbedding(x, angles, angles));
  const turned = await turn(filled([batch, length, 2, 8]), filled([rows, length, 1, 4]));
  expect(turned.shape).toEqual([batch, length, 2, 8]);
  expect(await turned.read()).toHaveLength(0);
});
