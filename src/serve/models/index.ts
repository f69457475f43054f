/** The models of a server, of several kinds, loaded on demand. Imports pipelines/ for those that do not write. */
export type { KindModels, LoadedAlready, LoadedOnDemand, ModelEntry, ModelKind, Servable } from "./entry.ts";
export { type LimitOptions, limitNames } from "./limits.ts";
export { type AskedLease, type ModelInfo, ServedModels, type Services } from "./served-models.ts";
export type { Lease } from "./slot.ts";
export type { TaskService } from "./task-service.ts";
