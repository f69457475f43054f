import type { Context } from "hono";
import { clientLost, RequestError } from "../errors.ts";
import type { Environment } from "../exchange.ts";

/** The fields of a form: texts, lists of those that are named "name[]", and files. */
export type Form = Record<string, unknown>;

/**
 * The form that a request has.
 * @throws RequestError 415 for another type, 400 for one that is torn or has a field twice
 */
export async function formOf(c: Context<Environment>): Promise<Form> {
  const type = c.req.header("content-type") ?? "none";
  if (!/^multipart\/form-data\s*;/i.test(type)) {
    throw new RequestError({
      status: 415,
      message: `content-type: expected multipart/form-data with a boundary; received ${type}`,
      code: "unsupported_content_type",
    });
  }
  const data = await c.req.formData().catch((cause: Error) => {
    if (cause instanceof RequestError) throw cause;
    if (c.req.raw.signal.aborted) throw clientLost("gone", cause.message);
    const message = `body: expected a form; ${cause.message}`;
    throw new RequestError({ status: 400, message, code: "invalid_value" });
  });
  const form: Form = Object.create(null) as Form;
  for (const key of new Set(data.keys())) {
    const values = data.getAll(key);
    const isList = key.endsWith("[]");
    const name = isList ? key.slice(0, -2) : key;
    if ((!isList && values.length > 1) || name in form)
      throw new RequestError({
        status: 400,
        message: `${name}: expected it once; received it several times`,
        param: name,
        code: "invalid_value",
      });
    form[name] = isList ? values : values[0];
  }
  return form;
}

/** A number that is written in a form, or what there is, which is none. */
export const numberIn = (value: unknown): unknown =>
  typeof value === "string" && value.trim() !== "" && Number.isFinite(Number(value)) ? Number(value) : value;
