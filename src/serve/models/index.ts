/** The models of a server, of several kinds, loaded when they are needed. Imports pipelines/ for those that write nothing. */
export type { KindModels, LoadedAlready, LoadedOnDemand, ModelEntry, ModelKind, Servable } from "./entry.ts";
export { kinds } from "./entry.ts";
export { type LimitOptions, LONGEST_MS, limitNames } from "./limits.ts";
export { type ModelInfo, ServedModels, type Services } from "./served-models.ts";
export type { Lease } from "./slot.ts";
export type { TaskService } from "./task-service.ts";
