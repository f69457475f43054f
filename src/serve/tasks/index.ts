/** Endpoints of models that do not write: embeddings, rankings, classes, speech. */
export { classifyFields, classifyRoutes } from "./classify.ts";
export { embeddingFields, embeddingRoutes } from "./embeddings.ts";
export { rankingRoutes, rerankFields, scoreFields } from "./ranking.ts";
export { speechRoutes, transcriptionFields, translationFields } from "./transcriptions.ts";
