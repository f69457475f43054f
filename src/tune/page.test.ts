/** The page of a study: what is on it, that it follows a study that runs, light and dark, without faults for axe. */

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import axe from "axe-core";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chromiumPath, launchChromium } from "../testing/chromium.ts";
import {
  choice,
  integer,
  logUniform,
  medianPruner,
  parameterImportance,
  randomSampler,
  readStudy,
  type StudyServer,
  serveStudy,
  space,
  studyPage,
  type Trial,
  type TrialRecord,
  tpeSampler,
  tune,
  uniform,
  when,
} from "./index.ts";
import { linearAxis, parameterAxis, short, valueAxis } from "./page/axes.ts";

const training = space({
  learningRate: logUniform(1e-5, 1e-1),
  layers: integer(1, 6),
  optimizer: choice(["adamw", "sgd", "<b>lion</b>"]),
  momentum: when("optimizer", "sgd", uniform(0, 0.99)),
});

const train = async (trial: Trial<typeof training>) => {
  const { learningRate, layers, optimizer } = trial.values;
  if (trial.number === 7) throw new Error("loss is NaN <script>alert(1)</script>");
  const end =
    1 + 0.3 * (Math.log10(learningRate) + 3) ** 2 + 0.02 * (layers - 4) ** 2 + (optimizer === "adamw" ? 0 : 0.2);
  for (let step = 1; step <= 20; step++) {
    await trial.report(step, end + 2 * Math.exp(-step / 5));
    if (trial.shouldPrune) trial.prune();
  }
  return { value: end, metrics: { accuracy: 1 / end } };
};

let root: string;
let store: string;
const study = (trials: number, pruner = medianPruner({ warmupSteps: 4 })) =>
  tune({ space: training, store, trials, sampler: tpeSampler({ seed: 2 }), pruner, run: train });
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
  store = join(root, "learning & rate");
  await study(40);
});
afterAll(() => rm(root, { recursive: true }));

test("importance knows which parameter matters, and says nothing of few trials", async () => {
  const line = space({ strong: uniform(0, 1), weak: uniform(0, 1), none: uniform(0, 1), kind: choice(["a", "b"]) });
  const { trials } = await tune({
    space: line,
    sampler: randomSampler({ seed: 3 }),
    trials: 80,
    run: ({ values: { strong, weak, kind } }) => 10 * strong + 2 * weak + (kind === "a" ? 4 : 0),
  });
  const view = { space: line, direction: "minimize" as const, trials: trials as readonly TrialRecord[] };
  const { strong, weak, none, kind } = parameterImportance(view) as Record<string, number>;
  expect(strong + weak + none + kind).toBeCloseTo(1, 9);
  expect(strong).toBeGreaterThan(0.6);
  expect(kind).toBeGreaterThan(weak);
  expect(weak).toBeGreaterThan(none);
  expect(none).toBeLessThan(0.02);
  expect(parameterImportance({ ...view, trials: view.trials.slice(0, 9) })).toBeUndefined();
});

test("axes have round numbers, powers of ten and a place for each choice", () => {
  expect(linearAxis(0.13, 0.92).ticks.map(({ label }) => label)).toEqual(["0.2", "0.4", "0.6", "0.8"]);
  expect(linearAxis(5, 5).ticks).not.toEqual([]);
  expect(parameterAxis(logUniform(1e-5, 1e-2)).ticks.map(({ label }) => label)).toEqual([
    "1.00e-5",
    "1.00e-4",
    "0.001",
    "0.01",
  ]);
  expect(parameterAxis(choice(["a", "b"])).place("b")).toBe(0.75);
  expect(valueAxis([1, 2, 3, 2, 1, 2, 3, 2, 1, 1e9], true).place(3)).toBeGreaterThan(0.2); // one that went astray
  expect([0, 0.00012345, 1234.5678, 2.5e7, true, undefined].map(short)).toEqual(
    ["0", "1.23e-4", "1235", "25000000", "true", ""].with(3, "2.50e+7"),
  );
});

test("one file has all trials, and what others wrote is text in it", async () => {
  const html = studyPage(await readStudy(store));
  expect(html).not.toContain("<b>lion");
  expect(html).not.toContain("<script>alert");
  expect(html).toContain("learning &#38; rate");
  expect(html.match(/<tr data-trial=/g)).toHaveLength(40);
  for (const title of ["History", "Curves", "Importance", "Parameters together", "Trials"])
    expect(html).toContain(`<h2>${title}`);
  expect(html).not.toMatch(/https?:\/\//); // it loads nothing
  const empty = studyPage({ folder: "x", direction: "minimize", space: training, trials: [] });
  expect(empty).toContain("No trial is complete yet");
});

test("the server is for this machine, and tells what there is", async () => {
  const server = await serveStudy(store, { port: 0 });
  try {
    const page = await fetch(server.url);
    expect(page.headers.get("content-security-policy")).toMatch(/^default-src 'none'; script-src 'sha256-/);
    expect(await page.text()).toContain("data-live");
    expect(await (await fetch(`${server.url}/study.json`)).json()).toMatchObject({ trials: { length: 40 } });
    const status = await new Promise((resolve) =>
      request(server.url, { headers: { host: "a.example" } }, (answer) => resolve(answer.statusCode)).end(),
    );
    expect(status).toBe(403);
    const port = Number(new URL(server.url).port);
    await expect(serveStudy(store, { port })).rejects.toThrow(/a free port; received \d+, which another program uses/);
  } finally {
    await server.close();
  }
  await expect(serveStudy(join(root, "none"), { port: 0 })).rejects.toThrow(/a study \(study.json\)/);
  await expect(serveStudy(store, { port: 70_000 })).rejects.toThrow(/choose a number from 0/);
});

describe.skipIf(!chromiumPath)("in a browser", () => {
  let browser: Browser;
  let server: StudyServer;
  beforeAll(async () => {
    browser = await launchChromium();
    server = await serveStudy(store, { port: 0 });
  });
  afterAll(async () => {
    await browser.close();
    await server.close();
  });

  async function open(
    url: string,
    options: { colorScheme: "light" | "dark"; width: number },
    complaints: string[],
  ): Promise<Page> {
    const { colorScheme, width } = options;
    const page = await (
      await browser.newContext({ colorScheme, viewport: { width, height: 900 }, bypassCSP: false })
    ).newPage();
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(String(error)));
    await page.goto(url);
    return page;
  }

  test.each([
    ["light", 1280],
    ["dark", 1280],
    ["light", 390],
    ["dark", 390],
  ] as const)("%s, %d wide: no faults, and it fits", async (colorScheme, width) => {
    const complaints: string[] = [];
    const file = join(root, "page.html");
    await writeFile(file, studyPage(await readStudy(store)));
    const page = await open(`file://${file}`, { colorScheme, width }, complaints);
    const folder = process.env.KINDLING_SCREENSHOTS;
    if (folder) await page.screenshot({ path: join(folder, `tune-${colorScheme}-${width}.png`), fullPage: true });
    expect(
      await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"),
    ).toBeLessThanOrEqual(0);
    await page.addScriptTag({ content: axe.source });
    const faults = await page.evaluate(
      `axe.run().then(({ violations }) => violations.map(({ id, nodes }) => id + ": " + nodes.map(({ html }) => html.slice(0, 120)).join("; ")))`,
    );
    expect(faults).toEqual([]);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test("the table is sorted by a column, a trial is marked everywhere, and new trials appear", async () => {
    const complaints: string[] = [];
    const page = await open(server.url, { colorScheme: "light", width: 1280 }, complaints);
    const firstValues = async () => {
      const cells = await page.locator("tbody tr td:nth-child(3)").allTextContents();
      return cells.filter((cell) => cell !== "").map(Number);
    };
    await page.getByRole("button", { name: "value" }).click();
    const values = await firstValues();
    expect(values).toEqual(values.toSorted((a, b) => a - b));
    await page.getByRole("button", { name: "value" }).click();
    expect(await firstValues()).toEqual(values.toReversed());
    await page.locator("tbody tr").first().click();
    const number = await page.locator("tbody tr").first().getAttribute("data-trial");
    await expect.poll(() => page.locator(`.dot.marked[data-trial="${number}"]`).count()).toBeGreaterThan(2);
    await study(43);
    await expect.poll(() => page.locator("tbody tr").count(), { timeout: 20_000 }).toBe(43);
    const after = await firstValues();
    expect(after).toEqual(after.toSorted((a, b) => b - a));
    expect(await page.locator(`tr.marked[data-trial="${number}"]`).count()).toBe(1);
    expect(complaints).toEqual([]);
    expect(await readFile(join(store, "trials.jsonl"), "utf8")).toContain('"trial":42');
  });
});
