import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { EngineLoad, Generator } from "../generate/index.ts";
import type { Usage } from "./usage.ts";

/** Upper ends of the classes of times, in seconds. */
const FIRST = [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.25, 2.5, 5, 10, 20, 40, 80];
const NEXT = [0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.4, 0.8, 1.6, 3.2];
const WHOLE = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 40, 80, 160, 320, 640];
const TOKENS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000];

const LOADS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 40, 80, 160, 320];

type Label = "model_name";

/** The numbers of a server for Prometheus, by vLLM's names: what reads its dashboards reads these. */
export class Metrics {
  private readonly registry = new Registry();
  private readonly models = new Map<string, ModelMetrics>();
  private readonly instruments: Instruments;

  constructor() {
    const registers = [this.registry];
    const labelNames = ["model_name"] as const;
    const histogram = (name: string, help: string, buckets: number[]) =>
      new Histogram({ name: `kindling:${name}`, help, buckets, labelNames, registers });
    const counter = (name: string, help: string) =>
      new Counter({ name: `kindling:${name}`, help, labelNames, registers });
    this.instruments = {
      firstToken: histogram("time_to_first_token_seconds", "From a request to its first token.", FIRST),
      nextToken: histogram("time_per_output_token_seconds", "Between two tokens of a text.", NEXT),
      wholeRequest: histogram("e2e_request_latency_seconds", "From a request to its end.", WHOLE),
      promptTokens: histogram("request_prompt_tokens", "Tokens of a request's prompts.", TOKENS),
      answerTokens: histogram("request_generation_tokens", "Tokens of a request's answers.", TOKENS),
      promptTotal: counter("prompt_tokens_total", "Tokens of all prompts."),
      answerTotal: counter("generation_tokens_total", "Tokens of all answers."),
      load: histogram("model_load_seconds", "How long it took to load the model.", LOADS),
      ended: new Counter({
        name: "kindling:request_success_total",
        help: "Requests that were answered, by how each answer ended.",
        labelNames: ["finished_reason", ...labelNames],
        registers,
      }),
    };
    this.readGauges();
  }

  /** What is asked of the models when the numbers are. */
  private readGauges(): void {
    const { models } = this;
    const shared = { labelNames: ["model_name"] as const, registers: [this.registry] };
    const gauge = (name: string, help: string, value: (model: ModelMetrics) => number) =>
      new Gauge({
        name: `kindling:${name}`,
        help,
        ...shared,
        collect() {
          for (const [id, model] of models) this.set({ model_name: id }, value(model));
        },
      });
    const count = (name: string, help: string, value: (load: EngineLoad) => number) =>
      new Counter({
        name: `kindling:${name}`,
        help,
        ...shared,
        collect() {
          this.reset();
          for (const [id, { engineLoad }] of models) this.inc({ model_name: id }, value(engineLoad));
        },
      });
    gauge("model_loaded", "1 while the model is in memory, else 0.", ({ isLoaded }) => (isLoaded ? 1 : 0));
    gauge("num_requests_running", "Texts that are being written.", ({ engineLoad }) => engineLoad.running);
    gauge("num_requests_waiting", "Texts that wait for a place.", ({ engineLoad }) => engineLoad.waiting);
    count("prefix_cache_queries_total", "Tokens of prompts.", ({ promptTokens }) => promptTokens);
    count("prefix_cache_hits_total", "Tokens of prompts that were read before.", ({ sharedTokens }) => sharedTokens);
  }

  /** The numbers of a model; its name is their label. */
  model(id: string): ModelMetrics {
    const model = this.models.get(id) ?? new ModelMetrics(this.instruments, id);
    this.models.set(id, model);
    return model;
  }

  /** All numbers as text, and its type. */
  async text(): Promise<{ body: string; type: string }> {
    return { body: await this.registry.metrics(), type: this.registry.contentType };
  }
}

interface Instruments {
  firstToken: Histogram<Label>;
  nextToken: Histogram<Label>;
  wholeRequest: Histogram<Label>;
  promptTokens: Histogram<Label>;
  answerTokens: Histogram<Label>;
  promptTotal: Counter<Label>;
  answerTotal: Counter<Label>;
  load: Histogram<Label>;
  ended: Counter<Label | "finished_reason">;
}

/** The numbers of one model, which go on when it is loaded again. */
export class ModelMetrics {
  private readonly instruments: Instruments;
  private readonly label: Record<Label, string>;
  private generator: Generator | undefined;
  /** Tokens that generators have read that are gone. */
  private readonly past = { promptTokens: 0, sharedTokens: 0 };
  isLoaded = false;

  constructor(instruments: Instruments, id: string) {
    this.instruments = instruments;
    this.label = { model_name: id };
    const { firstToken, nextToken, wholeRequest, promptTokens, answerTokens, promptTotal, answerTotal } = instruments;
    for (const histogram of [firstToken, nextToken, wholeRequest, promptTokens, answerTokens])
      histogram.zero(this.label);
    for (const counter of [promptTotal, answerTotal]) counter.inc(this.label, 0);
  }

  /** The model is in memory now. @param generator of one that writes */
  loaded(seconds: number, generator?: Generator): void {
    this.isLoaded = true;
    this.generator = generator;
    this.instruments.load.observe(this.label, seconds);
  }

  unloaded(): void {
    const { promptTokens, sharedTokens } = this.engineLoad;
    Object.assign(this.past, { promptTokens, sharedTokens });
    this.isLoaded = false;
    this.generator = undefined;
  }

  get engineLoad(): EngineLoad {
    const { running, waiting, promptTokens, sharedTokens } = this.generator?.load ?? IDLE;
    return {
      running,
      waiting,
      promptTokens: this.past.promptTokens + promptTokens,
      sharedTokens: this.past.sharedTokens + sharedTokens,
    };
  }

  /** Follows a request. @param start when it came, by `performance.now()` */
  request(start = performance.now()): RequestMeter {
    const { label, instruments } = this;
    return new RequestMeter(
      {
        first: (seconds) => instruments.firstToken.observe(label, seconds),
        next: (seconds) => instruments.nextToken.observe(label, seconds),
        end: (seconds, usage, reasons) => {
          instruments.wholeRequest.observe(label, seconds);
          instruments.promptTokens.observe(label, usage.prompt_tokens);
          instruments.answerTokens.observe(label, usage.completion_tokens);
          for (const reason of reasons) instruments.ended.inc({ finished_reason: reason, ...label });
        },
        tokens: (prompt, answer) => {
          instruments.promptTotal.inc(label, prompt);
          instruments.answerTotal.inc(label, answer);
        },
      },
      start,
    );
  }
}

const IDLE: EngineLoad = { running: 0, waiting: 0, promptTokens: 0, sharedTokens: 0 };

interface Observers {
  first(seconds: number): void;
  next(seconds: number): void;
  end(seconds: number, usage: Usage, reasons: readonly string[]): void;
  tokens(prompt: number, answer: number): void;
}

/** The times of one request. */
export class RequestMeter {
  private readonly observe: Observers;
  private readonly start: number;
  /** When each choice had its last tokens, and how many by then. */
  private readonly last = new Map<number, { time: number; tokens: number }>();

  constructor(observe: Observers, start: number) {
    this.observe = observe;
    this.start = start;
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
