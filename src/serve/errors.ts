import { KindlingError, RuntimeError } from "../base/index.ts";
import { ContextLengthError } from "../generate/index.ts";

/** 499: the client went before it was answered; only the log shows it. */
export type ErrorStatus = (400 | 401 | 403 | 404 | 409 | 413 | 415 | 422 | 429 | 499) | (500 | 501 | 502 | 503 | 504);

/** An error in OpenAI's form. */
export interface ErrorBody {
  error: { message: string; type: string; param: string | null; code: string | null };
}

export interface RequestErrorParts {
  status: ErrorStatus;
  message: string;
  /** @default invalid_request_error below 500, server_error from there on */
  type?: string;
  /** The field that is wrong. @default null */
  param?: string | null;
  /** A name for programs. @default null */
  code?: string | null;
  /** @default none */
  headers?: Readonly<Record<string, string>>;
  cause?: unknown;
}

/** What a client is told in place of an answer. */
export class RequestError extends Error {
  readonly status: ErrorStatus;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: ErrorBody;

  constructor({
    status,
    message,
    type = status < 500 ? "invalid_request_error" : "server_error",
    param = null,
    code = null,
    headers = {},
    cause,
  }: RequestErrorParts) {
    super(message, { cause });
    this.name = "RequestError";
    this.status = status;
    this.headers = headers;
    this.body = { error: { message, type, param, code } };
  }
}

/** The client left before it had its answer, or reads no more. @param detail what the system says */
export const clientLost = (reason: "gone" | "stalled", detail?: string): RequestError =>
  new RequestError({
    status: 499,
    message: `the client is ${reason}${detail === undefined ? "" : `: ${detail}`}`,
    code: `client_${reason}`,
  });

/**
 * Any error as one for the client: what Kindling refuses is the request's fault (400), all else the server's (500).
 * What that was may name files and parts of other requests: only the log has it.
 */
export function asRequestError(error: unknown): RequestError {
  if (error instanceof RequestError) return error;
  if (error instanceof ContextLengthError) return contextLengthExceeded(error, "prompt");
  if (error instanceof KindlingError && !(error instanceof RuntimeError)) return faultOf(error, null);
  const message = "The server failed to answer. Its log says why, at the id of this request.";
  return new RequestError({ status: 500, message, code: "internal_error" });
}

/** What Kindling refuses, as the fault of a field of the request. @param param its name, which begins the message */
function faultOf({ message, where, cause }: KindlingError, param: string | null): RequestError {
  const isNamed = param === null || where === param || where.startsWith(`${param},`);
  return new RequestError({
    status: 400,
    message: isNamed ? message : `${param}: ${message}`,
    param,
    code: "invalid_value",
    cause,
  });
}

/**
 * The result of `work`; what Kindling refuses in it is the fault of a field of the request.
 * @param param its name, by what is refused
 */
export async function asFaultOf<T>(param: (refusal: KindlingError) => string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const isRefusal = error instanceof KindlingError && !(error instanceof RuntimeError);
    throw isRefusal && !(error instanceof ContextLengthError) ? faultOf(error, param(error)) : error;
  }
}

/**
 * The result of `work`, whose errors are told in the words of another API.
 * @param words turns OpenAI's names of fields in a text into those of the API
 */
export async function inWordsOf<T>(work: Promise<T>, words: (text: string) => string): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    const { param, type, code } = error.body.error;
    const { status, headers } = error;
    const message = words(error.message);
    throw new RequestError({ status, message, type, param: param && words(param), code, headers });
  }
}

/**
 * The prompt and the answer asked for do not fit into the context, in OpenAI's words.
 * @param options.isLeast whether the tokens of the prompt were not counted: there are at least so many @default false
 */
export function contextLengthExceeded(
  { contextLength, promptTokens, maxNewTokens, code }: ContextLengthError,
  param: string,
  { isLeast = false }: { isLeast?: boolean } = {},
): RequestError {
  const limit = `This model's maximum context length is ${contextLength} tokens.`;
  const tokens = `${isLeast ? "at least " : ""}${promptTokens} ${promptTokens === 1 ? "token" : "tokens"}`;
  const message =
    maxNewTokens === undefined || promptTokens >= contextLength
      ? `${limit} However, your ${param} resulted in ${tokens}. Please reduce the length of the ${param}.`
      : `${limit} However, you requested ${promptTokens + maxNewTokens} tokens (${promptTokens} in the ${param}, ${maxNewTokens} in the completion). ` +
        `Please reduce the length of the ${param} or completion.`;
  return new RequestError({ status: 400, message, param, code });
}
