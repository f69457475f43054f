import { modelNameOf as nameIn } from "../exchange.ts";
import { isObject } from "../fields.ts";
import type { AskedLease } from "../models/index.ts";
import { keepAliveMs } from "./keep-alive.ts";
import { modelNameOf } from "./models.ts";

/** The model that a request asks for, and how long it is to stay; what is wrong is told when the fields are read. */
export function leaseOf(json: unknown): AskedLease {
  const asked = nameIn(json);
  return {
    asked: asked === undefined ? undefined : modelNameOf(asked),
    keepAliveMs: isObject(json) ? keepAliveMs(json.keep_alive) : undefined,
  };
}
