/** Every family and head of golden/models: the outputs, loss and gradients of transformers. */
import { readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readJson, readSafetensors } from "../files/index.ts";
import { compile, grad, type Tensor } from "../tensor/index.ts";
import { expectClose } from "../testing/close.ts";
import { Differences } from "../testing/differences.ts";
import { goldenModels, inputsOf, isCounted, outputOf, readGoldenModel } from "../testing/golden-model.ts";
import { fromPretrained, savePretrained, type TaskModel, type Trainable } from "./index.ts";

const TOLERANCE = 1e-4;
type AnyModel = TaskModel<object, object> & Trainable<object>;
const load = async (folder: string) => (await fromPretrained(folder)) as unknown as AnyModel;

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "kindling-"));
});
const differences = new Differences();
afterAll(async () => {
  differences.save();
  await rm(scratch, { recursive: true });
});

/**
 * The name that we write: LLaVA's published files, which every version of transformers reads, have a level more than
 * what version 5 makes.
 */
const published = (key: string) => key.replace(/^vision_tower\.(?!vision_model)/, "vision_tower.vision_model.");
const only = process.env.KINDLING_MODELS?.split(",");
describe.each(readdirSync(goldenModels).filter((name) => !only || only.some((part) => name.startsWith(part))))(
  "%s",
  (name) => {
    test("outputs", async () => {
      const { folder, runs } = await readGoldenModel(name);
      const model = await load(folder);
      const run = compile((inputs: Record<string, Tensor>) => model.forward(inputs));
      for (const { inputs, outputs } of runs) {
        const results = await run(inputsOf(inputs) as never);
        for (const [path, expected] of Object.entries(outputs)) {
          const output = outputOf(results, path);
          expect([path, output?.shape]).toEqual([path, expected.shape]);
          const counts = isCounted(inputs, expected.shape);
          const difference = expectClose(
            path,
            (await (output as Tensor<"f32">).read()).filter(counts),
            expected.data.filter(counts),
            TOLERANCE,
          );
          differences.note(model.architecture, "outputs", difference);
        }
      }
      run.dispose();
      model.dispose();
    });

    test("loss and the gradient of every parameter", async ({ skip }) => {
      const { folder, loss: expected } = await readGoldenModel(name);
      if (!expected) return skip("transformers defines no loss here");
      const model = await load(folder);
      const stored = await readSafetensors(join(folder, "gradients.safetensors"));
      const tensors = new Map([...stored.tensors].map(([key, gradient]) => [published(key), gradient]));
      const parameters = [...model.namedParameters()].filter(([key]) => tensors.has(key));
      expect(parameters.map(([key]) => key).sort()).toEqual([...tensors.keys()].sort());
      const step = compile((inputs: Record<string, Tensor>) => {
        const loss = model.loss(inputs);
        return {
          loss,
          gradients: grad(
            loss,
            parameters.map(([, parameter]) => parameter),
          ),
        };
      });
      const { loss, gradients } = await step(inputsOf(expected.inputs) as never);
      differences.note(
        model.architecture,
        "gradients",
        expectClose("loss", [await loss.item()], [expected.value], TOLERANCE),
      );
      for (const [i, [key]] of parameters.entries()) {
        const difference = expectClose(
          key,
          await gradients[i].read(),
          tensors.get(key)?.data as Float32Array,
          TOLERANCE,
        );
        differences.note(model.architecture, "gradients", difference);
      }
      step.dispose();
      model.dispose();
    });

    test("is saved as transformers saves it, and loaded again", async () => {
      const { folder, runs } = await readGoldenModel(name);
      const model = await load(folder);
      await savePretrained(model, scratch);
      const [ours, theirs] = await Promise.all(
        [scratch, folder].map((path) => readSafetensors(join(path, "model.safetensors"))),
      );
      const shapes = (file: typeof ours) =>
        Object.fromEntries([...file.tensors].map(([key, { shape }]) => [published(key), shape]));
      const counters = ([key]: [string, unknown]) => !key.endsWith("num_batches_tracked");
      expect(shapes(ours)).toEqual(Object.fromEntries(Object.entries(shapes(theirs)).filter(counters)));
      const again = await load(scratch);
      const [inputs] = runs.map((run) => inputsOf(run.inputs));
      const [[path]] = Object.entries(runs[0].outputs);
      const [a, b] = [again, model].map((each) => outputOf(each.forward(inputs as never), path) as Tensor<"f32">);
      expect(await a.read()).toEqual(await b.read());
      const [config, original] = await Promise.all([scratch, folder].map((at) => readJson(join(at, "config.json"))));
      expect([config.architectures, config.model_type]).toEqual([original.architectures, original.model_type]);
    });
  },
);
