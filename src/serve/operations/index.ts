/** Running a server for others: keys and limits, logs, traces, an audit, connections, the end. */
export { AuditLog } from "./audit.ts";
export { limitedBodies, unpackedBodies } from "./body.ts";
export { type ConnectionOptions, connectionNames } from "./connections.ts";
export type { Gate } from "./gate.ts";
export { HttpServer } from "./http-server.ts";
export { type OperationOptions, Operations, operationNames, splitOptions } from "./operations.ts";
export { answerErrors } from "./refusals.ts";
export { type Reloadable, Reloader } from "./reload.ts";
export { type LogLevel, type LogOptions, logLine } from "./request-log.ts";
export { type TlsOptions, tlsNames } from "./tls.ts";
