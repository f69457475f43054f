import { readFile } from "node:fs/promises";

type Averages = Record<"precision" | "recall" | "f1" | "support", unknown>;
type Rows = number[][];

/** What is in golden/metrics.json. */
export interface GoldenMetrics {
  classification: {
    cases: {
      labels: (string | number)[];
      predictions: (string | number)[];
      accuracy: number;
      balanced: number;
      matthews: number;
      confusion: Rows;
      normalized: Record<"labels" | "predictions" | "all", Rows>;
      byClass: Record<"precision" | "recall" | "f1" | "support", number[]>;
      averages: Record<string, Averages>;
      ones: Averages;
      nan: Averages;
      beta: number;
    }[];
    adjusted: number;
    someClasses: Averages;
  };
  scores: {
    binary: {
      labels: number[];
      scores: number[];
      rocAuc: number;
      averagePrecision: number;
      roc: Rows;
      precisionRecall: Rows;
      logLoss: number;
      brier: number;
      calibration: number;
    };
    classes: {
      labels: number[];
      scores: Rows;
      rocAuc: Record<string, number>;
      averagePrecision: Record<string, number>;
      logLoss: number;
      brier: number;
      topK: number[];
      topKTies: number;
      calibration: Record<string, number>;
    };
  };
  translations: {
    english: [string, string[]][];
    chinese: [string, string[]][];
    bleu: {
      language: "english" | "chinese";
      options: Record<string, string | number | boolean>;
      corpus: number;
      precisions: number[];
      counts: number[];
      totals: number[];
      lengths: [number, number];
      penalty: number;
      sentences: number[];
    }[];
    chrf: {
      language: "english" | "chinese";
      options: Record<string, number | boolean>;
      corpus: number;
      sentences: number[];
    }[];
    rouge: {
      text: string;
      references: string[];
      tokenizer: "words" | "characters";
      scores: Record<"rouge1" | "rouge2" | "rougeL" | "rougeLsum", [number, number, number]>;
    }[];
  };
  answers: {
    english: [string, string[]][];
    exact: (boolean | number)[];
    f1: number[];
    chinese: [string, string[]][];
    chineseF1: number[];
    chineseExact: number[];
  };
  entities: {
    scheme: "IOB2" | "IOE2" | "IOBES" | "BILOU";
    labels: string[][];
    predictions: string[][];
    strict: Record<string, [number, number, number]>;
    default: Record<string, [number, number, number]>;
    accuracy: number;
    report: Record<string, [number, number, number, number]>;
  }[];
  error_rates: {
    pairs: {
      reference: string;
      prediction: string;
      words: { counts: number[]; rate: number; preserved: number; parts: [string, number, number, number, number][] };
      characters: { counts: number[]; rate: number };
    }[];
    wer: number;
    cer: number;
  };
  regression: Record<string, unknown>[];
  retrieval: {
    relevance: Rows;
    scores: Rows;
    untied: Rows;
    ndcg: { k: number | null; averageTies: boolean; value: number }[];
    rankings: string[][];
    relevant: string[][];
    cutoffs: number[];
    expected: Record<string, Record<string, number>>;
  };
  detection: {
    truth: GoldenBox[];
    detections: GoldenBox[];
    stats: number[];
    byCategory: number[];
    boxes: { pairs: [GoldenBox["bbox"], GoldenBox["bbox"]][]; ious: [number, number][] };
    pixels: { labels: number[]; predictions: number[]; iou: number[]; mean: number };
    masks: {
      a: number[];
      b: number[];
      iou: number;
      segmentation: { truth: GoldenBox["bbox"][]; detections: GoldenBox["bbox"][]; stats: number[] };
    };
  };
  bootstraps: {
    data: number[];
    other: number[];
    rows: Rows;
    cases: {
      statistic: "mean" | "std";
      method: "percentile" | "bca";
      confidence: number;
      low: number;
      high: number;
      error: number;
    }[];
    paired: { method: "percentile" | "bca"; low: number; high: number; error: number }[];
  };
  python_random: {
    seeds: {
      seed: number;
      random: number[];
      few: number[];
      many: number[];
      choices: number[];
      randrange: number[];
    }[];
    normal: [number, number][];
    quantiles: [number, number][];
  };
}

/** An annotation, or a result, in COCO's form. */
export interface GoldenBox {
  image_id: number;
  category_id: number;
  bbox: [number, number, number, number];
  area: number;
  iscrowd: number;
  score: number;
}

/** The numbers of other libraries. */
export const goldenMetrics = async (): Promise<GoldenMetrics> =>
  JSON.parse(await readFile(new URL("../../golden/metrics.json", import.meta.url), "utf8"));

/** A number, or the text that stands for one that JSON has not. */
export const numberOf = (value: unknown): number =>
  value === "inf" ? Number.POSITIVE_INFINITY : value === "nan" ? Number.NaN : (value as number);
