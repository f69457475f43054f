import { nearest } from "../base/index.ts";
import { type Clock, systemClock } from "../http/index.ts";
import { RequestError, type RequestRecord } from "../serve/index.ts";
import { AnswerCache, type CacheLook, type Embed } from "./answer-cache.ts";
import { attempt } from "./attempt.ts";
import { Budgets } from "./budgets.ts";
import { type GatewayConfig, publicModels } from "./config.ts";
import { Exchange } from "./exchange.ts";
import { UpstreamFailure } from "./failure.ts";
import { type Forwarded, Forwarder } from "./forward.ts";
import { Ledger } from "./ledger.ts";
import { GatewayMetrics } from "./metrics.ts";
import { type ModelPrice, mostCost } from "./prices.ts";
import type { GatewayRequest } from "./request.ts";
import type { Budget } from "./schema.ts";
import { Upstream } from "./upstream.ts";
import type { UsageStore } from "./usage-store.ts";

/** What a gateway is made of. */
export interface GatewayOptions {
  /** @default the system's */
  clock?: Clock;
  /** In milliseconds since 1970. @default Date.now */
  wallClock?: () => number;
  /** From 0 to below 1. @default Math.random */
  random?: () => number;
  /** For the semantic cache. @default the upstream that the configuration names */
  embed?: Embed;
  /** Gets what the store refused. @default the console */
  onStoreError?: (error: unknown) => void;
}

/** The name of who asks where there are no keys. */
const ANONYMOUS = "anonymous";

/** What all requests of a gateway share. */
export class Gateway {
  readonly config: GatewayConfig;
  readonly store: UsageStore;
  readonly models: readonly string[];
  readonly metrics: GatewayMetrics;
  readonly cache: AnswerCache;
  readonly ledger: Ledger;
  private readonly upstreams: readonly Upstream[];
  private readonly forwarder: Forwarder;
  private readonly budgets: Budgets;
  private readonly wallClock: () => number;
  /** What ends the requests under way. */
  private readonly underWay = new Set<AbortController>();

  constructor(config: GatewayConfig, store: UsageStore, options: GatewayOptions = {}) {
    const { clock = systemClock, wallClock = Date.now, random = Math.random, embed } = options;
    const { onStoreError = (error: unknown) => console.error("usage could not be written, and is kept:", error) } =
      options;
    this.config = config;
    this.store = store;
    this.models = publicModels(config);
    this.wallClock = wallClock;
    this.upstreams = config.upstreams.map((settings) => new Upstream(settings, clock, config.breaker));
    this.ledger = new Ledger({ store, onError: onStoreError });
    this.metrics = new GatewayMetrics(this.upstreams, () => this.ledger.size);
    const { routing, retries, server } = config;
    this.forwarder = new Forwarder({
      upstreams: this.upstreams,
      routing,
      retries,
      server,
      clock,
      random,
      onAttempt: (report) => this.metrics.attempt(report),
    });
    this.budgets = new Budgets({ store, ledger: this.ledger, currency: this.currency, wallClock });
    this.cache = new AnswerCache({ config: config.cache, embed: embed ?? this.embedder(), now: () => clock.now() });
  }

  get currency(): string {
    return this.config.prices?.currency ?? "";
  }

  /** Whether a key may read the usage of all; without keys everybody may. */
  isAdmin(record: RequestRecord): boolean {
    const { keys } = this.config;
    return keys === undefined || (record.key !== undefined && keys.admins.includes(record.key.name));
  }

  /**
   * A request from now on, until its exchange ends. @param leaving ends it
   * @throws RequestError 404 for a model that no upstream has; 503 while usage cannot be written
   */
  enter(request: GatewayRequest, record: RequestRecord, leaving: AbortController): Exchange {
    if (!this.models.includes(request.model)) throw this.unknownModel(request.model, record);
    if (this.ledger.isFull) {
      const message = "The gateway cannot write down what is used, and takes no more requests.";
      throw new RequestError({ status: 503, message, code: "accounting_unavailable" });
    }
    this.underWay.add(leaving);
    return new Exchange({
      request,
      record,
      key: record.key?.name ?? ANONYMOUS,
      currency: this.currency,
      wallClock: this.wallClock,
      onEnd: (row) => {
        this.underWay.delete(leaving);
        this.ledger.add(row);
        this.metrics.ended(row);
      },
    });
  }

  /** Ends the requests under way with an error that says why. */
  stop(): void {
    for (const leaving of this.underWay) leaving.abort(stopping());
  }

  /** Models that a request's key may ask for. */
  modelsFor({ key }: RequestRecord): readonly string[] {
    const allowed = key?.limits.models;
    return allowed ? this.models.filter((model) => allowed.includes(model)) : this.models;
  }

  /** The error of a request for a model that no upstream has: a 404 that names the nearest that its key may ask for. */
  unknownModel(model: string, record: RequestRecord): RequestError {
    const near = nearest(model, this.modelsFor(record));
    const fix = near ? `did you mean '${near}'?` : "GET /v1/models lists those that are.";
    const message = `The model '${model.slice(0, 200)}' is not served here; ${fix}`;
    return new RequestError({ status: 404, message, param: "model", code: "model_not_found" });
  }

  /** What the caches have for a request; undefined for one that none is for. */
  async cached(
    request: GatewayRequest,
    record: RequestRecord,
    headers: Headers,
    signal: AbortSignal,
  ): Promise<CacheLook | undefined> {
    const look = await this.cache.look(
      {
        key: record.key?.hash ?? ANONYMOUS,
        path: request.path,
        body: request.body,
        cacheControl: headers.get("cache-control") ?? "",
        isWanted: headers.get("x-kindling-cache") === "use",
      },
      signal,
    );
    if (look) this.metrics.cached(look.result);
    return look;
  }

  /**
   * Reserves money and asks the upstreams.
   * @throws RequestError for a budget that is exceeded, or the failure of the last upstream; the signal's reason
   */
  async forward(
    request: GatewayRequest,
    exchange: Exchange,
    record: RequestRecord,
    signal: AbortSignal,
  ): Promise<Forwarded> {
    const budget = this.budgetOf(record);
    if (budget && record.key)
      exchange.reserve(await this.budgets.reserve(record.key.name, budget, this.mostCost(request)));
    try {
      return await this.forwarder.forward(
        {
          ...request,
          costOf: (upstream, model) => {
            const price = this.priceOf(upstream, model, request.model);
            return price && mostCost(price, request.estimatedInput, request.maxOutput, request.answers);
          },
          onSent: (upstream, model) =>
            exchange.sent({ upstream, model, price: this.priceOf(upstream, model, request.model) }),
        },
        signal,
      );
    } catch (error) {
      throw error instanceof UpstreamFailure ? refused(error) : error;
    }
  }

  /** The price of a model at an upstream; undefined where the table has none. */
  priceOf(upstream: string, model: string, publicModel: string): ModelPrice | undefined {
    return this.config.prices?.find([`${upstream}/${model}`, model, publicModel]);
  }

  private budgetOf({ key }: RequestRecord): Budget | undefined {
    const budgets = this.config.keys?.budgets ?? {};
    if (key === undefined) return undefined;
    return Object.hasOwn(budgets, key.name) ? budgets[key.name] : budgets["*"];
  }

  /** The most that a request may cost at any upstream that may answer it. @throws RequestError where nobody knows */
  private mostCost(request: GatewayRequest): number {
    const { routing, unknownPrices } = this.config;
    const models = [request.model, ...(routing.models[request.model]?.fallbacks ?? [])];
    const costs = models.flatMap((publicModel) =>
      this.upstreams.flatMap(({ name, settings }) => {
        const model = settings.models.get(publicModel);
        if (model === undefined) return [];
        const price = this.priceOf(name, model, publicModel);
        if (price) return [mostCost(price, request.estimatedInput, request.maxOutput, request.answers)];
        if (unknownPrices === "allow") return [0];
        throw new RequestError({
          status: 403,
          message: `The price of '${publicModel}' is not known, and this key has a budget; ask for a model with a price.`,
          param: "model",
          code: "price_unknown",
        });
      }),
    );
    return Math.max(0, ...costs);
  }

  /** Vectors of the upstream that the configuration names. */
  private embedder(): Embed | undefined {
    const { semantic } = this.config.cache;
    const upstream = this.upstreams.find(({ name }) => name === semantic?.upstream);
    if (semantic === undefined || upstream === undefined) return undefined;
    return async (text, signal) => {
      const call = { path: "/embeddings", body: { input: text }, isStreamed: false, countsStreams: false };
      const answer = await attempt(upstream, semantic.model, call, signal);
      const json = answer.kind === "json" ? (answer.json as { data?: { embedding?: number[] }[] }) : {};
      return json.data?.[0]?.embedding ?? [];
    };
  }

  /** Writes what waits and closes all. @throws RuntimeError where the store refuses to the end */
  async close(): Promise<void> {
    for (const upstream of this.upstreams) upstream.close();
    await this.ledger.close();
  }
}

/** A failure as the client is told. */
function refused({ parts }: UpstreamFailure): RequestError {
  const { status, message, code, type, param, retryAfterMs } = parts;
  return new RequestError({
    status,
    message,
    code,
    ...(type && { type }),
    ...(param && { param }),
    ...(retryAfterMs !== undefined && { headers: { "retry-after": String(Math.ceil(retryAfterMs / 1000)) } }),
  });
}

const stopping = () => new RequestError({ status: 503, message: "The gateway is stopping.", code: "server_stopping" });
