import type { Context } from "hono";
import { exceededJsonLimit, limits, requestLimits } from "../base/index.ts";
import { clientLost, RequestError } from "./errors.ts";

/**
 * The text of a body of JSON. Pages of others can send text/plain and forms without asking; JSON they cannot.
 * @throws RequestError 415 for another type, 400 for bytes that are not UTF-8: a model would get other characters
 */
export async function bodyText(c: Context): Promise<string> {
  const type = c.req.header("content-type") ?? "none";
  if (!/^application\/([\w.+-]+\+)?json\s*(;|$)/i.test(type)) {
    throw new RequestError({
      status: 415,
      message: `content-type: expected application/json; received ${type}`,
      code: "unsupported_content_type",
    });
  }
  const bytes = await c.req.arrayBuffer().catch((cause: Error) => {
    if (cause instanceof RequestError) throw cause;
    throw clientLost("gone", cause.message);
  });
  const text = utf8Text(bytes);
  if (text !== undefined) return text;
  const message = "body: expected JSON in UTF-8; received bytes in another encoding";
  throw new RequestError({ status: 400, message, code: "invalid_encoding" });
}

/** Bytes as a text, without a byte order mark; undefined for what is not UTF-8. */
export function utf8Text(bytes: ArrayBuffer | Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** @throws RequestError 400 for what is no JSON, or more of it than clients send */
export function jsonOf(body: string): unknown {
  const limit = exceededJsonLimit(body, requestLimits);
  if (limit !== undefined) {
    const message = `body: expected at most ${limits[limit]} ${limitedParts[limit]} (limit ${limit}); received more`;
    throw new RequestError({ status: 400, message, code: "invalid_value" });
  }
  try {
    return JSON.parse(body);
  } catch {
    throw new RequestError({
      status: 400,
      message: "body: expected JSON; received something else",
      code: "invalid_json",
    });
  }
}

const limitedParts = {
  jsonDepth: "lists and objects inside one another",
  requestContainers: "lists and objects",
  jsonValues: "values",
  requestFields: "names of fields",
};
