/** Entities, boxes, regression, retrieval, bootstraps: golden/metrics.json; and the metrics of tasks. */
import { describe, expect, test } from "vitest";
import { type GoldenBox, goldenMetrics, numberOf } from "../testing/golden-metrics.ts";
import {
  type Average,
  type Box,
  bitsPerByte,
  bootstrap,
  boxIou,
  detectionScores,
  entityScores,
  entityScoresOfSpans,
  maskIou,
  meanAbsoluteError,
  meanAbsolutePercentageError,
  meanSquaredError,
  metricsOf,
  ndcg,
  PythonRandom,
  pairedBootstrap,
  pearsonCorrelation,
  perplexityOf,
  r2Score,
  retrievalScores,
  rootMeanSquaredError,
  segmentationScores,
  spansOf,
  spearmanCorrelation,
} from "./index.ts";
import { normalCdf, normalQuantile } from "./normal-distribution.ts";

const golden = await goldenMetrics();

describe.each(golden.entities.map((one) => [one.scheme, one] as const))("entities in %s", (scheme, one) => {
  const { labels, predictions } = one;
  const averages = Object.keys(one.strict) as Exclude<Average, "binary">[];

  test.each(averages)("%s", (average) => {
    const strict = entityScores(predictions, labels, { scheme, average });
    expect([strict.precision, strict.recall, strict.f1]).toEqual(close(one.strict[average]));
    if (!one.default[average]) return;
    const loose = entityScores(predictions, labels, { average });
    expect([loose.precision, loose.recall, loose.f1]).toEqual(close(one.default[average]));
  });

  test("by type, by spans, and accuracy", () => {
    const { types, accuracy, ...overall } = entityScores(predictions, labels, { scheme });
    expect(accuracy).toBeCloseTo(one.accuracy, 12);
    for (const [type, [precision, recall, f1, support]] of Object.entries(one.report))
      expect(Object.values(types[type])).toEqual(close([precision, recall, f1, support]));
    const read = (rows: string[][]) => rows.map((tags) => spansOf(tags, scheme));
    expect(entityScoresOfSpans(read(predictions), read(labels))).toEqual({ ...overall, types });
  });
});

const close = (values: readonly number[]) => values.map((value) => expect.closeTo(value, 12));

test("tags that are none", () => {
  expect(() => entityScores([["PER"]], [["O"]])).toThrow('"PER", word 0 of sentence 0');
  expect(() => entityScores([["S-PER"]], [["O"]], { scheme: "IOB2" })).toThrow("expected tags of IOB2");
  expect(() => entityScores([["O", "O"]], [["O"]])).toThrow("2 and 1 in sentence 0");
  expect(() => entityScores([["O"]], [["O"]], { scheme: "IOB" as never })).toThrow("IOB2, IOE2, IOBES, BILOU");
  expect(entityScores([["O"]], [["O"]]).f1).toBe(0);
});

describe("boxes and masks", () => {
  const { truth, detections, stats, byCategory, boxes, pixels, masks } = golden.detection;
  const items = (list: GoldenBox[]) =>
    list.map(({ image_id, category_id, bbox, area, iscrowd, score }) => {
      const isCrowd = iscrowd === 1;
      return { image: image_id, category: category_id, box: bbox, score, ...(area !== undefined && { area, isCrowd }) };
    });
  const statsOf = (scores: ReturnType<typeof detectionScores>) => {
    const { map, map50, map75, mapSmall, mapMedium, mapLarge, recallAt } = scores;
    const recalls = [recallAt[1], recallAt[10], recallAt[100], scores.recallSmall, scores.recallMedium];
    return [map, map50, map75, mapSmall, mapMedium, mapLarge, ...recalls, scores.recallLarge];
  };

  test("COCO's numbers", () => {
    const scores = detectionScores(items(detections), items(truth));
    expect(statsOf(scores)).toEqual(close(stats));
    expect([...scores.byCategory.values()]).toEqual(close(byCategory));
    expect(
      detectionScores(items(detections), items(truth), { maxDetections: [2], iouThresholds: [0.6] }).map50,
    ).toBeNaN();
  });

  test("COCO's numbers by masks", () => {
    const { segmentation } = masks;
    const filled = ([x, y, width, height]: Box) =>
      Uint8Array.from({ length: 144 }, (_, i) => {
        const [column, row] = [i % 12, Math.floor(i / 12)];
        return Number(column >= x && column < x + width && row >= y && row < y + height);
      });
    const thing = (box: Box) => ({ image: 1, category: 1, box, mask: filled(box) });
    const guesses = segmentation.detections.map((box, i) => ({ ...thing(box), score: 0.9 - 0.1 * i }));
    const things = segmentation.truth.map((box, i) => ({ ...thing(box), isCrowd: i === 2 }));
    expect(statsOf(detectionScores(guesses, things, { overlap: "masks" }))).toEqual(close(segmentation.stats));
    expect(() => detectionScores(items(detections), items(truth), { overlap: "masks" })).toThrow(
      "a mask of everything",
    );
  });

  test("intersection over union", () => {
    for (const [i, [a, b]] of boxes.pairs.entries())
      expect([boxIou(a, b), boxIou(a, b, true)]).toEqual(close(boxes.ious[i]));
    expect(maskIou(masks.a, masks.b)).toBeCloseTo(masks.iou, 12);
    const scores = segmentationScores(pixels.predictions, pixels.labels);
    expect([...scores.iou.values()]).toEqual(close(pixels.iou));
    expect(scores.meanIou).toBeCloseTo(pixels.mean, 12);
    expect(segmentationScores([1, 0], [1, 255], { ignoreLabel: 255 }).meanIou).toBe(1);
  });

  test("what is wrong is told", () => {
    expect(() => detectionScores([], [])).toThrow("at least one thing in the pictures");
    const one = { image: 1, category: 1, box: [0, 0, 1, 1] as Box };
    expect(() => detectionScores([{ ...one, score: Number.NaN }], [one])).toThrow("NaN of detection 0");
    expect(() => maskIou([1], [1, 0])).toThrow("1 predictions, 2 labels");
  });
});

test.each(golden.regression.map((one, i) => [i, one] as const))("regression %d", (_, one) => {
  const [predictions, labels] = [one.predictions, one.labels] as number[][];
  const computed = {
    r2: r2Score(predictions, labels),
    mse: meanSquaredError(predictions, labels),
    rmse: rootMeanSquaredError(predictions, labels),
    mae: meanAbsoluteError(predictions, labels),
    mape: meanAbsolutePercentageError(predictions, labels),
    pearson: pearsonCorrelation(predictions, labels),
    spearman: spearmanCorrelation(predictions, labels),
  };
  for (const [name, value] of Object.entries(computed)) {
    const expected = numberOf(one[name]);
    expect(Number.isNaN(value), name).toBe(Number.isNaN(expected));
    if (!Number.isNaN(value))
      expect(Math.abs(value - expected), name).toBeLessThanOrEqual(1e-12 * Math.abs(expected) + 1e-14);
  }
});

describe("retrieval", () => {
  const { relevance, scores, untied, rankings, relevant, cutoffs, expected, ...others } = golden.retrieval;

  test("nDCG by scores", () => {
    for (const { k, averageTies, value } of others.ndcg)
      expect(ndcg(averageTies ? scores : untied, relevance, { averageTies, ...(k !== null && { k }) })).toBeCloseTo(
        value,
        12,
      );
    expect(() => ndcg([[1, 2]], [[0, -1]])).toThrow("relevance of at least 0");
  });

  test("rankings", () => {
    for (const most of cutoffs) {
      const result = retrievalScores(rankings, relevant, { k: [most] });
      const { mrr, map } = result;
      const { "mrr@k": mrrs, "map@k": maps } = expected;
      expect([mrr, map]).toEqual(close([mrrs[most], maps[most]]));
      const parts = [result.hitRate, result.precision, result.recall, result.ndcg].map((part) => part[most]);
      const names = ["accuracy@k", "precision@k", "recall@k", "ndcg@k"];
      expect(parts).toEqual(close(names.map((name) => expected[name][most])));
    }
  });

  test("grades, and what is wrong", () => {
    const grades = new Map([
      ["a", 3],
      ["b", 1],
      ["c", 0],
    ]);
    const { ndcg: gains } = retrievalScores([["b", "c", "a"]], [grades], { k: [3] });
    expect(gains[3]).toBeCloseTo((1 + 3 / 2) / (3 + 1 / Math.log2(3)), 12);
    expect(() => retrievalScores([["a", "a"]], [["a"]])).toThrow("each document once");
    expect(() => retrievalScores([["a"]], [[]])).toThrow("a relevant document of each query");
  });
});

describe("bootstrap", () => {
  const { data, other, rows, cases, paired } = golden.bootstraps;
  const pick = (list: readonly number[], which: Int32Array) => Array.from(which, (row) => list[row]);
  const mean = (list: readonly number[]) => list.reduce((sum, value) => sum + value, 0) / list.length;
  const statistics = {
    mean: (which: Int32Array) => mean(pick(data, which)),
    std: (which: Int32Array) => {
      const values = pick(data, which);
      return Math.sqrt(mean(values.map((value) => (value - mean(values)) ** 2)));
    },
  };

  test.each(cases)("$statistic by $method at $confidence", ({ statistic, method, confidence, low, high, error }) => {
    const result = bootstrap(data.length, statistics[statistic], { rows, method, confidence });
    expect([result.low, result.high, result.standardError]).toEqual(close([low, high, error]));
  });

  test.each(paired)("two systems by $method", ({ method, low, high, error }) => {
    const second = (which: Int32Array) => mean(pick(other, which));
    const result = pairedBootstrap(data.length, statistics.mean, second, { rows, method });
    expect([result.low, result.high, result.standardError]).toEqual(close([low, high, error]));
    expect(result.notAbove).toBe(result.distribution.filter((value) => value <= 0).length / rows.length);
  });

  test("the same of the same seed, and what is wrong", () => {
    const one = bootstrap(data.length, statistics.mean, { seed: 3, resamples: 50 });
    expect(bootstrap(data.length, statistics.mean, { seed: 3, resamples: 50 })).toEqual(one);
    expect(one.low).toBeLessThan(one.value);
    expect(one.high).toBeGreaterThan(one.value);
    expect(() => bootstrap(1, statistics.mean)).toThrow("at least 2 rows");
    expect(() => bootstrap(3, statistics.mean, { rows: [[0, 1, 3]] })).toThrow("resamples of 3 indices below 3");
    expect(() => bootstrap(3, statistics.mean, { method: "basic" as never })).toThrow("percentile, bca");
  });

  test("the normal distribution", () => {
    for (const [x, p] of golden.python_random.normal) expect(normalCdf(x) / p).toBeCloseTo(1, 12);
    for (const [p, x] of golden.python_random.quantiles) expect(normalQuantile(p)).toBeCloseTo(x, 12);
  });
});

test.each(golden.python_random.seeds)("Python's random numbers of the seed $seed", (one) => {
  const random = new PythonRandom(one.seed);
  expect(one.random.map(() => random.random())).toEqual(one.random);
  const upTo = (n: number) => Array.from({ length: n }, (_, i) => i);
  expect(random.sample(upTo(10), 4)).toEqual(one.few);
  expect(random.sample(upTo(5000), 8)).toEqual(one.many);
  expect([...random.choices(100, 6)]).toEqual(one.choices);
  expect([1, 2, 7, 2 ** 31].map((n) => random.below(n))).toEqual(one.randrange);
});

test("perplexity and bits per byte", () => {
  const logprobs = [Math.log(0.5), Math.log(0.25)];
  expect(perplexityOf(logprobs)).toBeCloseTo(Math.sqrt(8), 12);
  expect(bitsPerByte(logprobs, 6)).toBeCloseTo(0.5, 12);
  expect(() => perplexityOf([])).toThrow("the log probability of a token");
});

describe("metrics of tasks", () => {
  test("batch by batch as all at once", () => {
    const metric = metricsOf("classification");
    metric.add(
      [
        [0.1, 0.9],
        [0.8, 0.2],
      ],
      [1, 0],
    );
    metric.add(Int32Array.of(1), Int32Array.of(0));
    expect(metric.result()).toMatchObject({ accuracy: 2 / 3, f1: 2 / 3 });
    metric.reset();
    expect(() => metric.result()).toThrow("at least one row");
    metric.add([[1, 0]], ["ham"]);
  });

  test("of every task", () => {
    const named = metricsOf("classification", { classes: ["ham", "spam"] });
    named.add(
      [
        [1, 0],
        [0, 1],
      ],
      ["ham", "spam"],
    );
    expect(named.result()).toEqual({ accuracy: 1, precision: 1, recall: 1, f1: 1, mcc: 1 });
    const texts = metricsOf("seq2seq", { language: "zh" });
    texts.add(["今天天气很好"], ["今天天气很好"]);
    expect(texts.result()).toMatchObject({ bleu: expect.closeTo(100, 9), rougeL: 1 });
    const lines: [Parameters<typeof metricsOf>[0], unknown, unknown, Record<string, number>][] = [
      ["token-classification", ["B-PER", "O"], ["B-PER", "O"], { f1: 1, accuracy: 1 }],
      ["question-answering", "the sea", ["sea", "ocean"], { exactMatch: 1, f1: 1 }],
      ["speech-recognition", "a b", "a c", { wer: 0.5, cer: 1 / 3 }],
      ["regression", 2, 3, { mse: 1, mae: 1 }],
      ["retrieval", ["b", "a"], ["a"], { mrr: 0.5, recallAt1: 0, recallAt10: 1 }],
      ["language-modeling", [Math.log(0.5)], 2, { perplexity: 2, bitsPerByte: 0.5 }],
      ["segmentation", [0, 1], [0, 1], { meanIou: 1, pixelAccuracy: 1 }],
    ];
    for (const [task, prediction, label, expected] of lines) {
      const metric = metricsOf(task);
      metric.add([prediction] as never, [label] as never);
      expect(metric.result(), task).toMatchObject(expected);
    }
    const boxes = metricsOf("detection");
    boxes.add([], [{ image: 1, category: 1, box: [0, 0, 2, 2] }]);
    expect(boxes.result()).toMatchObject({ map: 0, recallAt100: 0 });
  });

  test("what is wrong is told", () => {
    expect(() => metricsOf("clasification" as never)).toThrow("one of the tasks classification");
    expect(() => metricsOf("regression").add([1], [])).toThrow("1 and 0");
  });
});
