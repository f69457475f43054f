import type { RequestRecord } from "../log.ts";

/** How requests are logged. */
export interface LogOptions {
  /** Gets one line for each request that ends. @default none */
  log?: (line: string) => void;
  /** Words for people, or an object of JSON for programs. @default text */
  logFormat?: "text" | "json";
  /** Adds the bodies of requests and the texts of answers, which are private, to lines of JSON. @default false */
  logPrompts?: boolean;
}

/** Longer ones say nothing more. */
const MAX_PATH = 256;

/**
 * Characters that would end a line, move a terminal's cursor or turn the direction of writing: controls of ASCII and of
 * Latin-1, line separators, marks of direction, halves of pairs.
 */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Cs}]/gu;

/** A text of others on one line, in which nothing acts on whoever reads it. */
export const printable = (text: string): string =>
  text.replace(UNPRINTABLE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** How grave a line of a log is. */
export type LogLevel = "info" | "warn" | "error";

/** A line of a log of JSON: an object with `time`, `level`, `message` and more fields, on one line. */
export const logLine = (level: LogLevel, message: string, fields: object = {}): string =>
  // JSON lets stand what acts on a terminal; inside its texts it may be written as \u too
  printable(JSON.stringify({ time: new Date().toISOString(), level, message, ...fields }));

const shortened = (text: string) => (text.length > MAX_PATH ? `${text.slice(0, MAX_PATH)}…` : text);

/** Writes the line of a request when it ends. */
export function logRequest(record: RequestRecord, { log, logFormat = "text", logPrompts = false }: LogOptions): void {
  if (!log) {
    // what went wrong in the server is told even so: clients are not
    record.onEnd(() => record.cause !== undefined && console.error(record.id, record.cause));
    return;
  }
  let body: unknown;
  if (logPrompts) {
    record.answer = [];
    record.onAsked(({ json }) => {
      body = json;
    });
  }
  record.onEnd((status) => {
    if (logFormat === "text") log(textLine(record, status));
    else log(jsonLine(record, status, logPrompts ? { request: body, answer: record.answer?.join("") } : {}));
  });
}

function textLine(record: RequestRecord, status: number): string {
  const { method, path, key, usage, finishReasons, errorCode } = record;
  const parts = [
    new Date().toISOString(),
    method,
    shortened(path),
    status,
    `${Math.round(record.ms)} ms`,
    ...(usage ? [`${usage.prompt_tokens}+${usage.completion_tokens} tokens`] : []),
    ...(key ? [`key ${key.name}`] : []),
    ...finishReasons,
    ...(errorCode === undefined ? [] : [errorCode]),
    ...(record.cause === undefined ? [] : [shortened(messageOf(record.cause))]),
  ];
  return printable(parts.join(" "));
}

function jsonLine(record: RequestRecord, status: number, texts: object): string {
  const { id, method, path, key, model, usage, finishReasons, errorCode, firstTokenMs, cause } = record;
  const isProbe = path === "/health" && errorCode === undefined; // a 503 says that it is starting or ending
  return logLine(status >= 500 && !isProbe ? "error" : "info", `${method} ${shortened(path)} ${status}`, {
    request_id: id,
    key: key?.name,
    method,
    path: shortened(path),
    model: model === undefined ? undefined : shortened(model),
    status,
    ms: Math.round(record.ms),
    ttft_ms: firstTokenMs === undefined ? undefined : Math.round(firstTokenMs),
    prompt_tokens: usage?.prompt_tokens,
    completion_tokens: usage?.completion_tokens,
    finish_reason: finishReasons.length > 0 ? finishReasons.join(" ") : undefined,
    error: errorCode,
    cause: cause === undefined ? undefined : messageOf(cause),
    ...texts,
  });
}

const messageOf = (cause: unknown): string => (cause instanceof Error ? (cause.stack ?? cause.message) : String(cause));
