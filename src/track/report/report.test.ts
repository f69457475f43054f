import { mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { chromiumPath, launchChromium } from "../../testing/chromium.ts";
import { compareRuns } from "../runs/compare-runs.ts";
import { readRun, readRuns } from "../runs/run-record.ts";
import { comparisonHtml } from "./comparison.ts";
import { writeReport } from "./report.ts";
import { report } from "./report-tracker.ts";

let runs: string;
const HOSTILE = '<script>alert("x")</script>';

/** A run of 1000 steps. */
async function writeRun(name: string, options: object): Promise<string> {
  const folder = join(runs, name);
  const lines = Array.from({ length: 1000 }, (_, i) => {
    const loss = 1 + 4 / Math.sqrt(1 + i) + Math.sin(i) / 10;
    return { step: i + 1, loss, gradientNorm: 1 / (1 + i), learningRate: 1e-3 * (1 - i / 1000), tokensPerSecond: 5e4 };
  });
  const evaluations = [500, 1000].map((step) => ({
    step,
    validationLoss: 1 + step / 1000,
    metrics: { accuracy: 0.5 },
  }));
  await mkdir(join(folder, "checkpoint"), { recursive: true });
  await mkdir(join(folder, "model"));
  await writeFile(join(folder, "model", "config.json"), '{"model_type": "gpt2"}');
  await writeFile(join(folder, "checkpoint", "training_state.json"), '{"step": 1000, "elapsedSeconds": 7500}');
  await writeFile(join(folder, "run.json"), JSON.stringify({ steps: 1000, tokenizer: "bpe", ...options }));
  const text = [...lines, ...evaluations].map((line) => JSON.stringify(line)).join("\n");
  await writeFile(join(folder, "metrics.jsonl"), `${text}\n{"step": 3, "lo`);
  return folder;
}

beforeAll(async () => {
  runs = await mkdtemp(join(tmpdir(), "kindling-"));
  await writeRun("a", { learningRate: 1e-3, data: { path: HOSTILE } });
  await writeRun("b", { learningRate: 2e-3, data: { path: HOSTILE } });
  await mkdir(join(runs, "no-run"));
});

test("a run is read by its files", async () => {
  const record = await readRun(join(runs, "a"));
  const { name, state, method, model, step, steps, seconds } = record;
  expect({ name, state, method, model, step, steps, seconds }).toEqual({
    ...{ name: "a", state: "finished", method: "pretraining", model: "gpt2", step: 1000, steps: 1000, seconds: 7500 },
  });
  expect(record.curves.get("validation/loss")).toEqual([
    { step: 500, value: 1.5 },
    { step: 1000, value: 2 },
  ]);
  expect(record.curves.get("train/loss")).toHaveLength(1000);
});

test("runs are compared by options and numbers", async () => {
  const comparison = compareRuns(await readRuns(runs));
  expect(comparison.differences).toEqual({ learningRate: [1e-3, 2e-3] });
  expect(comparison.runs[1]).toMatchObject({ name: "b", bestLoss: 1.5, bestStep: 500, lastValidationLoss: 2 });
});

test("a tracker writes the report at the end, with samples of all sessions", async () => {
  const folder = await writeRun("c", {});
  const run = { name: "c", folder, config: {} };
  for (const [resumedStep, step] of [
    [0, 500],
    [500, 1000],
  ]) {
    const tracker = report();
    tracker.start(run, resumedStep);
    tracker.text(step, "sample", `Call me ${HOSTILE}, step ${step}`);
    await tracker.finish({ end: "finished", step, values: {} });
  }
  const html = await readFile(join(folder, "report.html"), "utf8");
  expect(html.match(/Call me .*?, step \d+/g)).toHaveLength(2);
  expect(html).not.toContain(HOSTILE);
  expect(html).toContain("by time and power (arXiv:1910.09700)");
  expect(html).not.toMatch(/(src|href)=/);
});

test("a confusion matrix needs a row for each label", async () => {
  const confusion = { labels: ["ham", "spam"], counts: [[1, 2]] };
  await expect(writeReport(join(runs, "a"), { confusion })).rejects.toThrow(/a row and a column for each label/);
});

test.skipIf(chromiumPath === undefined)(
  "the pages show numbers under the pointer, and complain of nothing",
  async () => {
    const confusion = {
      labels: ["ham", HOSTILE],
      counts: [
        [90, 10],
        [5, 45],
      ],
    };
    const path = await writeReport(join(runs, "a"), { confusion });
    const compared = join(runs, "compared.html");
    await writeFile(compared, comparisonHtml(await readRuns(runs)));
    const browser = await launchChromium();
    try {
      for (const [file, colorScheme] of [
        [path, "light"],
        [path, "dark"],
        [compared, "light"],
      ] as const) {
        const page = await browser.newPage({ colorScheme, viewport: { width: 1100, height: 900 } });
        const complaints: string[] = [];
        page.on("console", (message) => complaints.push(message.text()));
        page.on("pageerror", (error) => complaints.push(String(error)));
        await page.goto(pathToFileURL(file).href);
        const figure = page.locator("figure").first();
        await figure.locator("svg").hover({ position: { x: 200, y: 80 } });
        expect(await figure.locator(".reading").textContent()).toMatch(/^step \d+: (training|a) [\d.]+/);
        await figure.locator("svg").press("ArrowRight");
        if (process.env.KINDLING_SCREENSHOTS)
          await page.screenshot({
            path: join(process.env.KINDLING_SCREENSHOTS, `${colorScheme}-${file.endsWith("compared.html")}.png`),
            fullPage: true,
          });
        expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
        expect(complaints).toEqual([]);
        await page.close();
      }
    } finally {
      await browser.close();
    }
  },
  60_000,
);
