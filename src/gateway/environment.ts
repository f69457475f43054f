import type { HttpBindings } from "@hono/node-server";
import type { RequestRecord } from "../serve/index.ts";

/** What goes with a request of the gateway. */
export interface Environment {
  /** Of Node's server; in tests there is none. */
  Bindings: Partial<HttpBindings>;
  Variables: { record: RequestRecord };
}
