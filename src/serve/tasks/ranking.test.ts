/** Rankings, scores of pairs and classes. */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CrossEncoder, pipeline, type TextClassificationPipeline } from "../../pipelines/index.ts";
import { jsonPost } from "../../testing/json-post.ts";
import { createApp } from "../index.ts";

const folderOf = (name: string) => fileURLToPath(new URL(`../../../golden/pipelines/models/${name}`, import.meta.url));
const query = "Who sailed?";
const documents = ["It was a dark night.", "Ishmael", "The landlord of the inn"];
let judge: CrossEncoder;
let classifier: TextClassificationPipeline;
let app: ReturnType<typeof createApp>;
beforeAll(async () => {
  judge = await CrossEncoder.open(folderOf("cross-encoder"));
  classifier = await pipeline("text-classification", folderOf("bert-sequence-classification"));
  app = createApp([
    { id: "judge", kind: "ranking", model: judge },
    { id: "moods", kind: "classification", model: classifier },
  ]);
});
afterAll(() => {
  judge.dispose();
  classifier.dispose();
});

const post = async (path: string, body: object) => {
  const answer = await app.request(path, jsonPost(body));
  return { status: answer.status, body: (await answer.json()) as Record<string, never> };
};
const tokensOf = async (pairs: [string, string][]) =>
  (await judge.tokenize(pairs)).reduce((sum, { ids }) => sum + ids.length, 0);

describe("a ranking", () => {
  test.each(["/rerank", "/v1/rerank", "/v2/rerank"])("has the best first: %s", async (path) => {
    const expected = await judge.rank(query, documents, { returnDocuments: true });
    const { body } = await post(path, { model: "judge", query, documents });
    const tokens = await tokensOf(documents.map((document) => [query, document]));
    expect(body).toEqual({
      id: expect.stringMatching(/^rerank-/),
      object: "list",
      model: "judge",
      usage: { prompt_tokens: tokens, total_tokens: tokens },
      results: expected.map(({ corpus_id: index, score, text }) => ({
        index,
        relevance_score: expect.closeTo(score, 5),
        document: { text },
      })),
    });
  });

  test("of objects, as many as are asked for, without their texts", async () => {
    const objects = documents.map((text) => ({ text, title: "ignored by all" }));
    const [best] = await judge.rank(query, documents);
    const { body } = await post("/v1/rerank", { query, documents: objects, top_n: 1, return_documents: false });
    expect(body.results).toEqual([{ index: best.corpus_id, relevance_score: expect.closeTo(best.score, 5) }]);
  });

  test("of many documents is that of each alone", async () => {
    const many = Array.from({ length: 70 }, (_, i) => `${documents[i % 3]} ${i}`);
    const { body } = await post("/v1/rerank", { query, documents: many });
    const results = body.results as { index: number; relevance_score: number }[];
    expect(new Set(results.map(({ index }) => index)).size).toBe(70);
    const [[score]] = await judge.predict([[query, many[69]]]);
    expect(results.find(({ index }) => index === 69)?.relevance_score).toBeCloseTo(score, 5);
  });

  test("of what is too long is refused, unless it is to be cut", async () => {
    const long = "stormy night ".repeat(60);
    const { status, body } = await post("/v1/rerank", { query, documents: [inShort(long), long] });
    expect({ status, ...(body.error as object) }).toMatchObject({
      status: 400,
      code: "context_length_exceeded",
      param: "documents[1]",
    });
    const cut = await post("/v1/rerank", { query, documents: [long], truncate_prompt_tokens: -1 });
    expect(cut.body).toMatchObject({ usage: { total_tokens: judge.maxTokens } });
  });

  const inShort = (text: string) => text.slice(0, 20);

  test.each([
    [{ documents }, "query: expected a text"],
    [{ query }, "documents: expected a list of 1 to 10000 texts"],
    [{ query, documents: [] }, "documents: expected a list of 1"],
    [{ query, documents: [{ title: "a" }] }, "documents: expected a list of 1"],
    [{ query, documents, top_n: 0 }, "top_n: expected a whole number from 1"],
    [{ query, documents, max_tokens_per_doc: 10 }, "Unsupported parameter: 'max_tokens_per_doc'"],
    [{ query, documents, rank_fields: ["title"] }, "Unsupported parameter: 'rank_fields'"],
    [{ query, documents, topn: 1 }, "Unknown parameter: 'topn'. Did you mean 'top_n'?"],
  ])("%j is refused", async (body, message) => {
    const answer = await post("/v1/rerank", body);
    expect(answer.status).toBe(400);
    expect((answer.body.error as { message: string }).message).toContain(message);
  });
});

describe("scores of pairs", () => {
  const [night, ishmael] = documents;
  const expected = async (pairs: [string, string][]) => {
    const scores = await judge.predict(pairs);
    return scores.map(([score], index) => ({ index, object: "score", score: expect.closeTo(score, 5) }));
  };

  test.each([
    ["one and one", query, night, [[query, night]]],
    [
      "one and several",
      query,
      [night, ishmael],
      [
        [query, night],
        [query, ishmael],
      ],
    ],
    [
      "one in a list and several",
      [query],
      [night, ishmael],
      [
        [query, night],
        [query, ishmael],
      ],
    ],
    [
      "several and as many",
      [query, night],
      [night, ishmael],
      [
        [query, night],
        [night, ishmael],
      ],
    ],
  ] as [string, string | string[], string | string[], [string, string][]][])("%s", async (_, one, other, pairs) => {
    for (const path of ["/score", "/v1/score"]) {
      const { body } = await post(path, { text_1: one, text_2: other });
      expect(body).toMatchObject({ object: "list", model: "judge", data: await expected(pairs) });
      expect(body.usage).toMatchObject({ total_tokens: await tokensOf(pairs) });
    }
  });

  test.each([
    [{ text_1: [query, query], text_2: night }, "text_2: expected one text for each of the 2 of text_1"],
    [{ text_1: query }, "text_2: expected a text"],
    [{ text_1: [], text_2: night }, "text_1: expected a text"],
  ])("%j is refused", async (body, message) => {
    const answer = await post("/score", body);
    expect(answer.status).toBe(400);
    expect((answer.body.error as { message: string }).message).toContain(message);
  });
});

describe("classes", () => {
  test("of texts and ids come with the probability of each", async () => {
    const { body } = await post("/classify", { input: [documents[0], documents[2]] });
    const data = body.data as { index: number; label: string; probs: number[]; num_classes: number }[];
    expect(data.map(({ index, num_classes }) => [index, num_classes])).toEqual([
      [0, 3],
      [1, 3],
    ]);
    for (const [i, { label, probs }] of data.entries()) {
      const [best] = (await classifier.run([documents[2 * i]])) as { label: string; score: number }[];
      expect(label).toBe(best.label);
      expect(Math.max(...probs)).toBeCloseTo(best.score, 5);
      expect(classifier.labels[probs.indexOf(Math.max(...probs))]).toBe(label);
      expect(probs.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
    }
    const [{ ids }] = await classifier.tokenize([documents[0]]);
    const ofIds = (await post("/classify", { model: "moods", input: ids })).body.data as typeof data;
    expect(ofIds[0].probs).toEqual(data[0].probs.map((value) => expect.closeTo(value, 5)));
  });

  test("are asked of a model that has them", async () => {
    const { status, body } = await post("/classify", { model: "judge", input: "a" });
    expect([status, (body.error as { message: string }).message]).toEqual([
      400,
      "The model 'judge' ranks documents: ask it at POST /v1/rerank. Here one is needed that classifies texts: 'moods'.",
    ]);
    expect((await post("/classify", { input: "a", labels: [] })).status).toBe(400);
  });
});
