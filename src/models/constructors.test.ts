/**
 * A class of each family is made of a camelCase config, saved, and opened as what it was; all of them are exported, and
 * refuse what is no key. All classes are saved and opened in constructors.slow.test.ts.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { randomKey } from "../tensor/index.ts";
import { classes, configOf, expectReopened, grouped } from "../testing/tiny-classes.ts";
import * as models from "./index.ts";
import { LlamaForCausalLM } from "./index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

test.each(classes)("$name is exported, and refuses a key that there is not", ({ name, modelType, Class }) => {
  expect((models as Record<string, unknown>)[name]).toBe(Class);
  expect(() => new Class({ ...configOf(modelType, name), hidenSizes: 4 }, randomKey(0))).toThrow(/hidenSizes/);
});

const oneOfEach = classes.filter(({ modelType }, i) => modelType !== classes[i - 1]?.modelType);
test.each(oneOfEach)("$name is made of a config, saved and opened again", async (each) => {
  await expectReopened(each, join(folder, each.name));
});

test("a config is typed, and a misspelt key is told", () => {
  // @ts-expect-error hidenSize is no field
  expect(() => new models.Qwen3ForCausalLM({ hidenSize: 64 }, randomKey(0))).toThrow(
    /Qwen3Config: .*received hidenSize.*did you mean "hiddenSize"/,
  );
});

test("rotary positions of a public constructor are the family's", () => {
  const { MixtralForCausalLM, SmolLM3ForCausalLM } = models;
  const thetas = [LlamaForCausalLM, SmolLM3ForCausalLM, MixtralForCausalLM].map(
    (Class) => new Class(grouped, randomKey(0)).config.rope.rope_theta,
  );
  expect(thetas).toEqual([10000, 2_000_000, 1_000_000]);
  const glm = new models.GlmForCausalLM({ ...grouped, headDim: 8, rope: { rope_theta: 500 } }, randomKey(0));
  expect(glm.config.rope).toEqual({ rope_type: "default", rope_theta: 500, partial_rotary_factor: 0.5 });
});
