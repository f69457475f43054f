import type { HttpBindings } from "@hono/node-server";
import type { Context, Hono } from "hono";
import { type Job, streamedAnswer, wholeAnswer } from "./answer.ts";
import { isObject, isText } from "./fields.ts";
import type { RequestRecord } from "./log.ts";
import type { ModelKind, ServedModels, Services } from "./models/index.ts";
import { bodyJson } from "./request-body.ts";
import { RequestLife } from "./request-life.ts";
import type { Service } from "./service.ts";

export interface Environment {
  /** Of Node's server; in tests there is none. */
  Bindings: Partial<HttpBindings>;
  Variables: { record: RequestRecord };
}

export type App = Hono<Environment>;

/** What there is to do, or an answer that needs no turn. */
export type Task = { isStreamed?: boolean; job: Job } | { answer: object };
type Read = (service: Service, json: unknown, signal: AbortSignal) => Promise<Task>;

/** The name of a model that a request has; what is no name the endpoint refuses when it reads its fields. */
export function modelNameOf(json: unknown): string | undefined {
  return isObject(json) && isText(json.model) ? json.model : undefined;
}

/** A request from its door on. */
export const lifeOf = (c: Context<Environment>, models: ServedModels): RequestLife =>
  new RequestLife({
    client: c.req.raw.signal,
    server: models.stopSignal,
    timeoutMs: models.requestTimeoutMs,
    record: c.get("record"),
    disconnect: () => c.env?.outgoing?.destroy(),
  });

/** Which model a request asks for, and how it is lent. */
export interface AskedLease {
  asked: string | undefined;
  keepAliveMs?: number;
}

/** Answers a request to a model that writes with one JSON object, or with a stream of them. */
export async function answer(
  c: Context<Environment>,
  models: ServedModels,
  read: Read,
  leaseOf: (json: unknown) => AskedLease = (json) => ({ asked: modelNameOf(json) }),
): Promise<Response> {
  const json = await bodyJson(c);
  const life = lifeOf(c, models);
  try {
    const { asked, keepAliveMs } = leaseOf(json);
    const lease = await models.lease("text-generation", asked, { signal: life.signal, keepAliveMs });
    life.enter(lease);
    const { model } = lease.value;
    const task = await read(lease.value, json, life.signal);
    if ("answer" in task) return c.json(task.answer);
    const { isStreamed, job } = task;
    if (!isStreamed) return c.json(await wholeAnswer(model, job, life));
    const events = await streamedAnswer(model, job, life, models.stalledTimeoutMs);
    return c.body(events, 200, {
      "content-type": job.contentType ?? "text/event-stream",
      "cache-control": "no-cache",
      "x-accel-buffering": "no",
    });
  } finally {
    if (!life.record.isStreamed) life.end();
  }
}

/** Answers a request that needs no turn with one JSON object. */
export async function lookUp<K extends ModelKind>(
  c: Context<Environment>,
  models: ServedModels,
  kind: K,
  read: (service: Services[K], json: unknown) => Promise<object>,
): Promise<Response> {
  const json = await bodyJson(c);
  return c.json(await models.use(kind, modelNameOf(json), c.req.raw.signal, (service) => read(service, json)));
}
