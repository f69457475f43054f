/** Generators of models of which layers or parameters are exchanged: the next text is that of a generator made anew. */
import { expect, test } from "vitest";
import {
  type CausalLM,
  fromPretrained,
  type ImageTextModel,
  LlamaForCausalLM,
  type PretrainedModel,
  type Seq2SeqLM,
} from "../models/index.ts";
import { mapModules, mapParameters, Parameter, Projection } from "../nn/index.ts";
import { add, matmul, normal, type RandomKey, randomKey, type Tensor } from "../tensor/index.ts";
import { collect } from "../testing/collect.ts";
import { inputsOf, readGoldenModel } from "../testing/golden-model.ts";
import { Generator, ImageTextGenerator, Seq2SeqGenerator } from "./index.ts";

/** A layer and a correction of rank 2. Hu et al. 2021, arXiv:2106.09685. */
class Adapter extends Projection {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly base: Projection;
  readonly a: Parameter; // [2, inFeatures]
  readonly b: Parameter; // [outFeatures, 2]

  constructor(base: Projection, key: RandomKey) {
    super();
    const { inFeatures, outFeatures } = base;
    [this.inFeatures, this.outFeatures, this.base] = [inFeatures, outFeatures, base];
    this.a = new Parameter([2, inFeatures], normal(key.fold(0), [2, inFeatures]));
    this.b = new Parameter([outFeatures, 2], normal(key.fold(1), [outFeatures, 2]));
  }

  matrix(): Tensor<"f32"> {
    return add(this.base.matrix(), matmul(this.b.value, this.a.value));
  }

  forward(x: Tensor<"f32">): Tensor<"f32"> {
    const inner = matmul(x, this.a, { transposeB: true }); // [..., 2]
    return add(this.base.forward(x), matmul(inner, this.b, { transposeB: true }));
  }
}

/** Puts an adapter around each layer at such a path. */
const adapt = (model: PretrainedModel, at: RegExp) =>
  mapModules(model, (path, module) =>
    module instanceof Projection && at.test(path) ? new Adapter(module, randomKey(5)) : undefined,
  );
/** Trains the adapters. */
async function change(model: PretrainedModel): Promise<void> {
  for (const [path, parameter] of model.namedParameters())
    if (/\.[ab]$/.test(path)) parameter.set((await parameter.read()).map((x) => 0.5 - 3 * x));
}

/**
 * Whether a generator that exists writes what one made anew does, after each of some changes, each of which matters;
 * `write` begins with the same text each time.
 */
async function expectSame<G extends { dispose(): void }>(
  makeAnew: () => G,
  write: (generator: G) => Promise<unknown>,
  changes: readonly (() => unknown)[],
): Promise<void> {
  const early = makeAnew();
  let last: unknown;
  for (const [i, make] of changes.entries()) {
    await make();
    const late = makeAnew();
    const right = await write(late);
    late.dispose();
    expect(right).not.toEqual(last);
    expect(await write(early), `after change ${i}`).toEqual(right);
    last = right;
  }
  early.dispose();
}

const config = {
  vocabSize: 60,
  hiddenSize: 32,
  intermediateSize: 48,
  numLayers: 2,
  numHeads: 4,
  initializerRange: 0.3,
};
const settings = { maxNewTokens: 8, temperature: 0, stopTokens: [] };

test.each(["before the first text", "between two texts"])("a language model with adapters put in %s", async (when) => {
  const model: CausalLM = new LlamaForCausalLM({ ...config, maxPositionEmbeddings: 64 }, randomKey(1));
  const changes = [
    () => adapt(model, /o_proj$/),
    () => change(model),
    async () => {
      const next = new Map<string, Parameter>();
      for (const [path, { shape }] of model.namedParameters())
        if (/norm/.test(path)) next.set(path, new Parameter(shape, normal(randomKey(next.size), shape)));
      mapParameters(model, (path) => next.get(path));
    },
  ];
  await expectSame(
    () => new Generator(model),
    async (generator) => {
      const logits: number[][] = [];
      const onLogits = (values: Float32Array) => logits.push([...values]);
      const alone = await collect(generator.generate([1, 2, 3], { ...settings, onLogits }));
      const together = [];
      const prompts = [
        [1, 2, 3],
        [4, 5],
      ].map((ids) => ({ ids, ...settings }));
      for await (const { row, id } of generator.generateBatch(prompts)) if (row === 0) together.push(id);
      expect(together).toEqual(alone);
      return logits;
    },
    when === "between two texts" ? [() => {}, ...changes] : changes,
  );
  model.dispose();
});

test.each([
  ["encoder", /^encoder.*SelfAttention\.v$/],
  ["decoder", /^decoder.*SelfAttention\.v$/],
])("an encoder-decoder with adapters in its %s", async (_, at) => {
  const { folder, greedy = [] } = await readGoldenModel("t5");
  const model = (await fromPretrained(folder)) as Seq2SeqLM;
  const inputIds = greedy[0].inputs.input_ids.data;
  const logits: number[][] = [];
  const onLogits = (values: Float32Array) => logits.push([...values]);
  await expectSame(
    () => new Seq2SeqGenerator(model),
    async (generator) => {
      await collect(generator.generate({ inputIds }, { ...settings, onLogits }));
      return logits.splice(0);
    },
    [() => {}, () => adapt(model, at), () => change(model)],
  );
  model.dispose();
});

test("a model that sees with adapters for what it sees", async () => {
  const { folder, greedy = [] } = await readGoldenModel("llava");
  const model = (await fromPretrained(folder)) as ImageTextModel;
  const { inputIds: _, attentionMask: __, ...images } = inputsOf(greedy[0].inputs);
  const inputIds = greedy[0].inputs.input_ids.data;
  const logits: number[][] = [];
  const onLogits = (values: Float32Array) => logits.push([...values]);
  await expectSame(
    () => new ImageTextGenerator(model),
    async (generator) => {
      await collect(generator.generate({ inputIds, ...images }, { ...settings, onLogits }));
      return logits.splice(0);
    },
    [() => {}, () => adapt(model, /multi_modal_projector/), () => change(model)],
  );
  model.dispose();
});
