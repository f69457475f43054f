import { randomUUID } from "node:crypto";
import type { RequestRecord } from "../serve/index.ts";
import type { Reservation } from "./budgets.ts";
import { costOf, type ModelPrice, type Nanos } from "./prices.ts";
import type { GatewayRequest } from "./request.ts";
import type { TokenUsage } from "./usage.ts";
import { dayOf, type UsageRow } from "./usage-store.ts";

/** Who answered. */
export interface Answerer {
  upstream: string;
  /** The upstream's name of the model. */
  model: string;
  price: ModelPrice | undefined;
}

export interface ExchangeOptions {
  request: GatewayRequest;
  record: RequestRecord;
  /** The name of the key. */
  key: string;
  currency: string;
  /** Gets the row of the request, once. */
  onEnd: (row: UsageRow) => void;
  wallClock: () => number;
}

export interface ExchangeEnd {
  status: number;
  answerer?: Answerer;
  /** As the upstream says. @default an estimate, where an upstream has answered */
  usage?: TokenUsage | undefined;
  /** Tokens of the answer as far as it went, for the estimate. */
  outputEvents?: number;
  cache?: "exact" | "semantic";
}

/** A request from its door to its end: what is written down of it. */
export class Exchange {
  private readonly options: ExchangeOptions;
  private reservation: Reservation | undefined;
  private asked: Answerer | undefined;
  private ttftMs: number | null = null;
  private isEnded = false;

  constructor(options: ExchangeOptions) {
    this.options = options;
  }

  reserve(reservation: Reservation): void {
    this.reservation = reservation;
  }

  /** An upstream is asked. */
  sent(answerer: Answerer): void {
    this.asked = answerer;
  }

  /** The client went before there was an answer: the upstream has read its prompt, and may charge for it. */
  abandon(status: number): void {
    this.end({ status, ...(this.asked && { answerer: this.asked }) });
  }

  /** The answer has begun. */
  begin(): void {
    this.ttftMs ??= this.options.record.ms;
    this.options.record.turned();
  }

  /** Writes the request down, once. */
  end({ status, answerer, usage, outputEvents = 0, cache }: ExchangeEnd): void {
    if (this.isEnded) return;
    this.isEnded = true;
    const { request, record, key, currency, onEnd, wallClock } = this.options;
    const isEstimated = usage === undefined && answerer !== undefined;
    const tokens = usage ?? { input: isEstimated ? request.estimatedInput : 0, cached: 0, output: outputEvents };
    const cost = costWhere(answerer, tokens);
    const total = { prompt_tokens: tokens.input, completion_tokens: tokens.output };
    record.countUsage(() => ({ ...total, total_tokens: tokens.input + tokens.output }));
    this.reservation?.settle(cost ?? 0);
    const at = wallClock();
    onEnd({
      id: randomUUID(),
      at,
      day: dayOf(at),
      key,
      model: request.model,
      upstream: answerer?.upstream ?? null,
      upstreamModel: answerer?.model ?? null,
      path: request.path,
      status,
      inputTokens: tokens.input,
      cachedTokens: tokens.cached,
      outputTokens: tokens.output,
      isEstimated,
      cost,
      currency,
      cache: cache ?? null,
      durationMs: record.ms,
      ttftMs: this.ttftMs,
    });
  }
}

/** Nothing where nobody was asked; null where the price is not known. */
function costWhere(answerer: Answerer | undefined, tokens: TokenUsage): Nanos | null {
  if (answerer === undefined) return 0;
  return answerer.price ? costOf(answerer.price, tokens) : null;
}
