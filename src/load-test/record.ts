import type { Answer, AnswerTimes, Failure } from "./answer.ts";
import type { LatencyLimits } from "./options.ts";
import { type Statistics, statistics } from "./statistics.ts";

/** Errors of one kind. */
export interface ErrorGroup {
  /** Of HTTP; undefined where no answer came. */
  status?: number;
  code: string;
  count: number;
  /** Of the first of them. */
  message: string;
}

/** Kinds of errors that are kept apart: a server may put a number into each. */
const MOST_GROUPS = 32;

/** How many requests ended how. */
export interface RequestCounts {
  successful: number;
  failed: number;
  /** Given up by the client, as asked for. */
  cancelled: number;
  /** Under way when the test was ended. */
  unfinished: number;
  /** Planned for a time before the end, but not sent. */
  unsent: number;
}

/** Milliseconds, of the successful requests; ITL of the gaps of all of them. */
export interface Latencies {
  /** From the planned start to the first token. */
  ttftMs: Statistics;
  /** (E2E - TTFT) / (tokens - 1), of answers of two tokens and more. */
  tpotMs: Statistics;
  /** Between tokens. */
  itlMs: Statistics;
  /** From the planned start to the end of the answer. */
  e2eMs: Statistics;
  /** As TTFT and E2E, from the moment at which the request was sent. */
  ttftSinceSentMs: Statistics;
  e2eSinceSentMs: Statistics;
  /** How long after its planned start a request was sent. */
  startDelayMs: Statistics;
}

/** Numbers alone are kept of a request, so that a long test takes little memory. */
export class LoadRecord {
  readonly counts: RequestCounts = { successful: 0, failed: 0, cancelled: 0, unfinished: 0, unsent: 0 };
  readonly errors: ErrorGroup[] = [];
  inputTokens = 0;
  outputTokens = 0;
  /** Of requests that were given up: what the server worked at in vain. */
  cancelledTokens = 0;
  /** Successful requests by who counted their tokens. */
  readonly countedBy = { piece: 0, answer: 0, client: 0 };
  /** Successful requests whose prompt the server did not count. */
  withoutInput = 0;
  /** Successful answers of two tokens and more, and those of them that came all at once. */
  severalTokens = 0;
  inOnePiece = 0;
  /** Reads that brought tokens, of the successful. */
  arrivals = 0;
  good = 0;
  /** When the last request ended; undefined before the first has. */
  endAt: number | undefined;
  private readonly limits: LatencyLimits;
  private readonly gapsMs: number[] = [];
  private readonly tpotMs: number[] = [];
  private readonly columns = {
    ttftMs: [] as number[],
    e2eMs: [] as number[],
    ttftSinceSentMs: [] as number[],
    e2eSinceSentMs: [] as number[],
    startDelayMs: [] as number[],
  };

  constructor(limits: LatencyLimits) {
    this.limits = limits;
  }

  add({ plannedAt, sentAt }: { plannedAt: number; sentAt: number }, answer: Answer): void {
    this.counts[answer.outcome]++;
    this.endAt = Math.max(this.endAt ?? answer.endAt, answer.endAt);
    this.columns.startDelayMs.push(sentAt - plannedAt);
    if (answer.outcome === "failed") this.addFailure(answer.failure);
    else if (answer.outcome === "successful") this.addTimes(plannedAt, sentAt, answer);
    else this.cancelledTokens += answer.outputTokens;
  }

  private addTimes(plannedAt: number, sentAt: number, answer: AnswerTimes): void {
    const { firstTokenAt, endAt, inputTokens, outputTokens, gapsMs, arrivals } = answer;
    const [ttftMs, e2eMs] = [firstTokenAt - plannedAt, endAt - plannedAt];
    const tpotMs = outputTokens > 1 ? (endAt - firstTokenAt) / (outputTokens - 1) : undefined;
    this.inputTokens += inputTokens ?? 0;
    if (inputTokens === undefined) this.withoutInput++;
    this.outputTokens += outputTokens;
    this.countedBy[answer.countedBy]++;
    this.arrivals += arrivals;
    if (tpotMs !== undefined) {
      this.tpotMs.push(tpotMs);
      this.severalTokens++;
      if (arrivals <= 1) this.inOnePiece++;
    }
    for (const gap of gapsMs) this.gapsMs.push(gap);
    this.columns.ttftMs.push(ttftMs);
    this.columns.e2eMs.push(e2eMs);
    this.columns.ttftSinceSentMs.push(firstTokenAt - sentAt);
    this.columns.e2eSinceSentMs.push(endAt - sentAt);
    const { limits } = this;
    const keeps = (value: number, limit = Number.POSITIVE_INFINITY) => value <= limit;
    if (keeps(ttftMs, limits.ttftMs) && keeps(tpotMs ?? 0, limits.tpotMs) && keeps(e2eMs, limits.e2eMs)) this.good++;
  }

  private addFailure({ status, code, message }: Failure): void {
    const { errors } = this;
    const group =
      errors.find((one) => one.status === status && one.code === code) ??
      (errors.length >= MOST_GROUPS ? errors.find((one) => one.code === "others") : undefined);
    if (group) group.count++;
    else if (errors.length < MOST_GROUPS) errors.push({ status, code, count: 1, message });
    else errors.push({ code: "others", count: 1, message });
  }

  get latencies(): Latencies {
    const { ttftMs, e2eMs, ttftSinceSentMs, e2eSinceSentMs, startDelayMs } = this.columns;
    return {
      ttftMs: statistics(ttftMs),
      tpotMs: statistics(this.tpotMs),
      itlMs: statistics(this.gapsMs),
      e2eMs: statistics(e2eMs),
      ttftSinceSentMs: statistics(ttftSinceSentMs),
      e2eSinceSentMs: statistics(e2eSinceSentMs),
      startDelayMs: statistics(startDelayMs),
    };
  }
}
