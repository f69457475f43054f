import { mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { chromiumPath, launchChromium } from "../../testing/chromium.ts";
import { compareRuns } from "../runs/compare-runs.ts";
import { readRun, readRuns } from "../runs/run-record.ts";
import { trackEvents } from "../track-events.ts";
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

test("of many classes those with the most mistakes are shown, and the pairs that are confused the most", async () => {
  const labels = Array.from({ length: 130 }, (_, i) => (i === 7 ? HOSTILE : `class ${i}`));
  const counts = labels.map((_, i) => labels.map((_, j) => (i === j ? 10 : i > 29 && j === i - 1 ? i : 0)));
  const mistakes = [
    { place: "a.jsonl:3", text: HOSTILE, label: "class 1", answer: HOSTILE, probability: 0.987 },
    { place: "b.png", picture: `${HOSTILE}`, label: "class 1", answer: "class 2", probability: 0.5 },
  ];
  const folder = await writeRun("many", {});
  const html = await readFile(await writeReport(folder, { confusion: { labels, counts }, mistakes }), "utf8");
  expect(html).toContain("Of 130 classes these 100 have the most mistakes.");
  expect(html.match(/<th scope="row"/g)).toHaveLength(100);
  expect(html).toContain("<td>class 129</td><td>class 128</td>");
  expect(html).toContain(
    'title="class 129, taken for class 128: 129 of 139 (92.8 %)"><span>129</span><small>93</small>',
  );
  expect(html).toContain("a.jsonl:3");
  expect(html).toContain("98.7 %");
  expect(html).not.toContain(HOSTILE);
  expect(html).not.toContain("<img");
  const few = {
    labels: ["a", "b", "c"],
    counts: [
      [3, 1, 0],
      [0, 0, 0],
      [0, 0, 2],
    ],
  };
  const second = await readFile(await writeReport(folder, { confusion: few, mistakes: [] }), "utf8");
  expect(second).toContain("<span>3</span><small>75 %</small>");
  expect(second).not.toContain("Mistaken examples");
});

test("what a classifier answered is shown at the end, and not of an earlier end", async () => {
  const folder = await writeRun("classes", {});
  const run = { name: "classes", folder, config: {} };
  const confusion = {
    labels: ["ham", "spam"],
    counts: [
      [2, 1],
      [0, 4],
    ],
  };
  async function* events(...list: object[]) {
    for (const event of list) yield event as { type: string };
  }
  const follow = async (...list: object[]) => {
    for await (const _ of trackEvents(events(...list), run, [report()])) {
    }
    return readFile(join(folder, "report.html"), "utf8");
  };
  const finished = { type: "finished", step: 1000, reason: "steps" };
  const classes = { type: "classes", step: 1000, confusion, mistakes: [] };
  expect(await follow({ type: "resumed", step: 0 }, finished, classes)).toContain("Confusion matrix");
  expect(await follow({ type: "resumed", step: 500 }, { ...finished, reason: "aborted" })).not.toContain("Confusion");
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
    const labels = Array.from({ length: 100 }, (_, i) => `a class with a long name ${i}`);
    const counts = labels.map((_, i) => labels.map((_, j) => (i === j ? 100 : (i * j) % 7)));
    const many = await writeReport(await writeRun("dense", {}), { confusion: { labels, counts } });
    const compared = join(runs, "compared.html");
    await writeFile(compared, comparisonHtml(await readRuns(runs)));
    const browser = await launchChromium();
    try {
      for (const [file, colorScheme] of [
        [path, "light"],
        [path, "dark"],
        [many, "dark"],
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
            path: join(process.env.KINDLING_SCREENSHOTS, `${colorScheme}-${basename(dirname(file))}.png`),
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
