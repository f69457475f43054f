import type { Hono } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { asRequestError, RequestError } from "../errors.ts";
import type { RequestRecord } from "../log.ts";

/**
 * Has an app answer what its handlers throw, and 404 for paths that it does not have. The record of the request, which
 * `Operations` makes, gets what it was.
 * @param bodyOf an error in the form of the API that a path belongs to. @default OpenAI's
 */
export function answerErrors<E extends { Variables: { record: RequestRecord } }>(
  app: Hono<E>,
  bodyOf: (error: RequestError, path: string) => object = ({ body }) => body,
): void {
  app.notFound(({ req }) => {
    throw new RequestError({ status: 404, message: `There is no ${req.method} ${req.path} here.`, code: "not_found" });
  });
  app.onError((error, c) => {
    const refusal = asRequestError(error);
    const record = c.get("record");
    record.failed(error, refusal);
    const body = { ...bodyOf(refusal, c.req.path), request_id: record.id };
    return c.json(body, refusal.status as ContentfulStatusCode, refusal.headers);
  });
}
