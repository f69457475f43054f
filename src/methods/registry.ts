/** The methods that there are, by name. */
import type { Method } from "./method.ts";
import { classification } from "./classification.ts";
import { sft } from "./sft.ts";

export const methods: ReadonlyMap<string, Method> = new Map([sft, classification].map((method) => [method.name, method]));
