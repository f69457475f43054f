import { randomUUID } from "node:crypto";
import type { LabelScore } from "../../pipelines/index.ts";
import type { App } from "../exchange.ts";
import { type Fields, readFields, text } from "../fields.ts";
import type { ServedModels, TaskService } from "../models/index.ts";
import { type Answer, answerJson } from "./answering.ts";
import { countTokens, cutLength, inSlices, listOf, texts, truncateTokens, usageOf } from "./inputs.ts";

/** Every field of POST /classify. */
export const classifyFields = {
  model: text,
  input: texts,
  user: "harmless",
  truncate_prompt_tokens: truncateTokens,
} as const satisfies Fields;

/** POST /classify, as vLLM's. */
export function classifyRoutes(app: App, models: ServedModels): void {
  app.post("/classify", (c) => answerJson(c, models, "classification", classified));
}

async function classified(
  { id, model }: TaskService<"classification">,
  json: unknown,
  signal: AbortSignal,
): Promise<Answer> {
  const request = readFields(json, classifyFields);
  const { maxTokens, labels } = model;
  const maxLength = cutLength(request.truncate_prompt_tokens, maxTokens);
  const encodings = await model.tokenize(listOf(request.input, "input"), { maxLength });
  const tokens = countTokens(encodings, { maxTokens, param: "input" });
  const rankings = await inSlices(
    encodings,
    signal,
    async (slice, batch) => (await model.run(slice, { topK: null, ...batch })) as LabelScore[][],
  );
  const data = rankings.map((ranking, index) => {
    const scores = new Map(ranking.map(({ label, score }) => [label, score]));
    return {
      index,
      label: ranking[0].label,
      probs: labels.map((label) => scores.get(label) ?? 0),
      num_classes: labels.length,
    };
  });
  const created = Math.floor(Date.now() / 1000);
  return {
    tokens,
    body: { id: `classify-${randomUUID()}`, object: "list", created, model: id, data, usage: usageOf(tokens) },
  };
}
