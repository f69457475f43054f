import { appendFile, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { monitorSettings } from "./config.ts";
import { logLines } from "./log-lines.ts";
import { type Alarm, Monitor } from "./monitor.ts";
import { makeProfile, type Profile, readProfile, saveProfile } from "./profile.ts";
import { type LogEntry, logEntryOf } from "./record.ts";
import { readReplayCases, replay } from "./replay.ts";
import { runMonitor } from "./run-monitor.ts";
import { scriptOf } from "./text-features.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** Numbers from 0 to 1 that are the same in every run: Mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

const words = Array.from(
  { length: 400 },
  (_, i) => `wort${String.fromCharCode(97 + (i % 26), 97 + Math.floor(i / 26))}`,
);
/** Words drawn by Zipf's law: the first come most often. */
const textOf = (random: () => number, length: number) =>
  Array.from({ length }, () => words[Math.floor(words.length ** random() - 1)]).join(" ");
const question = (random: () => number) => textOf(random, 3 + Math.floor(12 * random()));

/** A line of `kindling serve --log json --log-prompts`. */
const lineOf = (input: string, output: string, more: object = {}) =>
  JSON.stringify({
    ...{ time: "2026-11-27T16:50:00.000Z", level: "info", method: "POST", path: "/v1/chat/completions", status: 200 },
    ...{ ms: 400, ttft_ms: 40, prompt_tokens: 9, completion_tokens: 20, finish_reason: "stop" },
    ...{ request: { messages: [{ role: "user", content: input }], temperature: 0 }, answer: output },
    ...more,
  });
const entryOf = (...parts: Parameters<typeof lineOf>) => logEntryOf(lineOf(...parts)) as LogEntry;

async function trainingProfile(): Promise<Profile> {
  const random = randomOf(1);
  const rows = Array.from({ length: 4000 }, () => ({
    messages: [
      { role: "user", content: question(random) },
      { role: "assistant", content: textOf(random, 20) },
    ],
  }));
  return makeProfile(rows);
}

/** The alarms of so many windows of requests. */
async function alarmsOf(
  profile: Profile,
  windows: number,
  entry: (random: () => number) => LogEntry,
): Promise<Alarm[]> {
  const monitor = new Monitor({ window: 100, drift: { alpha: 0.01, psi: 0 } }, profile);
  const random = randomOf(2);
  const alarms: Alarm[] = [];
  for (let i = 0; i < 100 * windows; i++) alarms.push(...((await monitor.add(entry(random)))?.alarms ?? []));
  return alarms;
}

test("planted drift is seen, and only where it is", async () => {
  const profile = await trainingProfile();
  const features = async (entry: (random: () => number) => LogEntry) =>
    [...new Set((await alarmsOf(profile, 3, entry)).map(({ what }) => what))].sort();
  const answer = (random: () => number) => textOf(random, 20);
  expect(await features((random) => entryOf(question(random), answer(random)))).toEqual([]);
  // questions of twice the length
  expect(await features((random) => entryOf(textOf(random, 6 + Math.floor(24 * random())), answer(random)))).toEqual([
    "inputCharacters",
  ]);
  // a third of them in Chinese
  const chinese = (random: () => number) => (random() < 0.33 ? "船在海上走了多久才回来" : question(random));
  expect(await features((random) => entryOf(chinese(random), answer(random)))).toEqual(
    expect.arrayContaining(["inputScript", "unknownWords"]),
  );
  // answers that stop early
  expect(await features((random) => entryOf(question(random), textOf(random, 15)))).toEqual(["outputCharacters"]);
}, 60_000);

test("without drift, no more windows have an alarm than alpha says", async () => {
  const profile = await trainingProfile();
  const windows = 200;
  // without a least PSI, so that the tests alone decide
  const alarms = await alarmsOf(profile, windows, (random) => entryOf(question(random), textOf(random, 20)));
  expect(alarms.length / windows).toBeLessThanOrEqual(0.02); // alpha is 0.01; 5 of 200 come once in 20 such trials
}, 60_000);

test("limits, by what the log says", async () => {
  const monitor = new Monitor({ window: 10, limits: { errorRate: 0.1, latencyMsP95: 1000, repeatedShare: 0.5 } });
  let report: Awaited<ReturnType<Monitor["add"]>>;
  for (let i = 0; i < 10; i++)
    report = await monitor.add(entryOf("a", "the same", i < 2 ? { status: 500 } : { ms: 900 + 100 * i }));
  expect(report?.alarms.map(({ message }) => message)).toEqual([
    "errorRate is 0.2, over 0.1",
    "latencyMsP95 is 1765, over 1000",
    "repeatedShare is 0.875, over 0.5",
  ]);
  expect(report?.measures).toMatchObject({ requests: 10, refusedRate: 0, outputTokens: 20, truncatedShare: 0 });
});

test("lines that are no requests to a model are passed over", () => {
  expect(logEntryOf("listening on http://127.0.0.1:8080")).toBeUndefined();
  expect(logEntryOf('{"time": "2026-11-27T16:50:00.000Z", "level": "info", "message": "serves"}')).toBeUndefined();
  expect(logEntryOf(lineOf("a", "b", { method: "GET" }))).toBeUndefined();
  expect(logEntryOf(lineOf("a", "b").slice(0, 40))).toBeUndefined();
});

test("scripts are those of most letters", () => {
  expect(["Wal", "鲸鱼 ok", "кит", "123", "\u13a0\u13a1"].map(scriptOf)).toEqual([
    "Latin",
    "Latin",
    "Cyrillic",
    "none",
    "other",
  ]);
  expect(scriptOf("鲸鱼在海里 ok")).toBe("Han");
});

test("a profile is kept in a file", async () => {
  const path = join(folder, "profile.json");
  const rows = Array.from({ length: 60 }, (_, i) => ({
    text: `mail ${i}`,
    label: i % 3 === 0 ? "spam" : "ham",
    age: i,
  }));
  const profile = await makeProfile(rows, { countTokens: (text) => text.length / 2 });
  await saveProfile(path, profile);
  expect(await readProfile(path)).toEqual(profile);
  expect(Object.keys(profile.numeric).sort()).toEqual(["age", "inputCharacters", "inputTokens", "unknownWords"]);
  expect(profile.categories.label).toEqual({ ham: 40, spam: 20 });
  await writeFile(path, '{"version": 2}');
  await expect(readProfile(path)).rejects.toThrow(/a profile of version 1/);
});

test("configs are checked", () => {
  expect(() => monitorSettings({ limits: { errorrate: 1 } as object })).toThrow(/did you mean "errorRate"/);
  expect(() => monitorSettings({ limits: { errorRate: 5 } })).toThrow(/errorRate from 0 to 1/);
  expect(() => monitorSettings({ drift: { alpha: 0 } })).toThrow(/alpha above 0 and below 1/);
  expect(() => monitorSettings({ webhook: "example.org" })).toThrow(/begins with http/);
  expect(() => monitorSettings({ regression: { file: "a", url: "http://a", modle: "b" } as never })).toThrow(/"model"/);
});

/** A server that answers chats by a function, and keeps what is sent to /alarms. */
async function withServer(answer: (text: string) => string, use: (url: string, alarms: object[]) => Promise<void>) {
  const alarms: object[] = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const piece of request) body += piece;
    const json = JSON.parse(body);
    if (request.url === "/alarms") alarms.push(json);
    const content = request.url === "/alarms" ? "" : answer(json.messages[0].content);
    response.end(JSON.stringify({ choices: [{ message: { content } }] }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, alarms);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

test("a regression set is asked, and what is wrong is an alarm that is sent and written", async () => {
  const file = join(folder, "cases.jsonl");
  const prometheus = join(folder, "monitor.prom");
  await writeFile(
    file,
    [
      { prompt: "2+2?", expected: "4" },
      { messages: [{ role: "user", content: "sea?" }], expected: "whal", metric: "contains", id: "sea" },
      { prompt: "year?", expected: "^\\d{4}$", metric: "regex" },
    ]
      .map((row) => JSON.stringify(row))
      .join("\n"),
  );
  const answers: Record<string, string> = { "2+2?": " 4\n", "sea?": "a ship", "year?": "1851" };
  await withServer(
    (text) => answers[text],
    async (url, sent) => {
      const target = { url: `${url}/v1`, model: "tiny" };
      const cases = await readReplayCases(file);
      expect(await replay(cases, target)).toMatchObject({ score: 2 / 3, failures: [{ id: "sea", answer: "a ship" }] });
      const alarms: string[] = [];
      async function* lines() {
        for (let i = 0; i < 15; i++) yield lineOf("a", String(i), { status: i < 5 ? 500 : 200 });
      }
      const config = {
        window: 10,
        regression: { file, ...target, minimumScore: 0.9 },
        webhook: `${url}/alarms`,
        prometheus,
      };
      const onAlarms = (list: readonly Alarm[]) => alarms.push(...list.map(({ message }) => message));
      const totals = await runMonitor({ config, lines: lines(), onAlarms });
      expect(totals).toEqual({ windows: 2, alarms: 2, score: 2 / 3 });
      expect(alarms.sort()).toEqual([
        "errorRate is 0.5, over 0.05",
        "the score of the regression set is 0.6667, below 0.9; wrong are sea",
      ]);
      expect(sent).toHaveLength(2);
      const text = await readFile(prometheus, "utf8");
      expect(text).toMatch(/^kindling_monitor_alarms_total 2$/m);
      expect(text).toMatch(/^# TYPE kindling_monitor_latency_ms_p95 gauge\nkindling_monitor_latency_ms_p95 400$/m);
    },
  );
});

test("neither a server nor a webhook that is away ends the watch", async () => {
  const file = join(folder, "one.jsonl");
  await writeFile(file, JSON.stringify({ prompt: "a", expected: "b" }));
  const away = "http://127.0.0.1:1";
  const failures: string[] = [];
  async function* lines() {
    yield lineOf("a", "b");
  }
  const config = { regression: { file, url: away, model: "tiny" }, webhook: away };
  const totals = await runMonitor({ config, lines: lines(), onFailure: (message) => failures.push(message) });
  expect(totals).toEqual({ windows: 0, alarms: 1, score: 0 });
  expect(failures).toEqual([expect.stringMatching(/^an alarm could not be sent: POST \/ at http:\/\/127.0.0.1:1/)]);
});

test("a log is followed as it grows, and into a new file of its name", async () => {
  const path = join(folder, "server.log");
  await writeFile(path, "one\ntw");
  expect(await collected(logLines(path))).toEqual(["one", "tw"]);
  const ending = new AbortController();
  const lines: string[] = [];
  const reading = (async () => {
    for await (const line of logLines(path, { follow: true, signal: ending.signal, pollMs: 5 })) {
      lines.push(line);
      if (line === "one") await appendFile(path, "o\n鲸\n");
      if (line === "鲸") {
        await rename(path, `${path}.1`);
        await writeFile(path, "new\n");
      }
      if (line === "new") ending.abort();
    }
  })();
  await reading;
  expect(lines).toEqual(["one", "two", "鲸", "new"]);
  await expect(collected(logLines(join(folder, "none.log")))).rejects.toThrow(/a log/);
});

async function collected(lines: AsyncIterable<string>): Promise<string[]> {
  const list: string[] = [];
  for await (const line of lines) list.push(line);
  return list;
}
