import type { MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { clientLost, RequestError } from "../errors.ts";

/**
 * Refuses bodies that are packed: some bytes unpack to gigabytes, and no client of these APIs packs what it sends.
 * Bodies are then as large as they are on the wire, where their length is bounded.
 */
export function unpackedBodies(): MiddlewareHandler {
  return async (c, next) => {
    const encoding = c.req.header("content-encoding");
    if (encoding !== undefined && encoding.toLowerCase() !== "identity")
      throw new RequestError({
        status: 415,
        message: `content-encoding: expected none; received ${JSON.stringify(encoding.slice(0, 60))}`,
        code: "unsupported_content_encoding",
        headers: { "accept-encoding": "identity" },
      });
    await next();
  };
}

/**
 * Refuses bodies of more than so many MiB, with 413.
 * @param param what is too large, for the message; where there are fields, the one that is
 */
export function limitedBodies(mostMiB: number, param?: string, moreBytes = 0): MiddlewareHandler {
  const message = `${param ?? "body"}: expected at most ${mostMiB} MiB; received more`;
  const onError = () => {
    throw new RequestError({ status: 413, message, param, code: "request_too_large" });
  };
  const limit = bodyLimit({ maxSize: mostMiB * 2 ** 20 + moreBytes, onError });
  // a body whose length is not said is read here, to its end
  return async (c, next) => {
    let isRead = false;
    const passOn = () => {
      isRead = true;
      return next();
    };
    return limit(c, passOn).catch((cause) => {
      if (isRead || cause instanceof RequestError) throw cause;
      throw clientLost("gone", String(cause));
    });
  };
}
