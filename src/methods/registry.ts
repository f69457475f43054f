/** The methods that there are, by name. */
import type { Method } from "./method.ts";

import { sft } from "./sft.ts";

export const methods: ReadonlyMap<string, Method> = new Map([sft].map((method) => [method.name, method]));
