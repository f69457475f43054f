/** The methods that there are, by name. */
import { imageClassification } from "./image-classification.ts";
import type { Method } from "./method.ts";
import { sft } from "./sft.ts";

export const methods: ReadonlyMap<string, Method> = new Map(
  [sft, imageClassification].map((method) => [method.name, method]),
);
