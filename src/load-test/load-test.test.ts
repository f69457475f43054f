/** Load tests of a server that answers at known times. */
import { expect, test } from "vitest";
import {
  endEvents,
  type FakeAnswer,
  FakeClock,
  FakeServer,
  json,
  type SentBody,
  textEvent,
  tokens,
} from "../testing/load-server.ts";
import { formatLoadReport, type LoadReport, type LoadTestOptions } from "./index.ts";
import { loadTestOver } from "./load-test.ts";
import { settingsOf } from "./options.ts";
import { arrivals } from "./schedule.ts";

interface Ran {
  report: LoadReport;
  server: FakeServer;
  /** What was sent for the test itself, after the requests that come before. */
  counted: FakeServer["received"];
}

/** Prompts of the requests that come before are of one token. */
const isProbe = ({ prompt }: SentBody) => Array.isArray(prompt) && prompt.length === 1;

async function run(options: LoadTestOptions, answer: (body: SentBody) => FakeAnswer): Promise<Ran> {
  const clock = new FakeClock();
  const server = new FakeServer(clock, (body) => (isProbe(body) ? tokens(1, 0, 0) : answer(body)));
  const settings = settingsOf({ inputTokens: 3, vocabSize: 50, warmup: 0, ...options });
  const report = await clock.until(loadTestOver(settings, server.transport, clock));
  return { report, server, counted: server.received.filter(({ body }) => !isProbe(body)) };
}

test("TTFT, TPOT, ITL and E2E of one request at a time", async () => {
  const { report } = await run({ requests: 4, concurrency: 1, outputTokens: 5 }, (body) =>
    tokens(body.max_tokens, 100, 10),
  );
  expect(report.requests).toEqual({ successful: 4, failed: 0, cancelled: 0, unfinished: 0, unsent: 0 });
  expect(report.ttftMs).toMatchObject({ count: 4, mean: 100, p50: 100, p99: 100 });
  expect(report.tpotMs).toMatchObject({ count: 4, mean: 10 });
  expect(report.itlMs).toMatchObject({ count: 16, mean: 10 });
  expect(report.e2eMs).toMatchObject({ count: 4, mean: 140 });
  expect(report).toMatchObject({ durationSeconds: 0.56, inputTokens: 12, outputTokens: 20 });
  expect(report.requestThroughput).toBeCloseTo(4 / 0.56, 10);
  expect(report.outputTokenThroughput).toBeCloseTo(20 / 0.56, 10);
  expect(report.notes[0]).toMatch(/^Without a rate each request starts when one before it ends/);
});

test("requests start as the seed says, however slow the answers are", async () => {
  const options = { requests: 6, rate: 10, seed: 3 };
  const schedule = arrivals({ ...options, burstiness: 1 });
  const planned = Array.from({ length: 6 }, () => schedule.next().value);
  for (const ttftMs of [1, 5000]) {
    const { counted, report } = await run(options, () => tokens(1, ttftMs, 0));
    const [first] = counted;
    for (const [i, { at }] of counted.entries()) expect(at - first.at).toBeCloseTo(planned[i], 9);
    expect(report.ttftMs.mean).toBeCloseTo(ttftMs, 9);
  }
});

test("a request that waits in the client is late: latency counts from its planned start", async () => {
  // one at a time takes 100 ms, and all are planned 50 ms apart
  const options = { requests: 4, rate: 20, burstiness: Number.POSITIVE_INFINITY, concurrency: 1 };
  const { report, server } = await run(options, () => tokens(1, 100, 0));
  expect(server.mostUnderWay).toBe(1);
  expect(report.ttftMs).toMatchObject({ mean: (100 + 150 + 200 + 250) / 4, p50: 175 });
  expect(report.ttftSinceSentMs).toMatchObject({ mean: 100, p99: 100 });
  expect(report.startDelayMs.mean).toBe((0 + 50 + 100 + 150) / 4);
  expect(formatLoadReport(report)).toMatch(/\| start delay +\| +75\.00 \|/);
});

test("a piece of several tokens, with the server's count of each", async () => {
  const body: FakeAnswer["body"] = [
    [100, textEvent("a", 1)],
    [30, textEvent("bcd", 4)],
    [30, textEvent("ef", 6) + endEvents(6)],
  ];
  const { report } = await run({ requests: 1 }, () => ({ body }));
  expect(report.itlMs).toMatchObject({ count: 5, mean: 12 }); // 3 x 10 and 2 x 15
  expect(report.tpotMs.mean).toBe(12);
  expect(report.outputTokens).toBe(6);
  expect(report.notes.join()).not.toMatch(/piece/);
});

test("a piece of several tokens, with the server's count at the end: ITL is of pieces, and the report says so", async () => {
  const body: FakeAnswer["body"] = [
    [100, textEvent("a")],
    [30, textEvent("bcd")],
    [30, textEvent("ef") + endEvents(6)],
  ];
  const { report } = await run({ requests: 1 }, () => ({ body }));
  expect(report.itlMs).toMatchObject({ count: 2, mean: 30 });
  expect(report.tpotMs.mean).toBe(12);
  expect(report.notes.join()).toMatch(/A piece of an answer has 2\.00 tokens: ITL is the time between pieces/);
});

test("tokens without any count of the server are pieces; all at once is noticed", async () => {
  const body: FakeAnswer["body"] = [[100, textEvent("a") + textEvent("b") + endEvents()]];
  const { report } = await run({ requests: 2 }, () => ({ body }));
  expect(report).toMatchObject({ outputTokens: 4, inputTokens: 0 });
  const notes = report.notes.join("\n");
  expect(notes).toMatch(/The server does not count tokens/);
  expect(notes).toMatch(/did not count the prompt of 2 requests/);
  expect(notes).toMatch(/Most answers came all at once/);
});

test("an event with the role alone is no first token; reasoning is one", async () => {
  const delta = (value: object) => `data: ${JSON.stringify({ choices: [{ delta: value }] })}\n\n`;
  const body: FakeAnswer["body"] = [
    [5, delta({ role: "assistant", content: "" })],
    [95, delta({ reasoning_content: "hm" })],
    [10, delta({ content: "a" }) + endEvents(2)],
  ];
  const { report } = await run({ requests: 1 }, () => ({ body }));
  expect(report.ttftMs.mean).toBe(100);
  expect(report.e2eMs.mean).toBe(110);
});

test("an answer whose tokens have no text counts", async () => {
  const { report } = await run({ requests: 1 }, () => ({ body: [[40, endEvents(3)]] }));
  expect(report.ttftMs.mean).toBe(40);
  expect(report).toMatchObject({ outputTokens: 3, requests: { successful: 1 } });
});

test("a stream without [DONE] is whole, one that is cut before its end is not", async () => {
  const end = 'data: {"choices": [{"text": "b", "finish_reason": "stop"}]}\r\n\r\n';
  const whole = await run({ requests: 1 }, () => ({ body: [[10, textEvent("a") + end]] }));
  expect(whole.report.requests.successful).toBe(1);
  const cut = await run({ requests: 1 }, () => ({ body: [[10, textEvent("a")]] }));
  expect(cut.report.errors).toEqual([
    { status: 200, code: "stream_cut", count: 1, message: "the stream ended before the answer did" },
  ]);
});

test("errors are put together by status and code", async () => {
  let count = 0;
  const busy = json({ error: { message: "busy | later", type: "x", code: "rate_limit_exceeded" } }, 429);
  const answers: FakeAnswer[] = [
    busy,
    json({ object: "error", message: "old", type: "BadRequestError", code: 400 }, 400),
    { status: 502, contentType: "text/html", body: [[0, "<html>"]] },
    { body: [[0, 'data: {"error": {"message": "too long", "code": "request_timeout"}}\n\n']] },
    { body: [[0, "data: {\n\n"]] },
    json({ choices: [] }),
    busy,
    tokens(1, 10, 0),
  ];
  const { report } = await run({ requests: 8, concurrency: 1 }, () => answers[count++]);
  expect(report.requests).toMatchObject({ successful: 1, failed: 7 });
  expect(report.errors.map(({ status, code, count: times }) => [status, code, times])).toEqual([
    [429, "rate_limit_exceeded", 2],
    [400, "BadRequestError", 1],
    [502, "", 1],
    [200, "request_timeout", 1],
    [200, "invalid_event", 1],
    [200, "not_a_stream", 1],
  ]);
  const text = formatLoadReport(report);
  expect(text).toContain("| 429 rate_limit_exceeded |        2 | busy later ");
  expect(text).toContain("expected server-sent events; received application/json");
});

test("a share of the requests is given up in the middle", async () => {
  const { report, server } = await run({ requests: 200, concurrency: 4, cancel: 0.25, outputTokens: 10 }, (body) =>
    tokens(body.max_tokens, 10, 1),
  );
  const { cancelled, successful } = report.requests;
  expect(cancelled).toBeGreaterThan(30);
  expect(cancelled).toBeLessThan(70);
  expect(successful).toBe(200 - cancelled);
  expect(report.cancelledTokens).toBeGreaterThanOrEqual(cancelled);
  expect(report.cancelledTokens).toBeLessThanOrEqual(cancelled * 9);
  expect(report.ttftMs.count).toBe(successful);
  expect(server.underWay).toBe(0);
  expect(server.mostUnderWay).toBe(4);
});

test("goodput is of the requests within all limits", async () => {
  let count = 0;
  // TTFT 10, 20 ... 100 ms, and TPOT 5 or 50 ms
  const { report } = await run(
    { requests: 10, concurrency: 1, outputTokens: 3, goodput: { ttftMs: 50, tpotMs: 5 } },
    () => tokens(3, 10 * ++count, count === 2 ? 50 : 5),
  );
  expect(report.goodput).toMatchObject({ requests: 4, share: 0.4 });
  expect(report.goodput?.perSecond).toBeCloseTo(4 / report.durationSeconds, 10);
  expect(formatLoadReport(report)).toMatch(/goodput \(share of requests\) +\| +40\.0%/);
});

test("after the duration no more are sent, those under way are waited for, and the others are told", async () => {
  const even = { rate: 10, burstiness: Number.POSITIVE_INFINITY, duration: 1 };
  const { report, counted } = await run(even, () => tokens(1, 5000, 0));
  expect(counted).toHaveLength(10);
  expect(report).toMatchObject({ requests: { successful: 10, unsent: 0 }, durationSeconds: 5.9 });
  const held = await run({ ...even, concurrency: 2 }, () => tokens(1, 700, 0));
  // at 0, 100, 700 and 800 ms; six others were planned by then
  expect(held.report.requests).toMatchObject({ successful: 4, unsent: 6 });
});

test("ended in the middle, it reports what there is", async () => {
  const ending = new AbortController();
  let count = 0;
  const { report } = await run({ requests: 100, concurrency: 2, signal: ending.signal }, () => {
    if (++count === 7) ending.abort();
    return tokens(4, 10, 1);
  });
  expect(report).toMatchObject({ isInterrupted: true, requests: { successful: 5, unfinished: 2, failed: 0 } });
  expect(formatLoadReport(report)).toContain("Interrupted: this is what there was by then.");
});
