/** OpenAI's API of batches: requests of a file, answered while nobody waits for them. */
import type { DataFolder } from "../data-folder.ts";
import { type App, jsonBody, ownerOf } from "../exchange.ts";
import { type Fields, invalid, isObject, object, oneOf, readFields, rule, text } from "../fields.ts";
import { requireData, stayFields } from "../files/index.ts";
import { storageError } from "../files/store.ts";
import { listPage } from "../list-page.ts";
import { metadata } from "../metadata.ts";
import type { BatchRequest } from "./input.ts";
import type { Outcome } from "./results.ts";
import { BatchRunner } from "./runner.ts";
import type { Batch, BatchStatus } from "./store.ts";

const endpoints = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"] as const;

/** Every field of POST /v1/batches. */
export const batchFields = {
  input_file_id: text,
  endpoint: oneOf(endpoints),
  completion_window: rule<"24h">('"24h"', (value) => value === "24h", { const: "24h" }),
  metadata,
  output_expires_after: rule<object>("an object with anchor and seconds", isObject, object),
} as const satisfies Fields;

const PAGE = { most: 100, default: 20 };
/** Endpoints that take vLLM's `priority`; lower ones go first. */
const prioritized: readonly string[] = endpoints.filter((endpoint) => endpoint !== "/v1/embeddings");
const BATCH_PRIORITY = 1_000_000;
/** Requests of a batch that are under way at a time: they are in memory, and give way to others. */
const CONCURRENCY = 4;

/**
 * The endpoints below /v1/batches. Their requests are answered by the app itself.
 * @param data undefined for a server that has no folder for them
 */
export function batchRoutes(app: App, data: DataFolder | undefined): void {
  const runner = data && runnerOf(app, data);
  app.post("/v1/batches", async (c) => {
    const { batches, files } = requireData(data, "/v1/batches");
    const request = readBatchRequest(await jsonBody(c));
    const isThere = app.routes.some(({ method, path }) => method === "POST" && path === request.endpoint);
    if (!isThere) throw invalid("endpoint", "one that this server has", request.endpoint);
    await files.get(ownerOf(c), request.inputFileId, "input_file_id");
    const batch = await batches.create({ ...request, owner: ownerOf(c) }).catch((error) => {
      throw storageError(error);
    });
    runner?.start(batch);
    return c.json(batchObject(batch));
  });
  app.get("/v1/batches", (c) => {
    const batches = requireData(data, "/v1/batches").batches.list(ownerOf(c));
    return c.json(listPage(batches.map(batchObject), c.req.query(), PAGE));
  });
  app.get("/v1/batches/:id", (c) =>
    c.json(batchObject(requireData(data, "/v1/batches").batches.get(ownerOf(c), c.req.param("id")))),
  );
  app.post("/v1/batches/:id/cancel", async (c) => {
    const batch = requireData(data, "/v1/batches").batches.get(ownerOf(c), c.req.param("id"));
    await runner?.cancel(batch).catch((error) => {
      throw storageError(error);
    });
    return c.json(batchObject(batch));
  });
}

function runnerOf(app: App, data: DataFolder): BatchRunner {
  const send = (batch: Batch, request: BatchRequest, signal: AbortSignal) => sent(app, batch, request, signal);
  const runner = new BatchRunner(data, { send, concurrency: CONCURRENCY });
  data.onClose(() => runner.close());
  return runner;
}

async function sent(
  app: App,
  { endpoint, owner }: Batch,
  { line }: BatchRequest,
  signal: AbortSignal,
): Promise<Outcome> {
  const { body } = JSON.parse(line) as { body: Readonly<Record<string, unknown>> };
  for (const name of ["stream", "background"])
    if (body[name] === true) return { status: 400, body: invalid(name, "none: a batch has whole answers", true).body };
  const priority = typeof body.priority === "number" ? body.priority : 0;
  const json = prioritized.includes(endpoint) ? { ...body, priority: BATCH_PRIORITY + priority } : body;
  const request = new Request(`http://localhost${endpoint}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(json),
    signal,
  });
  const response = await app.fetch(request, { batchOwner: owner });
  const text = await response.text();
  const requestId = response.headers.get("x-request-id") ?? undefined;
  return { status: response.status, body: JSON.parse(text), requestId };
}

/** @throws RequestError naming the field that is wrong */
function readBatchRequest(json: unknown) {
  const request = readFields(json, batchFields);
  const { input_file_id: inputFileId, endpoint, completion_window: window, output_expires_after: stay } = request;
  if (inputFileId === undefined) throw invalid("input_file_id", "the id of a file", undefined);
  if (endpoint === undefined) throw invalid("endpoint", batchFields.endpoint.expected, undefined);
  if (window === undefined) throw invalid("completion_window", batchFields.completion_window.expected, undefined);
  return { inputFileId, endpoint, metadata: request.metadata ?? {}, resultsStayMs: stay ? stayMs(stay) : null };
}

function stayMs(json: object): number {
  const path = "output_expires_after.";
  const { anchor, seconds } = readFields(json, stayFields, path);
  if (anchor === undefined) throw invalid(`${path}anchor`, stayFields.anchor.expected, undefined);
  if (seconds === undefined) throw invalid(`${path}seconds`, stayFields.seconds.expected, undefined);
  return seconds * 1000;
}

/** Under the names that OpenAI has for when each status came. */
const timeNames: Record<BatchStatus, string> = {
  validating: "created_at",
  failed: "failed_at",
  in_progress: "in_progress_at",
  finalizing: "finalizing_at",
  completed: "completed_at",
  expired: "expired_at",
  cancelling: "cancelling_at",
  cancelled: "cancelled_at",
};
const inSeconds = (milliseconds: number) => Math.floor(milliseconds / 1000);

/** A batch as OpenAI shows it. */
function batchObject(batch: Batch) {
  const { id, endpoint, inputFileId, status, times, expiresAt, errors, total, completed, failed } = batch;
  const hasFiles = status === batch.ending;
  const shownTimes = Object.entries(times).map(([name, time]) => [timeNames[name as BatchStatus], inSeconds(time)]);
  return {
    id,
    object: "batch",
    endpoint,
    input_file_id: inputFileId,
    completion_window: "24h",
    status,
    ...Object.fromEntries(shownTimes),
    expires_at: inSeconds(expiresAt),
    ...(hasFiles && completed > 0 && { output_file_id: batch.outputFileId }),
    ...(hasFiles && failed > 0 && { error_file_id: batch.errorFileId }),
    ...(errors.length > 0 && { errors: { object: "list", data: errors } }),
    request_counts: { total, completed, failed },
    metadata: batch.metadata,
  };
}
