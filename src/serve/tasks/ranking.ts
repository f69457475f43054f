import { randomUUID } from "node:crypto";
import type { CrossEncoder } from "../../pipelines/index.ts";
import type { App } from "../exchange.ts";
import { type Fields, flag, invalid, isObject, isText, readFields, rule, text, wholeNumber } from "../fields.ts";
import type { ServedModels, TaskService } from "../models/index.ts";
import { type Answer, answerJson } from "./answering.ts";
import { countTokens, cutLength, inSlices, truncateTokens, usageOf } from "./inputs.ts";

/** Documents of one request, Cohere's most for one search. */
const MAX_DOCUMENTS = 10_000;

type Document = string | { text: string };
const isDocument = (value: unknown) => isText(value) || (isObject(value) && isText(value.text));

/** Every field of POST /v1/rerank. */
export const rerankFields = {
  model: text,
  query: text,
  documents: rule<Document[]>(
    `a list of 1 to ${MAX_DOCUMENTS} texts, or of objects with a text`,
    (value) => Array.isArray(value) && value.length > 0 && value.length <= MAX_DOCUMENTS && value.every(isDocument),
  ),
  top_n: wholeNumber(1),
  return_documents: flag,
  truncate_prompt_tokens: truncateTokens,
  // Cohere's
  rank_fields: [["text"]],
  max_chunks_per_doc: [],
  max_tokens_per_doc: [],
} as const satisfies Fields;

const textOrTexts = rule<string | string[]>(
  `a text, or a list of 1 to ${MAX_DOCUMENTS} texts`,
  (value) =>
    isText(value) || (Array.isArray(value) && value.length > 0 && value.length <= MAX_DOCUMENTS && value.every(isText)),
);

/** Every field of POST /v1/score. */
export const scoreFields = {
  model: text,
  text_1: textOrTexts,
  text_2: textOrTexts,
  truncate_prompt_tokens: truncateTokens,
} as const satisfies Fields;

/** POST /v1/rerank, as Cohere's, Jina's and vLLM's; POST /v1/score, as vLLM's. */
export function rankingRoutes(app: App, models: ServedModels): void {
  for (const path of ["/rerank", "/v1/rerank", "/v2/rerank"])
    app.post(path, (c) => answerJson(c, models, "ranking", reranked));
  for (const path of ["/score", "/v1/score"]) app.post(path, (c) => answerJson(c, models, "ranking", scored));
}

async function reranked({ id, model }: TaskService<"ranking">, json: unknown, signal: AbortSignal): Promise<Answer> {
  const request = readFields(json, rerankFields);
  const { query, documents, top_n: most, return_documents: returnsDocuments = true } = request;
  if (query === undefined) throw invalid("query", rerankFields.query.expected, undefined);
  if (documents === undefined) throw invalid("documents", rerankFields.documents.expected, undefined);
  const passages = documents.map((document) => (isText(document) ? document : document.text));
  const { scores, tokens } = await scoresOf(
    model,
    passages.map((passage) => [query, passage] as const),
    {
      signal,
      param: "documents",
      truncateTo: request.truncate_prompt_tokens,
    },
  );
  const results = scores
    .map((score, index) => ({
      index,
      relevance_score: score,
      ...(returnsDocuments && { document: { text: passages[index] } }),
    }))
    .sort((a, b) => b.relevance_score - a.relevance_score)
    .slice(0, most);
  return { tokens, body: { id: `rerank-${randomUUID()}`, object: "list", model: id, results, usage: usageOf(tokens) } };
}

async function scored({ id, model }: TaskService<"ranking">, json: unknown, signal: AbortSignal): Promise<Answer> {
  const request = readFields(json, scoreFields);
  const { text_1: one, text_2: other } = request;
  if (one === undefined) throw invalid("text_1", textOrTexts.expected, undefined);
  if (other === undefined) throw invalid("text_2", textOrTexts.expected, undefined);
  const [lefts, rights] = [[one].flat(), [other].flat()];
  if (lefts.length !== 1 && lefts.length !== rights.length)
    throw invalid("text_2", `one text for each of the ${lefts.length} of text_1`, rights);
  const pairs = rights.map((right, i) => [lefts.length === 1 ? lefts[0] : lefts[i], right] as const);
  const { scores, tokens } = await scoresOf(model, pairs, {
    signal,
    param: "text_2",
    truncateTo: request.truncate_prompt_tokens,
  });
  const data = scores.map((score, index) => ({ index, object: "score", score }));
  const created = Math.floor(Date.now() / 1000);
  return {
    tokens,
    body: { id: `score-${randomUUID()}`, object: "list", created, model: id, data, usage: usageOf(tokens) },
  };
}

interface ScoreOptions {
  signal: AbortSignal;
  /** Field of the second texts. */
  param: string;
  truncateTo: number | undefined;
}

/** How well the texts of each pair go together, and how many tokens all have. */
async function scoresOf(
  model: CrossEncoder,
  pairs: readonly (readonly [string, string])[],
  { signal, param, truncateTo }: ScoreOptions,
): Promise<{ scores: number[]; tokens: number }> {
  const { maxTokens } = model;
  const encodings = await model.tokenize(pairs, { maxLength: cutLength(truncateTo, maxTokens) });
  const tokens = countTokens(encodings, { maxTokens, param });
  const scores = await inSlices(encodings, signal, (slice, batch) => model.predict(slice, batch));
  return { scores: scores.map(([score]) => score), tokens };
}
