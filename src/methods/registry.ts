/** The methods that there are, by name. */
import type { Method } from "./method.ts";
import { pretrain } from "./pretrain.ts";
import { sft } from "./sft.ts";

export const methods: ReadonlyMap<string, Method> = new Map([pretrain, sft].map((method) => [method.name, method]));
