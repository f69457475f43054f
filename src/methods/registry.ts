/** The methods that there are, by name. */

import { embeddings } from "./embeddings.ts";
import type { Method } from "./method.ts";
import { sft } from "./sft.ts";

export const methods: ReadonlyMap<string, Method> = new Map([embeddings, sft].map((method) => [method.name, method]));
