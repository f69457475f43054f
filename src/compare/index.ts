/**
 * The same questions to several models: quality, speed, cost. Imports load-test/, gateway/ (prices), http/, files/ and
 * base/.
 */
export { type CompareOptions, compare } from "./compare.ts";
export type { JudgeMode } from "./judge.ts";
export { type MetricName, metricNames } from "./metrics.ts";
export { plotHtml, plotSvg } from "./plot.ts";
export { type Prompt, readPrompts } from "./prompts.ts";
export { type CompareReport, formatCompareReport, type TargetReport } from "./report.ts";
export type { Target } from "./target.ts";
