import { expect, test } from "vitest";
import { methods } from "../registry.ts";
import { checkpointsActivations, type SharedConfig } from "./schema.ts";

test("layers are computed again where a config says so, and with an adapter on a base in blocks", () => {
  const read = (config: object) => {
    const sft = methods.get("sft") as NonNullable<ReturnType<typeof methods.get>>;
    return checkpointsActivations(
      sft.schema.parse({ method: "sft", data: { train: "a.jsonl" }, ...config }) as SharedConfig,
    );
  };
  const [plain, blocks] = [{ name: "model.gguf" }, { name: "model.gguf", weights: "blocks" }];
  expect(read({ model: blocks, adapter: {} })).toBe(true);
  expect(read({ model: blocks, adapter: {}, training: { checkpointActivations: false } })).toBe(false);
  expect(read({ model: { name: "model", weights: "nf4" }, adapter: {} })).toBe(true);
  expect(read({ model: plain, adapter: {} })).toBe(false);
  expect(read({ model: "model.gguf", adapter: {} })).toBe(false);
  expect(read({ model: plain, training: { checkpointActivations: true } })).toBe(true);
});
