/** Bottleneck adapters as the folders of Python's adapters have them (AdapterHub). */
import { DataError } from "../base/index.ts";
import type { StateTensor } from "../nn/index.ts";
import type { BottleneckConfig } from "./bottleneck-config.ts";

/** The weights of an adapter, as `save_adapter(..., use_safetensors=True)` names them. */
export const HUB_WEIGHTS = "adapter.safetensors";
/** The same of torch.save. */
export const HUB_TORCH = "pytorch_adapter.bin";

const NAME = /^(.+)\.adapters\.([^.]+)\.(adapter_down\.0|adapter_up)\.(weight|bias)$/;
/** One of the tensors of a bottleneck. */
export type BottleneckPart = "down" | "downBias" | "up" | "upBias";

const parts: Readonly<Record<string, BottleneckPart>> = {
  "adapter_down.0.weight": "down",
  "adapter_down.0.bias": "downBias",
  "adapter_up.weight": "up",
  "adapter_up.bias": "upBias",
};

/** The tensors of a bottleneck adapter by their places. @throws DataError for a tensor of anything else */
export async function bottlenecksIn(
  file: string,
  { name }: BottleneckConfig,
  tensors: AsyncIterable<[stored: string, tensor: StateTensor]>,
): Promise<Map<string, Partial<Record<BottleneckPart, StateTensor>>>> {
  const layers = new Map<string, Partial<Record<BottleneckPart, StateTensor>>>();
  for await (const [stored, tensor] of tensors) {
    const match = NAME.exec(stored);
    if (!match || match[2] !== name)
      throw new DataError({
        where: `${file}, tensor ${stored}`,
        expected: `a part of the bottleneck adapter "${name}"`,
        received: stored,
        fix: "save the adapter alone, with save_adapter of Python's adapters",
      });
    const [, path, , layer, end] = match;
    layers.set(path, { ...layers.get(path), [parts[`${layer}.${end}`]]: tensor });
  }
  return layers;
}
