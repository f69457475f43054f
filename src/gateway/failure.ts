import { isObject } from "../base/index.ts";

/** What may be done after a failure. */
export type Remedy =
  /** Another upstream may do better, and this one later. */
  | "retry"
  /** Another upstream may do better, this one not: it does not know the model, or its key. */
  | "elsewhere"
  /** Another model may do better: the context of this one is too short. */
  | "other-model"
  /** Nobody will: the request is wrong. */
  | "none";

/** What a failure shows to be unwell. */
export type Unwell =
  /** All of the upstream, or the way to it: it cannot be reached, or refuses the key. */
  | "upstream"
  /** The model that was asked for. */
  | "model"
  /** Neither: the upstream answers. */
  | "nothing";

export interface FailureParts {
  /** What the client is told. */
  status: 400 | 404 | 413 | 422 | 429 | 502 | 503 | 504;
  code: string;
  message: string;
  param?: string | null;
  type?: string;
  remedy: Remedy;
  /** How long the upstream wants to be left alone, in milliseconds. */
  retryAfterMs?: number;
  /** What is unwell, by whose breaker it counts. */
  unwell: Unwell;
}

/** Why an upstream gave no answer. */
export class UpstreamFailure extends Error {
  readonly parts: FailureParts;

  constructor(parts: FailureParts) {
    super(parts.message);
    this.name = "UpstreamFailure";
    this.parts = parts;
  }
}

/** The model of an upstream is unwell, which is asked again. */
export const modelUnwell = (code: string, message: string, status: 502 | 503 | 504 = 502): UpstreamFailure =>
  new UpstreamFailure({ status, code, message, type: "upstream_error", remedy: "retry", unwell: "model" });

/** The upstream, or the way to it, is unwell; it is asked again. */
export const upstreamUnwell = (code: string, message: string, status: 502 | 503 | 504 = 502): UpstreamFailure =>
  new UpstreamFailure({ ...modelUnwell(code, message, status).parts, unwell: "upstream" });

/** The time that a Retry-After header gives, a number of seconds or a date; also OpenAI's in milliseconds. */
export function retryAfterMs(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  now: number,
): number | undefined {
  const text = (name: string) => [headers[name]].flat()[0]?.trim();
  const exact = Number(text("retry-after-ms") || Number.NaN);
  if (exact >= 0) return exact;
  const header = text("retry-after");
  if (!header) return undefined;
  if (/^\d+(\.\d+)?$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** Characters of an upstream's message that a client is told. */
const MOST_MESSAGE = 1000;

interface Refusal {
  upstream: string;
  status: number;
  /** The beginning of the body, without secrets. */
  body: string;
  retryAfterMs: number | undefined;
}

/**
 * What an answer with an error means. The words of an upstream reach the client where they are about its request; what
 * an upstream says of the gateway's key or account does not.
 */
export function refusalFailure({ upstream, status, body, retryAfterMs }: Refusal): UpstreamFailure {
  const type = "upstream_error";
  if (status >= 300 && status < 400)
    return upstreamUnwell(
      "upstream_redirect",
      `${upstream} answered with a redirect (${status}), which is not followed.`,
    );
  const told = errorParts(body);
  const message = told.message ?? `${upstream} answered ${status}.`;
  const words = { ...told, message };
  switch (status) {
    case 401:
    case 402:
    case 403:
      return new UpstreamFailure({
        status: 502,
        code: "upstream_refused_key",
        message: `${upstream} refused the gateway's key or account (${status}).`,
        type,
        remedy: "elsewhere",
        unwell: "upstream",
      });
    case 404:
    case 405:
      return new UpstreamFailure({
        ...words,
        status: 404,
        code: told.code ?? "model_not_found",
        remedy: "elsewhere",
        unwell: "nothing",
      });
    case 408:
      return modelUnwell("upstream_timeout", `${upstream} answered 408.`, 504);
    case 429:
      return new UpstreamFailure({
        ...words,
        status: 429,
        code: told.code ?? "rate_limit_exceeded",
        message: `${upstream}: ${message}`,
        remedy: "retry",
        ...(retryAfterMs !== undefined && { retryAfterMs }),
        unwell: "nothing",
      });
  }
  if (status < 500) {
    const code = told.code ?? "invalid_request";
    const isTooLong = code === "context_length_exceeded";
    const known = status === 413 || status === 422 ? status : 400;
    return new UpstreamFailure({
      ...words,
      status: known,
      code,
      remedy: isTooLong ? "other-model" : "none",
      unwell: "nothing",
    });
  }
  const failure = modelUnwell(
    "upstream_error",
    `${upstream} answered ${status}.`,
    status === 503 || status === 504 ? status : 502,
  );
  return new UpstreamFailure({ ...failure.parts, ...(retryAfterMs !== undefined && { retryAfterMs }) });
}

/** OpenAI's form; what is in no form is not passed on. */
function errorParts(body: string): { message?: string; code?: string; type?: string; param?: string | null } {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return {};
  }
  const error = isObject(json) ? (isObject(json.error) ? json.error : json) : {};
  const text = (value: unknown) =>
    typeof value === "string" && value !== "" ? value.slice(0, MOST_MESSAGE) : undefined;
  const [message, code, type, param] = [error.message, error.code, error.type, error.param].map(text);
  return { ...(message && { message }), ...(code && { code }), ...(type && { type }), ...(param && { param }) };
}
