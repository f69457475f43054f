/** `kindling runs` and `kindling train --track`, as users run them. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runProgram, TALE, tinyCharacterModel } from "../testing/built-program.ts";
import { drawCurves } from "./terminal.ts";

let folder: string;
const run = (...args: string[]) => runProgram(args, { folder, env: process.env });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  await writeFile(join(folder, "tale.txt"), TALE);
  const small = ["train", "--text", "tale.txt", ...tinyCharacterModel(16)];
  expect((await run(...small, "--steps", "3", "--name", "a", "--track", "tensorboard", "csv", "jsonl")).code).toBe(0);
  expect((await run(...small, "--steps", "4", "--name", "b", "--lr", "0.01")).code).toBe(0);
}, 60_000);
afterAll(() => rm(folder, { recursive: true }));

test("a run that is tracked has the files of each tracker, and a report", async () => {
  const names = await readdir(join(folder, "runs", "a"));
  for (const name of ["report.html", "report.json", "tensorboard", "tracked.csv", "tracked.jsonl"])
    expect(names).toContain(name);
  const rows = (await readFile(join(folder, "runs", "a", "tracked.csv"), "utf8")).trim().split("\n");
  expect(rows[0]).toMatch(/^step,time,train\/loss,train\/gradientNorm/);
  expect(rows.length).toBe(5); // three steps and the validation
});

test("runs are listed", async () => {
  const { code, output } = await run("runs");
  expect(code).toBe(0);
  expect(output).toMatch(/^name +state +method +model +steps +loss +validation +best +time\n/);
  expect(output).toMatch(/^a +finished +pretraining +gpt2 +3\/3 +\d\.\d{4}/m);
  const rows = JSON.parse((await run("runs", "--json")).output);
  expect(rows).toMatchObject([
    { name: "a", steps: 3 },
    { name: "b", steps: 4, state: "finished" },
  ]);
});

test("runs are compared", async () => {
  const { code, output } = await run("runs", "compare", "a", "b", "--html", "both.html");
  expect(code).toBe(0);
  expect(output).toMatch(/learningRate +0.002 +0.01/);
  expect(output).toMatch(/train loss\na\n/);
  expect(await readFile(join(folder, "both.html"), "utf8")).toContain("<figure");
  const { differences } = JSON.parse((await run("runs", "compare", "a", "b", "--json")).output);
  expect(differences).toMatchObject({ steps: [3, 4] });
  expect((await run("runs", "compare", "a")).errors).toContain("expected two runs or more");
  expect((await run("runs", "compare", "a", "none")).code).toBe(1);
});

test("a report is written anew, by other assumptions", async () => {
  const { code, output } = await run("runs", "report", "a", "--watts-per-core", "3", "--currency", "EUR");
  expect([code, output]).toEqual([0, expect.stringMatching(/^wrote .*report\.html\n$/)]);
  expect(await readFile(join(folder, "runs", "a", "report.html"), "utf8")).toMatch(/cores x 3 W.*EUR\/kWh/);
});

test("a run with all of this can be removed", async () => {
  expect((await run("rm", "a", "--yes")).output).toContain("removed");
});

test("curves stand in one chart by colours, or below one another", () => {
  const points = (to: number) => Array.from({ length: to }, (_, i) => ({ step: i + 1, loss: 1 / (1 + i) }));
  const curves = [
    { name: "short", points: points(20) },
    { name: "long", points: points(40) },
    { name: "none", points: [] },
  ];
  const chart = drawCurves(curves, { columns: 60, height: 5, hasColours: true });
  expect(chart.split("\n").length).toBe(8);
  expect(chart).toContain("\u001b[34mshort");
  expect(drawCurves(curves, { columns: 60, height: 5 })).toMatch(/^short\n[\s\S]*step 40\n\nlong\n[\s\S]*step 40$/);
  expect(drawCurves([])).toBe("");
});
