/** Parameters with settings of their own. */
import { describe, expect, test } from "vitest";
import { Parameter } from "../nn/index.ts";
import { compile, tensor } from "../tensor/index.ts";
import { AdamW, decayExcept, layerwiseLearningRates, Muon, NAdam, type Optimizer, Sgd } from "./index.ts";

const parametersOf = (...keys: string[]) =>
  new Map(keys.map((key) => [key, new Parameter([2, 2], new Float32Array(4).fill(1))]));

/** The parameters after a step whose gradients are all 1. */
async function stepped(optimizer: Optimizer, learningRate = 0.5): Promise<Record<string, number>> {
  const gradient = tensor(new Float32Array(4).fill(1), { shape: [2, 2] });
  const step = compile(() =>
    optimizer.update(
      [...optimizer.parameters].map(() => gradient),
      { learningRate },
    ),
  );
  await step();
  const entries = [...optimizer.parameters].map(async ([key, value]) => [
    key,
    Number((await value.read())[0].toFixed(4)),
  ]);
  return Object.fromEntries(await Promise.all(entries));
}

describe("groups", () => {
  test("have a rate, settings and decay of their own; the first that means a parameter has it", async () => {
    const parameters = parametersOf("body.weight", "body.bias", "head.weight");
    const groups = [
      { name: "head", matches: "head.*", learningRateMultiplier: 2, weightDecay: 0 },
      { name: "weights", matches: /weight$/, momentum: 0.5 },
    ];
    const optimizer = new Sgd(parameters, { weightDecay: 1, decays: decayExcept("*.bias"), groups });
    expect([...optimizer.state.keys()]).toEqual(["body.weight.momentum"]);
    expect(await stepped(optimizer)).toEqual({ "body.weight": 0, "body.bias": 0.5, "head.weight": 0 });
  });

  test("a group may say which of its parameters decay", async () => {
    const groups = [{ name: "all", matches: /./, decays: () => false }];
    expect(await stepped(new Sgd(parametersOf("w"), { weightDecay: 1, groups }))).toEqual({ w: 0.5 });
  });

  test("what is wrong with one is said with its name", () => {
    const create = (group: object) => () =>
      new AdamW(parametersOf("w"), { groups: [{ name: "g", ...group } as never] });
    expect(create({ matches: "x" })).toThrow('AdamW: expected a parameter in group "g"; received none of w');
    expect(create({ matches: "w", momentum: 1 })).toThrow('AdamW, group "g": expected one of the options');
    expect(create({ matches: "w", betas: [0.9, 2] })).toThrow('AdamW, group "g": expected two betas from 0 to below 1');
    expect(create({ matches: "w", learningRateMultiplier: -1 })).toThrow("learningRateMultiplier of at least 0");
    expect(create({ matches: "w", stateBits: 4 })).toThrow('group "g": expected stateBits to be 8 or 32; received 4');
  });
});

describe("learning rates by layer", () => {
  const bert = ["embeddings.word.weight", "encoder.layer.0.weight", "encoder.layer.1.weight", "pooler.weight"];
  const vit = ["cls_token", "vit.position_embeddings", "blocks.0.w", "blocks.10.w", "blocks.2.w", "norm.weight"];
  const ratesOf = (keys: string[], decay: number, options = {}) => {
    const groups = layerwiseLearningRates(parametersOf(...keys), { decay, ...options });
    return stepped(new Sgd(parametersOf(...keys), { groups }), 1);
  };

  test("fall from the head to the embeddings", async () => {
    expect(await ratesOf(bert, 0.5)).toEqual({
      ...{ [bert[0]]: 1 - 0.125, [bert[1]]: 1 - 0.25, [bert[2]]: 1 - 0.5, [bert[3]]: 0 },
    });
    const falls = await ratesOf(vit, 0.9);
    const expected = [12, 12, 11, 1, 9, 0].map((power) => 1 - 0.9 ** power);
    expect(Object.values(falls)).toEqual(expected.map((value) => expect.closeTo(value, 3)));
  });

  test("by a pattern of one's own", async () => {
    expect(
      await ratesOf(["stem.w", "stage3.w", "stage4.w"], 0.5, { layer: /stage(\d)/g, embeddings: "stem*" }),
    ).toEqual({
      ...{ "stem.w": expect.closeTo(1 - 0.5 ** 6, 4), "stage3.w": 0.75, "stage4.w": 0.5 },
    });
    expect(() => layerwiseLearningRates(parametersOf("w"), { decay: 0.5 })).toThrow(
      "expected keys with a layer's number",
    );
    expect(() => layerwiseLearningRates(parametersOf("h.0.w"), { decay: 2 })).toThrow("decay above 0 and at most 1");
  });
});

test("options that make no optimizer are refused", () => {
  const refused: [() => unknown, string][] = [
    [() => new Sgd(parametersOf("w"), { nesterov: true }), "Sgd: expected momentum above 0 and no dampening"],
    [() => new Sgd(parametersOf("w"), { nesterov: 1 as never }), "expected nesterov to be true or false; received 1"],
    [() => new NAdam(parametersOf("w"), { momentumDecay: -1 }), "NAdam: expected momentumDecay of at least 0"],
    [() => new Muon(parametersOf("w"), { newtonSchulzSteps: 100 }), "Muon: expected newtonSchulzSteps below 100"],
    [() => new Muon(parametersOf("w"), { adjustment: "none" as never }), 'adjustment to be "original" or "matchAdamW"'],
    [() => new Muon(parametersOf("w"), { coefficients: [1, 2] as never }), "coefficients to be three numbers"],
    [() => new Muon(parametersOf("w"), { beta: 1 } as never), "Muon: expected one of the options"],
    [
      () => new Muon(new Map([["v", new Parameter([3], new Float32Array(3))]]), { matrices: "v" }),
      "Muon: expected matrices of 2 axes; received v [3]",
    ],
  ];
  for (const [call, message] of refused) expect(call).toThrow(message);
});
