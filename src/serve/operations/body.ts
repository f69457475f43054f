import type { MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { RequestError } from "../errors.ts";

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

/** Refuses bodies of more than so many MiB, with 413. */
export function limitedBodies(mostMiB: number): MiddlewareHandler {
  const message = `body: expected at most ${mostMiB} MiB; received more`;
  const onError = () => {
    throw new RequestError({ status: 413, message, code: "request_too_large" });
  };
  return bodyLimit({ maxSize: mostMiB * 2 ** 20, onError });
}
