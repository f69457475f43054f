import type { Context } from "hono";
import { exceededJsonLimit, limits, requestLimits } from "../base/index.ts";
import { RequestError } from "./errors.ts";

/** Pages of others can send text/plain and forms without asking; JSON they cannot. */
export async function bodyText(c: Context): Promise<string> {
  const type = c.req.header("content-type") ?? "none";
  if (!/^application\/([\w.+-]+\+)?json\s*(;|$)/i.test(type)) {
    throw new RequestError({
      status: 415,
      message: `content-type: expected application/json; received ${type}`,
      code: "unsupported_content_type",
    });
  }
  return c.req.text().catch((cause: Error) => {
    throw new RequestError({ status: 499, message: `the client is gone: ${cause.message}`, code: "client_gone" });
  });
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
