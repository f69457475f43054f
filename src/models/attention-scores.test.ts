/** Attention scores of encoders and decoders against transformers (golden/make_attention_matching.py). */
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { readJson } from "../files/index.ts";
import { compile, HIDDEN_SCORE, type Tensor, tensor } from "../tensor/index.ts";
import { expectClose } from "../testing/close.ts";
import { type CausalLM, type EncoderModel, fromPretrained, type SeesAttentionScores } from "./index.ts";

const golden = (path: string) => fileURLToPath(new URL(`../../golden/${path}`, import.meta.url));
interface Golden {
  ids: number[][];
  mask: number[][];
  scores: Record<string, number[]>;
}
const { ids, mask, scores } = (await readJson(golden("train/attention-matching.json"))) as unknown as Golden;
const inputs = {
  inputIds: tensor(Int32Array.from(ids.flat()), { shape: [ids.length, ids[0].length] }),
  attentionMask: tensor(
    mask.flat().map((bit) => bit === 1),
    { shape: [mask.length, mask[0].length], dtype: "bool" },
  ),
};
/** Sums of as many products as a head is wide, of states that are some layers deep. */
const TOLERANCE = 1e-4;

test.each(Object.entries(scores))("%s: the scores of the last layer are transformers'", async (name, expected) => {
  const task = name.startsWith("models/") ? "feature-extraction" : "causal-lm";
  const model = (await fromPretrained(golden(name), { task })) as EncoderModel | CausalLM;
  const forward = (onAttentionScores?: SeesAttentionScores) =>
    (model.forward({ ...inputs, onAttentionScores }) as { lastHiddenState: Tensor<"f32"> }).lastHiddenState;
  const layers: number[] = [];
  const run = compile((_: object) => {
    let last: Tensor<"f32"> | undefined;
    const states = forward((seen, layer) => {
      layers.push(layer);
      last = seen;
    });
    return { last: last as Tensor<"f32">, states };
  });
  const { last, states } = await run({});
  expect(layers).toEqual([...layers.keys()]);
  const visible = (await last.read()).map((score) => (score === HIDDEN_SCORE ? 0 : score));
  expectClose(name, visible, expected, TOLERANCE);
  expectClose("states", await states.read(), await forward().read(), 0);
  model.dispose();
});
