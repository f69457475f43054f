// Writes with the built package, into a folder and to an MLflow server where there is an address, what check_tensorboard.py,
// check_wandb.py and check_mlflow.py read: a run, and the same resumed.
import { csv, jsonl, mlflow, tensorBoard, trackEvents, wandb } from "../dist/track/index.js";

const [folder, url] = process.argv.slice(2);
const config = { learningRate: 0.001, tokenizer: "bpe", tied: true };

async function* training(from, until) {
  if (from > 0) yield { type: "resumed", step: from, validationLoss: null };
  for (let step = from + 1; step <= until; step++) {
    const loss = 10 / step + (from === 0 && step > 5 ? 100 : 0); // steps that are taken back
    yield { type: "step", step, loss, gradientNorm: 1, learningRate: 0.001, metrics: {}, throughput: 50 };
  }
  yield { type: "evaluation", step: until, validationLoss: 2, metrics: { accuracy: 0.5 } };
  yield { type: "finished", step: until, reason: "steps", validationLoss: 2, validationStep: until };
}

for (const [from, until] of [
  [0, 8],
  [5, 10],
]) {
  const trackers = [tensorBoard(), csv(), jsonl(), wandb({ folder: `${folder}/wandb`, project: "whales" })];
  if (url) trackers.push(mlflow({ url, finishTimeoutMs: 120_000, experiment: "whales", artifacts: [`${folder}/tracked.jsonl`] }));
  const run = { name: "tracked", folder, config };
  for await (const event of trackEvents(training(from, until), run, trackers)) {
    if (event.type !== "evaluation") continue;
    const rgb = Uint8Array.from({ length: 18 }, (_, i) => (i % 3 === 0 ? 255 : 0));
    for (const tracker of trackers) {
      tracker.text(until, "sample", `Call me Ishmael, step ${until}. 鲸`);
      tracker.histogram(until, "weights", [-1, 0, 0.5, 2]);
      tracker.image(until, "red", { width: 3, height: 2, rgb });
    }
  }
}
