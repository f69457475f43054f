/** Following runs: trackers of what is measured, as TensorBoard's and CSV files. Imports base/, files/, http/. */
export type { CardData, CardResult, ModelCard } from "./card/description.ts";
export { isModelCard, modelCard, writeModelCard } from "./card/model-card.ts";
export { type EnergyAssumptions, type EnergyEstimate, estimateEnergy } from "./energy.ts";
export { type Hardware, thisHardware } from "./hardware.ts";
export { type MlflowOptions, mlflow } from "./mlflow/mlflow.ts";
export { type MonitorConfig, type MonitorSettings, monitorSettings, type WindowLimits } from "./monitor/config.ts";
export { type DriftResult, measureDrift } from "./monitor/drift.ts";
export { type LogOptions, logLines } from "./monitor/log-lines.ts";
export { type Alarm, Monitor, type WindowReport } from "./monitor/monitor.ts";
export { type MonitorTotals, prometheusText, sendAlarms } from "./monitor/outlets.ts";
export {
  type FeatureOptions,
  makeProfile,
  type NumericReference,
  type Profile,
  readProfile,
  readRows,
  saveProfile,
} from "./monitor/profile.ts";
export { type LogEntry, logEntryOf, type MonitorRecord, recordOfRow } from "./monitor/record.ts";
export {
  type ReplayCase,
  type ReplayMetric,
  type ReplayResult,
  type ReplayTarget,
  readReplayCases,
  regressionAlarm,
  replay,
} from "./monitor/replay.ts";
export { type MonitorRun, runMonitor } from "./monitor/run-monitor.ts";
export {
  chiSquare,
  jensenShannon,
  kolmogorovSmirnov,
  populationStability,
  quantile,
  type TestResult,
} from "./monitor/statistics.ts";
export type { WindowMeasures } from "./monitor/window.ts";
export { pngUrl } from "./png.ts";
export { type QueueOptions, queuedTracker, type TrackerSink } from "./queued.ts";
export { comparisonHtml } from "./report/comparison.ts";
export type { ClassAnswers, Confusion, Mistake, ReportExtras, Sample } from "./report/extras.ts";
export { type ReportOptions, reportHtml, writeReport } from "./report/report.ts";
export { type ReportTrackerOptions, report } from "./report/report-tracker.ts";
export { compareRuns, type RunComparison, type RunSummaryRow, summaryRow } from "./runs/compare-runs.ts";
export { type CurvePoint, type RunRecord, type RunState, readRun, readRuns } from "./runs/run-record.ts";
export { tensorBoard } from "./tensorboard/tensorboard.ts";
export { csv, type FileOptions, jsonl } from "./text-files.ts";
export { type TrackedEvent, trackEvents } from "./track-events.ts";
export type {
  ConfigValue,
  Picture,
  RunDescription,
  RunEnd,
  RunSummary,
  TrackedEntry,
  Tracker,
} from "./tracker.ts";
export { type WandbOptions, wandb } from "./wandb/wandb.ts";
