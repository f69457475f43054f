import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { AttemptReport } from "./forward.ts";
import { NANOS } from "./prices.ts";
import type { Upstream } from "./upstream.ts";
import type { UsageRow } from "./usage-store.ts";

/** Upper ends of the classes of times, in seconds. */
const FIRST = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 40, 80];
const WHOLE = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 40, 80, 160, 320, 640];

const stateNumbers = { closed: 0, "half-open": 1, open: 2 } as const;

/** The numbers of a gateway for Prometheus, `kindling_gateway_*`. */
export class GatewayMetrics {
  private readonly registry = new Registry();
  private readonly requests = this.counter("requests", "Requests that ended.", ["model", "upstream", "status"]);
  private readonly tokens = this.counter("tokens", "Tokens by their kind.", ["model", "kind"]);
  private readonly cost = this.counter("cost", "Money, in the currency of the prices.", ["model", "currency"]);
  private readonly caches = this.counter("cache", "Looks into the caches.", ["result"]);
  private readonly attempts = this.counter("attempts", "Requests to upstreams.", [
    "upstream",
    "upstream_model",
    "outcome",
  ]);
  private readonly firstByte: Histogram<"upstream" | "upstream_model">;
  private readonly whole: Histogram<"model">;

  constructor(upstreams: readonly Upstream[], waitingRows: () => number) {
    const registers = [this.registry];
    this.firstByte = new Histogram({
      name: "kindling_gateway_time_to_first_byte_seconds",
      help: "From a request to an upstream to the beginning of its answer.",
      labelNames: ["upstream", "upstream_model"],
      buckets: FIRST,
      registers,
    });
    this.whole = new Histogram({
      name: "kindling_gateway_request_duration_seconds",
      help: "From a request to its end.",
      labelNames: ["model"],
      buckets: WHOLE,
      registers,
    });
    this.gauge("upstream_running", "Requests under way.", upstreams, ({ running }) => running);
    this.gauge(
      "upstream_breaker",
      "Of all of an upstream: 0 closed, 1 half-open, 2 open.",
      upstreams,
      ({ breaker }) => stateNumbers[breaker.state],
    );
    new Gauge({
      name: "kindling_gateway_model_breaker",
      help: "Of one model of an upstream: 0 closed, 1 half-open, 2 open.",
      labelNames: ["upstream", "upstream_model"],
      registers,
      collect() {
        for (const { name, models } of upstreams)
          for (const model of models.values())
            this.set({ upstream: name, upstream_model: model.name }, stateNumbers[model.breaker.state]);
      },
    });
    new Gauge({
      name: "kindling_gateway_unsaved_rows",
      help: "Rows of usage that wait for the store.",
      registers,
      collect() {
        this.set(waitingRows());
      },
    });
  }

  private counter<L extends string>(name: string, help: string, labelNames: L[]): Counter<L> {
    return new Counter({ name: `kindling_gateway_${name}_total`, help, labelNames, registers: [this.registry] });
  }

  private gauge(
    name: string,
    help: string,
    upstreams: readonly Upstream[],
    value: (upstream: Upstream) => number,
  ): void {
    new Gauge({
      name: `kindling_gateway_${name}`,
      help,
      labelNames: ["upstream"],
      registers: [this.registry],
      collect() {
        for (const upstream of upstreams) this.set({ upstream: upstream.name }, value(upstream));
      },
    });
  }

  attempt({ upstream, model, outcome, milliseconds }: AttemptReport): void {
    const labels = { upstream, upstream_model: model };
    this.attempts.inc({ ...labels, outcome });
    if (outcome === "success") this.firstByte.observe(labels, milliseconds / 1000);
  }

  cached(result: "hit" | "semantic-hit" | "miss"): void {
    this.caches.inc({ result });
  }

  /** A request has ended. */
  ended(row: UsageRow): void {
    const { model, currency } = row;
    this.requests.inc({ model, upstream: row.upstream ?? "", status: String(row.status) });
    this.whole.observe({ model }, row.durationMs / 1000);
    this.tokens.inc({ model, kind: "input" }, row.inputTokens);
    this.tokens.inc({ model, kind: "cached" }, row.cachedTokens);
    this.tokens.inc({ model, kind: "output" }, row.outputTokens);
    if (row.cost) this.cost.inc({ model, currency }, row.cost / NANOS);
  }

  /** All numbers as text, and its type. */
  async text(): Promise<{ body: string; type: string }> {
    return { body: await this.registry.metrics(), type: this.registry.contentType };
  }
}
