/** Endpoints of models that do not write: embeddings, rankings, classes, speech. */
export { classifyRoutes } from "./classify.ts";
export { embeddingRoutes, embeddings } from "./embeddings.ts";
export { rankingRoutes } from "./ranking.ts";
export { speechRoutes } from "./transcriptions.ts";
