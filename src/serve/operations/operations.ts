import type { Context, MiddlewareHandler } from "hono";
import { OptionError } from "../../base/index.ts";
import { RequestError } from "../errors.ts";
import { RequestRecord } from "../log.ts";
import type { AuditEvent } from "./audit.ts";
import { Gate, type KeyOptions } from "./gate.ts";
import { requestId } from "./request-id.ts";
import { type LogOptions, logRequest } from "./request-log.ts";
import { traceRequest } from "./tracing.ts";

/** Who may use a server, and what is written of it. */
export interface OperationOptions extends KeyOptions, LogOptions {
  /** Gets what whoever answers for the server asks after. @default none */
  audit?: (event: AuditEvent) => void;
}

export const operationNames = ["keys", "apiKey", "isMetricsOpen", "log", "logFormat", "logPrompts", "audit"] as const;

/** The options that are these, and the rest. */
export function splitOptions<O extends OperationOptions>(
  options: O,
): [OperationOptions, Omit<O, keyof OperationOptions>] {
  const isOperation = ([name]: [string, unknown]) => (operationNames as readonly string[]).includes(name);
  const entries = Object.entries(options);
  return [
    Object.fromEntries(entries.filter(isOperation)),
    Object.fromEntries(entries.filter((entry) => !isOperation(entry))) as Omit<O, keyof OperationOptions>,
  ];
}

/** Seconds after which a client may try whether another server has taken over. */
const DRAINING_RETRY_S = 5;

/** What is around all requests of a server: their records, keys and limits, and the end of the server. */
export class Operations {
  readonly gate: Gate;
  private readonly options: OperationOptions;
  private readonly idlers: (() => void)[] = [];
  private underWay = 0;
  /** Whether the server takes no more requests, for it is going to stop. */
  isDraining = false;

  /**
   * @param openPaths what anybody may get
   * @throws OptionError for options that cannot be
   */
  constructor(options: OperationOptions, openPaths: readonly string[]) {
    const { keys, apiKey, isMetricsOpen, audit = () => {} } = options;
    checkOperations(options);
    this.options = options;
    this.gate = new Gate({ keys, apiKey, isMetricsOpen, openPaths, audit });
  }

  /** Notes a request, from its door to its end. It comes before everything else. */
  recorded(): MiddlewareHandler {
    return async (c, next) => {
      const record = this.recordOf(c);
      c.set("record", record);
      await next().catch((cause) => {
        record.cause = cause; // what is no Error passes by those who answer
        record.end(500);
        throw new Error(String(cause), { cause });
      });
      c.header("x-request-id", record.id);
      if (record.path.startsWith("/v1/messages")) c.header("request-id", record.id); // Anthropic's name
      if (this.isDraining) c.header("connection", "close");
      if (!record.isStreamed) record.end(c.res.status);
    };
  }

  /** Lets in whom it may. */
  guarded(): MiddlewareHandler {
    return async (c, next) => {
      const record: RequestRecord = c.get("record");
      if (this.isDraining) throw draining();
      const headers = this.gate.admit(c, record);
      await next();
      for (const [name, value] of Object.entries(headers())) c.header(name, value);
    };
  }

  /** Takes no more requests. Resolves when those under way are answered. */
  async drained(): Promise<void> {
    this.isDraining = true;
    if (this.underWay > 0) await new Promise<void>((resolve) => this.idlers.push(resolve));
  }

  private recordOf(c: Context): RequestRecord {
    const record = new RequestRecord({
      id: requestId(c.req.header("x-request-id")),
      method: c.req.method,
      path: c.req.path,
    });
    logRequest(record, this.options);
    traceRequest(record, { headers: c.req.raw.headers, url: c.req.url });
    this.underWay++;
    record.onEnd(() => {
      this.underWay--;
      if (this.underWay === 0) for (const resolve of this.idlers.splice(0)) resolve();
    });
    return record;
  }
}

function draining(): RequestError {
  return new RequestError({
    status: 503,
    message: "The server is stopping, and takes no more requests.",
    code: "server_stopping",
    headers: { "retry-after": String(DRAINING_RETRY_S) },
  });
}

/** What a header may hold: a client could not send another. */
const API_KEY = /^[\x21-\x7e]+$/;

function checkOperations({ apiKey, logFormat = "text", logPrompts }: OperationOptions): void {
  const refuse = (expected: string, received: string, fix: string): never => {
    throw new OptionError({ where: "serve", expected, received, fix });
  };
  if (apiKey !== undefined && !API_KEY.test(apiKey))
    refuse("an apiKey of printable ASCII without spaces", "another text", "choose another key");
  if (logFormat !== "text" && logFormat !== "json")
    refuse('logFormat "text" or "json"', JSON.stringify(logFormat), "choose one of them");
  if (logPrompts && logFormat !== "json")
    refuse('logFormat "json" with logPrompts', `"${logFormat}"`, "log as JSON, whose lines have a place for texts");
}
