import { type Context, Hono } from "hono";
import {
  type AccessOptions,
  accessRules,
  answerErrors,
  bodyText,
  jsonOf,
  limitedBodies,
  type OperationOptions,
  Operations,
  RequestError,
  unpackedBodies,
} from "../serve/index.ts";
import { answered } from "./answer.ts";
import type { Environment } from "./environment.ts";
import type { Gateway } from "./gateway.ts";
import { readRequest, routes } from "./request.ts";
import { groupings, isDay, type UsageQuery } from "./usage-store.ts";

export interface GatewayAppOptions extends AccessOptions, OperationOptions {}

/** The HTTP app of a gateway, and what is around its requests. It listens nowhere by itself: see `serveGateway`. */
export function gatewayApp(
  gateway: Gateway,
  { allowedHosts, corsOrigins, ...options }: GatewayAppOptions = {},
): { app: Hono<Environment>; operations: Operations } {
  const app = new Hono<Environment>();
  const operations = new Operations(options, []);
  app.use(operations.recorded(), ...accessRules({ allowedHosts, corsOrigins }));
  app.get("/health", (c) => (operations.isDraining ? c.json({ status: "draining" }, 503) : c.json({ status: "ok" })));
  app.use(operations.guarded(), unpackedBodies(), limitedBodies(gateway.config.server.maxBodyMiB));
  app.get("/metrics", async (c) => {
    const { body, type } = await gateway.metrics.text();
    return c.body(body, 200, { "content-type": type });
  });
  app.get("/usage", async (c) => c.json(await usage(c, gateway)));
  app.get("/v1/models", (c) => c.json({ object: "list", data: gateway.modelsFor(c.get("record")).map(modelObject) }));
  app.get("/v1/models/:id{.+}", (c) => {
    const id = c.req.param("id");
    const record = c.get("record");
    if (!gateway.modelsFor(record).includes(id)) throw gateway.unknownModel(id, record);
    return c.json(modelObject(id));
  });
  for (const path of routes) {
    app.post(`/v1${path}`, async (c) => {
      const json = jsonOf(await bodyText(c));
      const record = c.get("record");
      record.json = json;
      const request = readRequest(path, json);
      record.asked(request.model);
      return answered(c, gateway, request);
    });
  }
  answerErrors(app);
  return { app, operations };
}

const modelObject = (id: string) => ({ id, object: "model", created: 0, owned_by: "kindling-gateway" });

/** @throws RequestError 403 for a key that is no admin's, 400 for a query that cannot be */
async function usage(c: Context<Environment>, gateway: Gateway): Promise<object> {
  if (!gateway.isAdmin(c.get("record"))) {
    const message = "This key may not read the usage of all; its name is not among keys.admins.";
    throw new RequestError({ status: 403, message, code: "not_an_admin" });
  }
  const query = usageQuery(c.req.query());
  await gateway.ledger.flush();
  return { by: query.by, data: await gateway.store.totals(query) };
}

function usageQuery({ by = "key", ...days }: Record<string, string>): UsageQuery {
  const refuse = (param: string, expected: string): never => {
    throw new RequestError({ status: 400, message: `${param}: expected ${expected}`, param, code: "invalid_value" });
  };
  const grouping = groupings.find((name) => name === by) ?? refuse("by", groupings.join(", "));
  const query: UsageQuery = { by: grouping };
  for (const [name, value] of Object.entries(days)) {
    if (name !== "since" && name !== "until") refuse(name, "by, since or until");
    else if (isDay(value)) query[name] = value;
    else refuse(name, "a day, as 2026-11-27");
  }
  return query;
}
