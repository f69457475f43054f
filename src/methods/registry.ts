/** The methods that there are, by name. */

import { crossEncoder } from "./cross-encoder.ts";
import { distill } from "./distill.ts";
import { embeddings } from "./embeddings.ts";
import type { Method } from "./method.ts";
import { sft } from "./sft.ts";

export const methods: ReadonlyMap<string, Method> = new Map(
  [crossEncoder, distill, embeddings, sft].map((method) => [method.name, method]),
);
