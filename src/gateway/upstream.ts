import { type Clock, type HttpAnswer, httpTransport, Slots } from "../http/index.ts";
import { CircuitBreaker } from "./breaker.ts";
import type { UpstreamSettings } from "./config.ts";
import { LatencyMean } from "./latency.ts";
import type { ConfigData } from "./schema.ts";
import type { Secret } from "./secret.ts";

/** Where a request goes, for the upstream's own name of the model. */
interface UpstreamRequest {
  /** Of OpenAI's API, behind "/v1". */
  path: string;
  model: string;
  body: string;
  accept: string;
  signal: AbortSignal;
}

/** How well an upstream does with one of its models. */
export interface UpstreamModel {
  /** The upstream's. */
  name: string;
  /** Counts what goes wrong with requests to the model, as far as the upstream was reached. */
  breaker: CircuitBreaker;
  latency: LatencyMean;
  /** When the upstream wants to be asked for it again. */
  restsUntil: number;
}

/** A server that requests are passed on to, and how well it does. It knows nothing but HTTP. */
export class Upstream {
  readonly settings: UpstreamSettings;
  /** Counts what goes wrong with all that is asked of it: it cannot be reached, or refuses the key. */
  readonly breaker: CircuitBreaker;
  /** By the upstream's own names. */
  readonly models: ReadonlyMap<string, UpstreamModel>;
  /** Undefined where there is no limit. */
  readonly slots: Slots | undefined;
  running = 0;
  private readonly connection: ReturnType<typeof httpTransport>;

  constructor(settings: UpstreamSettings, clock: Clock, breaker: ConfigData["breaker"]) {
    this.settings = settings;
    const now = () => clock.now();
    this.breaker = new CircuitBreaker({ ...breaker, now });
    this.models = new Map(
      [...settings.models.values()].map((name) => [
        name,
        { name, breaker: new CircuitBreaker({ ...breaker, now }), latency: new LatencyMean(now), restsUntil: 0 },
      ]),
    );
    this.slots = settings.maxConcurrency === undefined ? undefined : new Slots(settings.maxConcurrency);
    this.connection = httpTransport(settings.baseUrl, { connectTimeoutMs: settings.connectTimeoutMs });
  }

  get name(): string {
    return this.settings.name;
  }

  /** All that must not be repeated to anybody. */
  get secrets(): Secret[] {
    const { apiKey, headers } = this.settings;
    return [apiKey, ...headers.values()].filter((value) => typeof value === "object");
  }

  send({ path, model, body, accept, signal }: UpstreamRequest): Promise<HttpAnswer> {
    return this.connection.transport({
      method: "POST",
      path: this.pathOf(path, model),
      headers: { ...this.headers(), accept },
      body,
      signal,
    });
  }

  private pathOf(path: string, model: string): string {
    const { kind, apiVersion } = this.settings;
    if (kind !== "azure") return path;
    return `/openai/deployments/${encodeURIComponent(model)}${path}?api-version=${encodeURIComponent(apiVersion ?? "")}`;
  }

  private headers(): Record<string, string> {
    const { kind, apiKey, headers } = this.settings;
    const key = apiKey?.reveal();
    const authorization: Record<string, string> =
      key === undefined ? {} : kind === "azure" ? { "api-key": key } : { authorization: `Bearer ${key}` };
    const extra = [...headers].map(([name, value]) => [name, typeof value === "string" ? value : value.reveal()]);
    return {
      "content-type": "application/json",
      "accept-encoding": "identity", // what is compressed cannot be passed on piece by piece
      "user-agent": "kindling-gateway",
      ...authorization,
      ...Object.fromEntries(extra),
    };
  }

  close(): void {
    this.connection.close();
  }
}
