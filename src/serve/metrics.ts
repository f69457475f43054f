import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Generator } from "../generate/index.ts";
import type { Usage } from "./usage.ts";

/** Upper ends of the classes of times, in seconds. */
const FIRST = [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.25, 2.5, 5, 10, 20, 40, 80];
const NEXT = [0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.4, 0.8, 1.6, 3.2];
const WHOLE = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 40, 80, 160, 320, 640];
const TOKENS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000];

/** The numbers of a server for Prometheus, by vLLM's names: what reads its dashboards reads these. */
export class Metrics {
  private readonly registry = new Registry();
  private readonly firstToken: Histogram;
  private readonly nextToken: Histogram;
  private readonly wholeRequest: Histogram;
  private readonly promptTokens: Histogram;
  private readonly answerTokens: Histogram;
  private readonly promptTotal: Counter;
  private readonly answerTotal: Counter;
  private readonly ended: Counter<"finished_reason" | "model_name">;

  /** @param model its name, the label of all numbers */
  constructor(model: string, generator: Generator) {
    const { registry } = this;
    registry.setDefaultLabels({ model_name: model });
    const registers = [registry];
    const histogram = (name: string, help: string, buckets: number[]) =>
      new Histogram({ name: `kindling:${name}`, help, buckets, registers });
    const counter = (name: string, help: string) => new Counter({ name: `kindling:${name}`, help, registers });
    const read = (name: string, help: string, value: () => number) =>
      new Gauge({
        name: `kindling:${name}`,
        help,
        registers,
        collect() {
          this.set(value());
        },
      });
    read("num_requests_running", "Texts that are being written.", () => generator.load.running);
    read("num_requests_waiting", "Texts that wait for a place.", () => generator.load.waiting);
    read("prefix_cache_queries_total", "Tokens of prompts.", () => generator.load.promptTokens);
    read("prefix_cache_hits_total", "Tokens of prompts that were read before.", () => generator.load.sharedTokens);
    this.firstToken = histogram("time_to_first_token_seconds", "From a request to its first token.", FIRST);
    this.nextToken = histogram("time_per_output_token_seconds", "Between two tokens of a text.", NEXT);
    this.wholeRequest = histogram("e2e_request_latency_seconds", "From a request to its end.", WHOLE);
    this.promptTokens = histogram("request_prompt_tokens", "Tokens of a request's prompts.", TOKENS);
    this.answerTokens = histogram("request_generation_tokens", "Tokens of a request's answers.", TOKENS);
    this.promptTotal = counter("prompt_tokens_total", "Tokens of all prompts.");
    this.answerTotal = counter("generation_tokens_total", "Tokens of all answers.");
    const help = "Requests that were answered, by how each answer ended.";
    this.ended = new Counter({
      name: "kindling:request_success_total",
      help,
      labelNames: ["finished_reason"],
      registers,
    });
  }

  /** Follows a request that comes now. */
  request(): RequestMeter {
    return new RequestMeter({
      first: (seconds) => this.firstToken.observe(seconds),
      next: (seconds) => this.nextToken.observe(seconds),
      end: (seconds, usage, reasons) => {
        this.wholeRequest.observe(seconds);
        this.promptTokens.observe(usage.prompt_tokens);
        this.answerTokens.observe(usage.completion_tokens);
        for (const reason of reasons) this.ended.inc({ finished_reason: reason });
      },
      tokens: (prompt, answer) => {
        this.promptTotal.inc(prompt);
        this.answerTotal.inc(answer);
      },
    });
  }

  /** All numbers as text, and its type. */
  async text(): Promise<{ body: string; type: string }> {
    return { body: await this.registry.metrics(), type: this.registry.contentType };
  }
}

interface Observers {
  first(seconds: number): void;
  next(seconds: number): void;
  end(seconds: number, usage: Usage, reasons: readonly string[]): void;
  tokens(prompt: number, answer: number): void;
}

/** The times of one request. */
export class RequestMeter {
  private readonly observe: Observers;
  private readonly start = performance.now();
  /** When each choice had its last tokens, and how many by then. */
  private readonly last = new Map<number, { time: number; tokens: number }>();

  constructor(observe: Observers) {
    this.observe = observe;
  }

  /** A choice has so many tokens now. */
  piece(choice: number, tokens: number): void {
    const before = this.last.get(choice);
    if (tokens <= (before?.tokens ?? 0)) return;
    const now = performance.now();
    if (!before && this.last.size === 0) this.observe.first((now - this.start) / 1000);
    // several tokens may make one piece of text: each took as long as the others
    const count = tokens - (before?.tokens ?? 0);
    if (before) for (let i = 0; i < count; i++) this.observe.next((now - before.time) / 1000 / count);
    this.last.set(choice, { time: now, tokens });
  }

  /** @param reasons why its answers ended, or none where it failed */
  end(usage: Usage, reasons: readonly string[]): void {
    this.observe.tokens(usage.prompt_tokens, usage.completion_tokens);
    if (reasons.length > 0) this.observe.end((performance.now() - this.start) / 1000, usage, reasons);
  }
}
