/** What docs/serving-models.md says of the fields of each endpoint, and what is refused. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { Fields } from "../fields.ts";
import { embedFields } from "../ollama/embed.ts";
import { classifyFields } from "./classify.ts";
import { embeddingFields } from "./embeddings.ts";
import { rerankFields, scoreFields } from "./ranking.ts";
import { transcriptionFields, translationFields } from "./transcriptions.ts";

const docs = readFileSync(new URL("../../../docs/serving-models.md", import.meta.url), "utf8");
const endpoints: Readonly<Record<string, Fields>> = {
  "/v1/embeddings": embeddingFields,
  "/api/embed": embedFields,
  "/v1/rerank": rerankFields,
  "/v1/score": scoreFields,
  "/classify": classifyFields,
  "/v1/audio/transcriptions": transcriptionFields,
  "/v1/audio/translations": translationFields,
};

test.each(Object.entries(endpoints))("the page names all fields of %s", (_, fields) => {
  const words = new Set([...docs.matchAll(/`([\w.]+)(?:\[\])?(?:: [^`]*)?`/g)].flatMap(([, name]) => name.split(".")));
  expect(Object.keys(fields).filter((name) => !words.has(name))).toEqual([]);
});

test("what is refused unless it asks for nothing", () => {
  const refused = Object.entries(endpoints).flatMap(([path, fields]) =>
    Object.entries(fields)
      .filter(([, field]) => Array.isArray(field))
      .map(([name, neutral]) => `${path} ${name} ${JSON.stringify(neutral)}`),
  );
  expect(refused).toEqual([
    '/v1/rerank rank_fields [["text"]]',
    "/v1/rerank max_chunks_per_doc []",
    "/v1/rerank max_tokens_per_doc []",
    '/v1/audio/transcriptions stream ["false"]',
    "/v1/audio/transcriptions chunking_strategy []",
    "/v1/audio/transcriptions include []",
    "/v1/audio/transcriptions known_speaker_names []",
    "/v1/audio/transcriptions known_speaker_references []",
  ]);
});
