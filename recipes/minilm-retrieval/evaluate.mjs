/**
 * How well a folder of sentence embeddings finds the answers of pairs: each question among all answers, by cosines.
 * @example node recipes/minilm-retrieval/evaluate.mjs test.jsonl model runs/minilm-retrieval/model
 */
import { readFileSync } from "node:fs";
import { retrievalScores } from "kindling/metrics";
import { SentenceEncoder } from "kindling/pipelines";

const [rows, ...folders] = process.argv.slice(2);
const pairs = readFileSync(rows, "utf8").trim().split("\n").map(JSON.parse);
const [questions, answers] = ["anchor", "positive"].map((part) => [...new Set(pairs.map((pair) => pair[part]))]);
const relevant = questions.map((question) =>
  pairs.flatMap(({ anchor, positive }) => (anchor === question ? [answers.indexOf(positive)] : [])),
);

for (const folder of folders) {
  const encoder = await SentenceEncoder.open(folder);
  const options = { normalizeEmbeddings: true };
  const [from, to] = [await encoder.encode(questions, options), await encoder.encode(answers, options)];
  const rankings = from.map((vector) => {
    const scores = to.map((other) => vector.reduce((sum, value, i) => sum + value * other[i], 0));
    return [...scores.keys()].sort((a, b) => scores[b] - scores[a]).slice(0, 10);
  });
  const { ndcg, mrr, recall } = retrievalScores(rankings, relevant, { k: [1, 10] });
  const found = { ndcgAt10: ndcg[10], mrrAt10: mrr, recallAt1: recall[1], recallAt10: recall[10] };
  console.log(folder);
  console.log(JSON.stringify(found));
  encoder.dispose();
}
