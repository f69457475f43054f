/** OpenAI's newer API of answers, which may be kept and gone on with. */
import type { Context } from "hono";
import { wholeAnswer } from "../answer.ts";
import { asRequestError, RequestError } from "../errors.ts";
import { type App, answer, type Environment, jsonBody, lookUp, ofKey, ownerOf } from "../exchange.ts";
import { invalid } from "../fields.ts";
import { listPage } from "../list-page.ts";
import type { ServedModels } from "../models/index.ts";
import { RequestLife } from "../request-life.ts";
import { inputTokens, planResponse } from "./job.ts";
import { type ResponseRequest, readResponseRequest } from "./requests.ts";
import { failedResponse, type ResponseObject } from "./shapes.ts";
import { ResponseStore, type StoredResponse, type StoreLimits } from "./store.ts";

const KIND = "text-generation";
const ITEMS = { most: 100, default: 20 };

/** The endpoints below /v1/responses. */
export function responseRoutes(app: App, models: ServedModels, limits: StoreLimits = {}): void {
  const store = new ResponseStore(limits);
  app.post("/v1/responses", async (c) => {
    const request = readResponseRequest(await jsonBody(c));
    if (request.background) return c.json(await inBackground(c, request, { models, store }));
    return answer(c, models, async (service, _, signal) => {
      const owner = ownerOf(c);
      const { job } = await planResponse(request, { service, store, owner, signal, keep: (last) => store.put(last) });
      return { isStreamed: request.stream, job };
    });
  });
  app.post("/v1/responses/input_tokens", (c) =>
    lookUp(c, models, KIND, (service, json, signal) =>
      inputTokens(json, { service, store, owner: ownerOf(c), signal }),
    ),
  );
  app.get("/v1/responses/:id", (c) => {
    if (c.req.query("stream") === "true") throw invalid("stream", "none: a response that is kept comes whole", true);
    return c.json(store.get(ownerOf(c), c.req.param("id")).response);
  });
  app.get("/v1/responses/:id/input_items", (c) =>
    c.json(listPage(store.get(ownerOf(c), c.req.param("id")).input, c.req.query(), ITEMS)),
  );
  app.post("/v1/responses/:id/cancel", (c) => c.json(cancelled(store, store.get(ownerOf(c), c.req.param("id")))));
  app.delete("/v1/responses/:id", (c) => {
    const id = c.req.param("id");
    store.delete(ownerOf(c), id);
    return c.json({ id, object: "response.deleted", deleted: true });
  });
}

const isUnderWay = ({ status }: ResponseObject) => status === "queued" || status === "in_progress";

/** @throws RequestError 400 for a response that is not written in the background */
function cancelled(store: ResponseStore, stored: StoredResponse): ResponseObject {
  const { response, cancel } = stored;
  if (!cancel) {
    const message = "Cannot cancel a synchronous response.";
    throw new RequestError({ status: 400, message, code: "response_not_cancellable" });
  }
  if (!isUnderWay(response)) return response;
  const last: ResponseObject = { ...response, status: "cancelled" };
  store.put({ ...stored, response: last });
  cancel();
  return last;
}

/**
 * Begins a response that its client does not wait for. It has its place in the queue like any other.
 * @returns the response, of which nothing is written
 * @throws RequestError for what cannot be written
 */
async function inBackground(
  c: Context<Environment>,
  request: ResponseRequest,
  { models, store }: { models: ServedModels; store: ResponseStore },
): Promise<ResponseObject> {
  const record = c.get("record");
  record.asked(models.nameFor(KIND, request.model));
  const cancelling = new AbortController();
  const life = new RequestLife({
    client: cancelling.signal,
    server: models.stopSignal,
    timeoutMs: models.requestTimeoutMs,
    record,
    disconnect: () => {},
  });
  const keep = (last: StoredResponse) => store.put({ ...last, cancel: () => cancelling.abort() });
  try {
    const lease = await models.lease(KIND, request.model, { signal: life.signal });
    life.enter(lease, "in line");
    const { value: service } = lease;
    const plan = await planResponse(request, { service, store, owner: ownerOf(c), signal: life.signal, keep });
    const queued: ResponseObject = { ...plan.response, status: "queued" };
    keep({ ...plan.stored, response: queued });
    record.isStreamed = true; // it ends when the response is written, not when its client knows of it
    const shapes = () => {
      keep(plan.stored); // its turn has come
      return plan.job.shapes();
    };
    void wholeAnswer(service.model, { ...ofKey(plan.job, record.key), shapes }, life)
      .catch((error) => {
        const refusal = asRequestError(error);
        record.failed(error, refusal);
        if (!cancelling.signal.aborted) keep({ ...plan.stored, response: failedResponse(plan.response, refusal) });
      })
      .finally(() => {
        life.end();
        record.end(200);
      });
    return queued;
  } catch (error) {
    life.end();
    throw error;
  }
}
