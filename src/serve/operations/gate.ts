import type { Context } from "hono";
import { isObject } from "../../base/index.ts";
import {
  type ApiKey,
  hashOfKey,
  type KeyLimits,
  KeyRing,
  Quota,
  type QuotaRefusal,
  rateLimitHeaders,
} from "../../keys/index.ts";
import { RequestError } from "../errors.ts";
import type { RequestRecord } from "../log.ts";
import type { AuditEvent } from "./audit.ts";

/** Who may use a server, by keys. */
export interface KeyOptions {
  /** Keys, each with its limits. @default none: without keys, and without `apiKey`, anybody may use the server */
  keys?: readonly ApiKey[];
  /** One key without limits. @default none */
  apiKey?: string;
  /** Lets anybody read `/metrics`, though there are keys. @default false */
  isMetricsOpen?: boolean;
}

/** What the only key is called. */
const ONLY_KEY = "api-key";

interface GateOptions extends KeyOptions {
  /** What anybody may get: the page says nothing that a key is needed for. */
  openPaths: readonly string[];
  audit: (event: AuditEvent) => void;
}

/** Lets requests in by their keys, as far as the limits of each allow. */
export class Gate {
  private readonly options: GateOptions;
  private readonly openPaths: ReadonlySet<string>;
  private ring: KeyRing | undefined;
  private quotas = new Map<string, Quota>();
  private readonly used = new Set<string>();

  constructor(options: GateOptions) {
    const { openPaths, isMetricsOpen, keys, apiKey } = options;
    this.options = options;
    this.openPaths = new Set([...openPaths, "/health", ...(isMetricsOpen ? ["/metrics"] : [])]);
    if (keys || apiKey !== undefined) this.setKeys(keys ?? []);
  }

  /** Whether there are keys. */
  get asksForKeys(): boolean {
    return this.ring !== undefined;
  }

  /** Whether anybody may get this path. */
  isOpenPath(path: string): boolean {
    return this.openPaths.has(path);
  }

  /** Other keys from now on. Requests under way go on, and who stays keeps what was used of its limits. */
  setKeys(keys: readonly ApiKey[]): void {
    const { apiKey } = this.options;
    const only = apiKey === undefined ? [] : [onlyKey(apiKey)];
    const all = [...only, ...keys];
    this.quotas = new Map(all.map(({ hash, limits }) => [hash, this.quotaOf(hash, limits)]));
    this.ring = new KeyRing(all);
  }

  private quotaOf(hash: string, limits: KeyLimits): Quota {
    const quota = this.quotas.get(hash);
    if (!quota) return new Quota(limits);
    quota.setLimits(limits);
    return quota;
  }

  /**
   * Lets a request in.
   * @returns headers of the answer, to be asked for when it begins
   * @throws RequestError 401 without a key that is known, 429 when a limit is used up
   */
  admit(c: Context, record: RequestRecord): () => Record<string, string> {
    if (!this.ring || this.isOpen(record)) return () => ({});
    const owner: string | undefined = c.env?.batchOwner;
    const key = owner === undefined ? this.authenticated(this.ring, c, record) : this.ring.named(owner);
    if (!key) throw unauthorized("unknown key"); // it was revoked since the batch came
    record.key = key;
    record.onAsked(({ model, json }) => {
      requireModel(key, model);
      if (key.name !== ONLY_KEY) requireUsualPriority(json);
    });
    const quota = this.quotas.get(key.hash);
    // what a model is not asked for costs nothing
    if (!quota || record.method !== "POST") return () => ({});
    // requests of batches come when there is time, and count their tokens alone
    if (owner !== undefined) {
      record.onEnd(() => quota.charge(record.usage?.total_tokens ?? 0));
      return () => ({});
    }
    const refusal = quota.enter();
    if (refusal) throw tooMany(key, refusal, rateLimitHeaders(quota.state));
    record.onEnd(() => quota.leave(record.usage?.total_tokens ?? 0));
    return () => rateLimitHeaders(quota.state);
  }

  private isOpen({ method, path }: RequestRecord): boolean {
    return (method === "GET" || method === "HEAD") && this.isOpenPath(path);
  }

  private authenticated(ring: KeyRing, c: Context, { path }: RequestRecord): ApiKey {
    const shown = keysOf(c);
    for (const text of shown) {
      const key = ring.find(text);
      if (!key) continue;
      if (!this.used.has(key.hash)) this.options.audit({ event: "key_first_used", key: key.name });
      this.used.add(key.hash);
      return key;
    }
    const address: string | undefined = c.env?.incoming?.socket.remoteAddress;
    const reason = shown.length > 0 ? "unknown key" : "no key";
    this.options.audit({ event: "authentication_refused", reason, path: path.slice(0, 256), address });
    throw unauthorized(reason);
  }
}

const onlyKey = (key: string): ApiKey => ({ name: ONLY_KEY, hash: hashOfKey(key), created: "", limits: {} });

/** Keys that a request shows: as OpenAI's clients, Ollama's and Anthropic's do. */
function keysOf(c: Context): string[] {
  const [, bearer] = /^bearer +(\S+) *$/i.exec(c.req.header("authorization") ?? "") ?? [];
  return [bearer, c.req.header("x-api-key")].filter((key) => key !== undefined && key !== "") as string[];
}

function unauthorized(reason: "no key" | "unknown key"): RequestError {
  const fix = "send one as Authorization: Bearer KEY, or as x-api-key: KEY";
  return new RequestError({
    status: 401,
    message: reason === "no key" ? `This server asks for an API key; ${fix}.` : "Incorrect API key provided.",
    code: "invalid_api_key",
    headers: { "www-authenticate": "Bearer" },
  });
}

/** Ollama's clients add ":latest". @throws RequestError 403 */
function requireModel({ name, limits: { models } }: ApiKey, model: string): void {
  if (!models || models.includes(model) || models.includes(model.replace(/:latest$/, ""))) return;
  throw new RequestError({
    status: 403,
    message: `The key "${name}" may not use the model '${model}'; it may use ${models.join(", ")}.`,
    param: "model",
    code: "model_not_allowed",
  });
}

/** Among several keys none may put itself before the others; behind them it may. @throws RequestError 403 */
function requireUsualPriority(json: unknown): void {
  if (!isObject(json) || typeof json.priority !== "number" || json.priority >= 0) return;
  throw new RequestError({
    status: 403,
    message: "priority: requests of one key may not go before those of others; leave it out, or ask for 0 or more.",
    param: "priority",
    code: "priority_not_allowed",
  });
}

/** The limits in words, and what OpenAI calls the kind of each. */
const limitWords = {
  requestsPerMinute: ["requests per minute", "requests"],
  concurrency: ["requests at the same time", "requests"],
  tokensPerMinute: ["tokens per minute", "tokens"],
  tokensPerDay: ["tokens per day", "tokens"],
} as const;
/** Official clients wait as they are told if it is at most a minute; later they would come again for nothing. */
const LONGEST_WAIT_S = 60;

function tooMany({ name }: ApiKey, refusal: QuotaRefusal, headers: Record<string, string>): RequestError {
  const [words, type] = limitWords[refusal.limit];
  const seconds = Math.ceil(refusal.retryAfterMs / 1000);
  return new RequestError({
    status: 429,
    message: `The key "${name}" has reached its limit of ${refusal.most} ${words}. Try again in ${seconds} s.`,
    type,
    code: "rate_limit_exceeded",
    headers: {
      ...headers,
      "retry-after": String(seconds),
      ...(seconds > LONGEST_WAIT_S && { "x-should-retry": "false" }),
    },
  });
}
