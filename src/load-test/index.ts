/** Load tests of servers that speak OpenAI's API: arrivals, latencies, throughput. Imports base/ and files/. */
export { type Answer, ask, type Failure, refusalOf } from "./answer.ts";
export { formatLoadReport, table } from "./format.ts";
export { loadTest } from "./load-test.ts";
export type { LatencyLimits, LoadProgress, LoadTestOptions, TokenRange } from "./options.ts";
export type { ErrorGroup, Latencies, RequestCounts } from "./record.ts";
export type { LoadReport } from "./report.ts";
export { type Statistics, statistics } from "./statistics.ts";
