import { type Clock, httpTransport, Slots, systemClock, type Transport } from "../http/index.ts";
import { type Answer, ask } from "./answer.ts";
import { type LoadSettings, type LoadTestOptions, settingsOf } from "./options.ts";
import { type PlannedRequest, RequestMaker, readDataset } from "./prompts.ts";
import { streams } from "./random.ts";
import { LoadRecord } from "./record.ts";
import { type LoadReport, reportOf } from "./report.ts";
import { arrivals } from "./schedule.ts";
import { inspectServer, requireAnswer, type Sending } from "./server.ts";

/**
 * Loads a server that speaks OpenAI's API with requests, and measures its answers. When requests start is fixed by the
 * seed and does not wait for answers, so that a slow server is not asked less; latencies count from the planned starts.
 * @throws OptionError for options that cannot be, RuntimeError where no server answers or it refuses first requests,
 *   DataError for a dataset that cannot be read
 */
export async function loadTest(options: LoadTestOptions = {}): Promise<LoadReport> {
  const settings = settingsOf(options);
  const { transport, close } = httpTransport(settings.base);
  try {
    return await loadTestOver(settings, transport, systemClock);
  } finally {
    close();
  }
}

/** A load test with the network and the time of others, as in tests. */
export async function loadTestOver(settings: LoadSettings, transport: Transport, clock: Clock): Promise<LoadReport> {
  const { dataset: path, endpoint, apiKey, warmup, signal = new AbortController().signal } = settings;
  const dataset = path === "random" ? undefined : await readDataset(path, endpoint);
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (apiKey !== undefined) headers.authorization = `Bearer ${apiKey}`;
  const sending: Sending = { transport, clock, headers };
  const server = await inspectServer(settings, sending, signal);
  const maker = new RequestMaker(settings, server, dataset);
  for (let i = 0; i < warmup; i++) {
    const { cancelAfter: _, ...request } = maker.at(i, streams.warmup);
    const answer = await ask({ ...request, headers }, signal, sending);
    signal.throwIfAborted();
    requireAnswer(settings, answer);
  }
  const run = new Run(settings, maker, sending, signal);
  const startAt = clock.now();
  await run.run(startAt);
  return reportOf({ settings, server, maker, record: run.record, startAt, isInterrupted: signal.aborted });
}

/** The requests that are counted. */
class Run {
  readonly record: LoadRecord;
  private readonly settings: LoadSettings;
  private readonly maker: RequestMaker;
  private readonly sending: Sending;
  private readonly signal: AbortSignal;
  private readonly slots: Slots;
  private readonly underWay = new Set<Promise<void>>();
  private sent = 0;
  private ended = 0;

  constructor(settings: LoadSettings, maker: RequestMaker, sending: Sending, signal: AbortSignal) {
    this.record = new LoadRecord(settings.goodput);
    this.settings = settings;
    this.maker = maker;
    this.sending = sending;
    this.signal = signal;
    this.slots = new Slots(settings.concurrency);
  }

  async run(startAt: number): Promise<void> {
    const { clock } = this.sending;
    const deadline = startAt + this.settings.duration * 1000;
    const [ending, allEnded] = [new AbortController(), new AbortController()];
    const stop = AbortSignal.any([this.signal, ending.signal]);
    if (deadline < Number.POSITIVE_INFINITY)
      void clock.sleepUntil(deadline, AbortSignal.any([this.signal, allEnded.signal])).then(() => ending.abort());
    await this.sendAll(startAt, deadline, stop);
    await Promise.all(this.underWay);
    allEnded.abort();
  }

  private async sendAll(startAt: number, deadline: number, stop: AbortSignal): Promise<void> {
    const { settings, slots } = this;
    const { clock } = this.sending;
    const schedule = arrivals(settings);
    for (let index = 0; index < settings.requests; index++) {
      // made before its time has come, so that making it delays nothing
      const request = this.maker.at(index);
      const plannedAt = startAt + schedule.next().value;
      if (plannedAt >= deadline) return;
      await clock.sleepUntil(plannedAt, stop);
      if (!(await slots.take(stop))) {
        if (!settings.isClosedLoop)
          this.countUnsent(plannedAt, index, Math.min(deadline, clock.now()), startAt, schedule);
        return;
      }
      this.send(request, settings.isClosedLoop ? clock.now() : plannedAt);
    }
  }

  /** Requests whose time had come, but for which there was no room. */
  private countUnsent(
    first: number,
    index: number,
    endAt: number,
    startAt: number,
    schedule: Iterator<number, never, void>,
  ): void {
    let plannedAt = first;
    for (let i = index; i < this.settings.requests && plannedAt < endAt; i++) {
      this.record.counts.unsent++;
      plannedAt = startAt + schedule.next().value;
    }
  }

  private send({ cancelAfter, ...request }: PlannedRequest, plannedAt: number): void {
    const { sending, record } = this;
    const sentAt = sending.clock.now();
    const follow = async () => {
      const options = { ...sending, cancelAfter };
      const answer: Answer = await ask({ ...request, headers: sending.headers }, this.signal, options);
      record.add({ plannedAt, sentAt }, answer);
      this.ended++;
      this.slots.give();
      this.tell();
    };
    const following = follow().finally(() => this.underWay.delete(following));
    this.underWay.add(following);
    this.sent++;
    this.tell();
  }

  private tell(): void {
    const { sent, ended } = this;
    this.settings.onProgress?.({ sent, ended, failed: this.record.counts.failed });
  }
}
