/** The methods that there are, by name. */

import { grpo } from "./grpo.ts";
import type { Method } from "./method.ts";
import { ppo } from "./ppo.ts";
import { sft } from "./sft.ts";

export const methods: ReadonlyMap<string, Method> = new Map([grpo, ppo, sft].map((method) => [method.name, method]));
