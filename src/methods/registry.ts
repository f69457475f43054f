/** The methods that there are, by name. */
import type { Method } from "./method.ts";

import { preferenceMethod } from "./preference.ts";
import { rewardMethod } from "./reward.ts";
import { sft } from "./sft.ts";

export const methods: ReadonlyMap<string, Method> = new Map(
  [sft, preferenceMethod, rewardMethod].map((method) => [method.name, method]),
);
