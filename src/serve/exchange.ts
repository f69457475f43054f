import type { HttpBindings } from "@hono/node-server";
import type { Context, Hono } from "hono";
import type { ApiKey } from "../keys/index.ts";
import { type Job, streamedAnswer, wholeAnswer } from "./answer.ts";
import { asClient } from "./client.ts";
import { isObject, isText } from "./fields.ts";
import type { RequestRecord } from "./log.ts";
import type { AskedLease, ModelKind, ServedModels, Services } from "./models/index.ts";
import { bodyText, jsonOf } from "./request-body.ts";
import { RequestLife, whileWanted } from "./request-life.ts";
import type { Service } from "./service.ts";

/** Requests of batches come from inside, with this beside them. */
export interface BatchBindings {
  /** Whose batch it is: what keeps the stored things of several users apart. */
  batchOwner: string;
}

/** What requests have with them in the app. */
export interface Environment {
  /** Of Node's server, or of batches; in tests there is none. */
  Bindings: Partial<HttpBindings & BatchBindings>;
  Variables: { record: RequestRecord };
}

export type App = Hono<Environment>;

/** A batch's request may wait for a day while others are answered before it. */
const BATCH_TIMEOUT_MS = 24 * 3600 * 1000;

/** Whose stored responses, files and batches a request sees: its key's name; without keys there is one user, "". */
export const ownerOf = (c: Context<Environment>): string => c.env?.batchOwner ?? c.get("record").key?.name ?? "";

/** What tells clients apart where they share something: the user, or where the server knows none the address. */
const clientOf = (c: Context<Environment>): string => ownerOf(c) || c.env?.incoming?.socket.remoteAddress || "";

/** What there is to do, or an answer that needs no turn. */
export type Task = { isStreamed?: boolean; job: Job } | { answer: object };
export type Read = (service: Service, json: unknown, signal: AbortSignal) => Promise<Task>;

/** The model that a request names; what is no name the endpoint refuses when it reads its fields. */
export const modelNameOf = (json: unknown): string | undefined =>
  isObject(json) && isText(json.model) ? json.model : undefined;

/**
 * Answers a request to a model that writes with one JSON object or with a stream of them.
 * @param leaseOf which model it is, and how it is lent. @default the one that the field "model" names
 */
export async function answer(
  c: Context<Environment>,
  models: ServedModels,
  read: Read,
  leaseOf: (json: unknown) => AskedLease = (json) => ({ asked: modelNameOf(json) }),
): Promise<Response> {
  const json = await jsonBody(c);
  return inTurn(c, models, "text-generation", leaseOf(json), async (service, life) => {
    const task = await read(service, json, life.signal);
    if ("answer" in task) return c.json(task.answer);
    const { isStreamed } = task;
    const job = ofKey(task.job, life.record.key);
    if (!isStreamed) return c.json(await wholeAnswer(service.model, job, life));
    const events = await streamedAnswer(service.model, job, life, models.stalledTimeoutMs);
    return c.body(events, 200, {
      "content-type": job.contentType ?? "text/event-stream",
      "cache-control": "no-cache",
      "x-accel-buffering": "no",
    });
  });
}

/** Requests of one key share the model as one with those of the others. */
export function ofKey(job: Job, key: ApiKey | undefined): Job {
  if (!key) return job;
  const choices = job.choices.map(({ options, ...choice }) => ({
    ...choice,
    options: { ...options, group: key.hash },
  }));
  return { ...job, choices };
}

/** Answers a request with a model that is lent to it, and in whose queue it has a place. */
export async function inTurn<K extends ModelKind>(
  c: Context<Environment>,
  models: ServedModels,
  kind: K,
  { asked, keepAliveMs }: AskedLease,
  work: (service: Services[K], life: RequestLife) => Promise<Response>,
): Promise<Response> {
  const isOfBatch = c.env?.batchOwner !== undefined;
  const record = c.get("record");
  record.asked(models.nameFor(kind, asked));
  const life = new RequestLife({
    client: c.req.raw.signal,
    server: models.stopSignal,
    timeoutMs: isOfBatch ? BATCH_TIMEOUT_MS : models.requestTimeoutMs,
    record,
    disconnect: () => c.env?.outgoing?.destroy(),
  });
  try {
    const lease = await models.lease(kind, asked, { signal: life.signal, keepAliveMs });
    life.enter(lease, isOfBatch ? "aside" : "in line");
    return await asClient(clientOf(c), () => work(lease.value, life));
  } finally {
    if (!life.record.isStreamed) life.end();
  }
}

/** Answers a request that needs no turn with one JSON object. */
export async function lookUp<K extends ModelKind>(
  c: Context<Environment>,
  models: ServedModels,
  kind: K,
  read: (service: Services[K], json: unknown, signal: AbortSignal) => Promise<object>,
): Promise<Response> {
  const json = await jsonBody(c);
  c.get("record").asked(models.nameFor(kind, modelNameOf(json)));
  return c.json(await useOutside(c, models, kind, modelNameOf(json), (service, signal) => read(service, json, signal)));
}

/** Uses a model for a request that takes no place in its queue. */
export const useOutside = <K extends ModelKind, T>(
  c: Context<Environment>,
  models: ServedModels,
  kind: K,
  asked: string | undefined,
  work: (service: Services[K], signal: AbortSignal) => T | Promise<T>,
): Promise<T> =>
  whileWanted(waiterOf(c, models), (signal) =>
    models.use(kind, asked, signal, async (service) => work(service, signal)),
  );

/** Who waits for the answer to a request that takes no place in a queue. */
export const waiterOf = (c: Context<Environment>, { stopSignal, requestTimeoutMs }: ServedModels) => ({
  client: c.req.raw.signal,
  server: stopSignal,
  timeoutMs: requestTimeoutMs,
});

/** The JSON that a request has. @throws RequestError 400 or 415 for anything else */
export async function jsonBody(c: Context<Environment>): Promise<unknown> {
  const json = jsonOf(await bodyText(c));
  c.get("record").json = json;
  return json;
}
