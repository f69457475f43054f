/** `kindling monitor`, as users run it. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runProgram } from "../testing/built-program.ts";

let folder: string;
const run = (...args: string[]) => runProgram(["monitor", ...args], { folder });

const question = (i: number) => "why ".repeat(1 + ((i * 7) % 11));
const line = (input: string, more: object = {}) =>
  JSON.stringify({
    ...{ time: "2026-11-27T16:50:00.000Z", method: "POST", path: "/v1/chat/completions", status: 200, ms: 100 },
    ...{ request: { messages: [{ role: "user", content: input }] }, answer: "because", ...more },
  });
const log = (name: string, lines: readonly string[]) => writeFile(join(folder, name), `${lines.join("\n")}\n`);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  const rows = Array.from({ length: 500 }, (_, i) => JSON.stringify({ prompt: question(i), completion: "because" }));
  await log("train.jsonl", rows);
  await log(
    "fine.log",
    Array.from({ length: 200 }, (_, i) => line(question(i))),
  );
  await log(
    "long.log",
    Array.from({ length: 200 }, (_, i) => line(question(i).repeat(3))),
  );
  await writeFile(join(folder, "monitor.yaml"), "window: 100\nlimits:\n  latencyMsP95: 50\n");
  const { code, output } = await run("profile", "train.jsonl");
  expect([code, output]).toEqual([
    0,
    expect.stringContaining("500 rows, inputCharacters, outputCharacters, unknownWords"),
  ]);
}, 60_000);
afterAll(() => rm(folder, { recursive: true }));

test("a log like the training set has no alarm, another has", async () => {
  const fine = await run("watch", "fine.log", "--profile", "profile.json");
  expect(fine.output).toMatch(/^window 1, .*: 200 requests, errors 0.0 %, 100 ms \(p95 100\)\n {2}feature +PSI/);
  expect([fine.code, fine.output]).toEqual([0, expect.stringMatching(/1 windows, 0 alarms\n$/)]);
  const long = await run("watch", "long.log", "--profile", "profile.json");
  expect(long.code).toBe(2);
  expect(long.output).toMatch(/^ALARM inputCharacters has drifted: PSI/m);
});

test("limits of a config, as JSON", async () => {
  const { code, output, errors } = await run("watch", "fine.log", "--config", "monitor.yaml", "--json");
  expect(code).toBe(2);
  const reports = output
    .trim()
    .split("\n")
    .map((text) => JSON.parse(text));
  expect(reports).toHaveLength(2);
  expect(reports[1]).toMatchObject({ window: 2, alarms: [{ kind: "limit", what: "latencyMsP95", value: 100 }] });
  expect(errors).toContain("ALARM latencyMsP95 is 100, over 50");
});

test("mistakes are said", async () => {
  await writeFile(join(folder, "wrong.yaml"), "windows: 100\n");
  const wrong = await run("watch", "fine.log", "--config", "wrong.yaml");
  expect([wrong.code, wrong.errors]).toEqual([1, expect.stringContaining('did you mean "window"')]);
  expect((await run("watch", "none.log")).errors).toMatch(/none\.log: expected a log; received nothing there/);
  expect((await run("profile", "fine.txt")).code).toBe(1);
});
