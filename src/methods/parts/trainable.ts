import { OptionError } from "../../base/index.ts";
import { hasBlocks, type Module } from "../../nn/index.ts";
import type { SharedConfig } from "../config/schema.ts";

/** @throws OptionError for a model in blocks without an adapter: blocks are not trained, nor saved as weights */
export function requireTrainable(model: Module, { adapter }: Pick<SharedConfig, "adapter">): void {
  if (adapter !== undefined || !hasBlocks(model)) return;
  throw new OptionError({
    where: "config, model.weights",
    expected: "weights in f32, or an adapter beside those in blocks, which are not trained",
    received: "weights in blocks and no adapter",
    fix: "write adapter: { type: lora }, or leave weights out",
  });
}
