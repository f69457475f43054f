/** Load tests of servers that speak OpenAI's API: arrivals, latencies, throughput. Imports base/ and files/. */
export { type Failure, refusalOf } from "./answer.ts";
export { EventParser } from "./event-parser.ts";
export { formatLoadReport } from "./format.ts";
export { type HttpAnswer, type HttpRequest, httpTransport, type Transport } from "./http.ts";
export { loadTest } from "./load-test.ts";
export type { LatencyLimits, LoadProgress, LoadTestOptions, TokenRange } from "./options.ts";
export type { ErrorGroup, Latencies, RequestCounts } from "./record.ts";
export type { LoadReport } from "./report.ts";
export type { Statistics } from "./statistics.ts";
