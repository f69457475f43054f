import { describe, expect, test } from "vitest";
import { type BlockMatrix, type BlockSource, ShapeError } from "../base/index.ts";
import { add, compile, grad, matmul, mul, normal, randomKey, sum, type Tensor, tensor } from "../tensor/index.ts";
import { expectClose } from "../testing/close.ts";
import {
  Embedding,
  type EmbeddingTable,
  Linear,
  Module,
  mapModules,
  mapParameters,
  namedModules,
  normalInit,
  Parameter,
  Projection,
  useBlocks,
} from "./index.ts";

const [D, F, V] = [64, 32, 7];

/** x Wᵀ + b of a frozen layer, and B A x beside it. Hu et al. 2021, arXiv:2106.09685. */
class LowRankAdapter extends Projection {
  readonly base: Projection;
  readonly a: Parameter; // [r, D]
  readonly b: Parameter; // [F, r]

  constructor(base: Projection, rank: number) {
    super();
    this.base = base;
    this.a = new Parameter([rank, base.inFeatures], normal(randomKey(11), [rank, base.inFeatures]));
    this.b = new Parameter([base.outFeatures, rank], normal(randomKey(12), [base.outFeatures, rank]));
  }

  get inFeatures(): number {
    return this.base.inFeatures;
  }

  get outFeatures(): number {
    return this.base.outFeatures;
  }

  matrix(): Tensor<"f32"> {
    return add(this.base.matrix(), matmul(this.b.value, this.a.value));
  }

  forward(x: Tensor<"f32">): Tensor<"f32"> {
    const low = matmul(x, this.a.value, { transposeB: true });
    return add(this.base.forward(x), matmul(low, this.b.value, { transposeB: true }));
  }
}

class Model extends Module {
  readonly embed: EmbeddingTable; //   [V, D]
  readonly layers: Projection[]; //    [D, D], [F, D]
  readonly again: Projection; //       the first of them
  protected override readonly checkpointKeys = { embed: "tokens" };

  constructor() {
    super();
    const layer = (outFeatures: number, seed: number) =>
      new Linear({ inFeatures: D, outFeatures, bias: false, init: normalInit(0.1) }, randomKey(seed));
    this.embed = new Embedding({ numEmbeddings: V, embeddingDim: D }, randomKey(1));
    this.layers = [layer(D, 2), layer(F, 3)];
    this.again = this.layers[0];
  }

  forward(ids: Tensor<"i32">): Tensor<"f32"> {
    const x = this.layers[0].forward(this.embed.forward(ids));
    return this.layers[1].forward(this.again.forward(x));
  }
}

const ids = () => tensor([[1, 6, 2]], { dtype: "i32" });
const linear = (inFeatures: number, outFeatures: number) => new Linear({ inFeatures, outFeatures }, randomKey(5));

describe("mapModules", () => {
  test("names modules by their checkpoint paths, once, outer ones first", () => {
    expect([...namedModules(new Model())].map(([path]) => path)).toEqual(["", "tokens", "layers.0", "layers.1"]);
  });

  test("puts a module in all places that hold it, and does not look inside of it", () => {
    const model = new Model();
    const [first] = model.layers;
    const paths: string[] = [];
    mapModules(model, (path, module) => {
      paths.push(path);
      return module instanceof Projection ? new LowRankAdapter(module, 2) : undefined;
    });
    expect(paths).toEqual(["tokens", "layers.0", "layers.1"]);
    expect(model.layers[0]).toBeInstanceOf(LowRankAdapter);
    expect(model.again).toBe(model.layers[0]);
    expect((model.again as LowRankAdapter).base).toBe(first);
    expect([...model.namedState().keys()]).toEqual(
      ["tokens.weight"].concat(["layers.0.", "layers.1."].flatMap((p) => [`${p}base.weight`, `${p}a`, `${p}b`])),
    );
  });

  test.each([
    ["layers.1", linear(D, F + 1), /layers\.1: expected a projection 64 -> 32; received a projection 64 -> 33/],
    ["layers.1", new Embedding({ numEmbeddings: F, embeddingDim: D }, randomKey(1)), /received a table of 32 vectors/],
    ["tokens", linear(V, D), /tokens: expected a table of 7 vectors of 64; received a projection 7 -> 64/],
  ])("refuses for %s what does not fit, and changes nothing", (path, replacement, message) => {
    const model = new Model();
    const before = [model.embed, ...model.layers];
    const replace = () =>
      mapModules(model, (at) => (at === path ? replacement : at === "layers.0" ? linear(D, D) : undefined));
    expect(replace).toThrow(ShapeError);
    expect(replace).toThrow(message);
    expect([model.embed, ...model.layers]).toEqual(before);
  });

  test("mapParameters exchanges a parameter in all places, and refuses another shape", () => {
    const model = new Model();
    mapParameters(model, (path, { shape }) =>
      path === "layers.0.weight" ? new Parameter<"f32">(shape, new Float32Array(D * D), { stored: "f16" }) : undefined,
    );
    expect((model.again as Linear).weight.stored).toBe("f16");
    expect((model.layers[1] as Linear).weight.stored).toBe("f32");
    expect(() => mapParameters(model, () => new Parameter([1], Float32Array.of(0)))).toThrow(
      /tokens\.weight: expected a parameter \[7, 64\]; received \[1\]/,
    );
  });
});

/** Blocks of integers of `bits`, and the numbers that they stand for. */
function blocksFor(shape: readonly number[], bits: 4 | 8): { source: BlockSource; numbers: Float32Array } {
  const [count, blockSize, zero] = [shape[0] * shape[1], 32, 2 ** (bits - 1)];
  const integers = Uint8Array.from({ length: count }, (_, i) => (i * 37 + (i >> 3) * 11) % 2 ** bits);
  const scales = Float32Array.from({ length: count / blockSize }, (_, i) => (0.2 + (i % 5) / 20) / 2 ** bits);
  const bytes =
    bits === 8
      ? integers
      : Uint8Array.from({ length: count / 2 }, (_, i) => integers[2 * i] | (integers[2 * i + 1] << 4));
  const pack = ({ packed, scales: into }: BlockMatrix, first: number) => {
    packed.set(bytes, (first * bits) / 8);
    into.set(scales, first / blockSize);
  };
  const numbers = Float32Array.from(integers, (q, i) => (q - zero) * scales[Math.floor(i / blockSize)]);
  return { source: { kind: { bits, blockSize, zero, hasMinimums: false }, pack }, numbers };
}

const adapted = (model: Model): Model => {
  mapModules(model, (_, module) => (module instanceof Projection ? new LowRankAdapter(module, 2) : undefined));
  return model;
};
const adapters = (model: Model): Parameter[] =>
  [...model.namedParameters()].filter(([key]) => /\.[ab]$/.test(key)).map(([, parameter]) => parameter);

/** Gradients of what is around a frozen base, and those over the same base in f32. */
async function compareGradients(base: Model, wide: Model, tolerance: number): Promise<void> {
  const gradientsOf = (model: Model) =>
    compile((tokens: Tensor<"i32">) => {
      const y = model.forward(tokens);
      return grad(sum(mul(y, y)), adapters(model));
    })(ids());
  const [gradients, expected] = [await gradientsOf(adapted(base)), await gradientsOf(adapted(wide))];
  expect(gradients).toHaveLength(4);
  for (const [i, gradient] of gradients.entries()) {
    const reference = await expected[i].read();
    const largest = reference.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    const scaled = (numbers: Float32Array) => numbers.map((x) => x / largest);
    expectClose(`gradient ${i}`, scaled(await gradient.read()), scaled(reference), tolerance);
  }
}

describe("adapters over a frozen base have the gradients that they have over the base in f32", () => {
  test.each(["bf16", "f16"] as const)("stored in %s", async (stored) => {
    const [base, wide] = [new Model(), new Model()];
    const kept = new Map<string, Parameter>();
    for (const [key, { shape, value }] of base.namedParameters())
      kept.set(key, new Parameter<"f32">(shape, value, { stored }));
    mapParameters(base, (key) => kept.get(key));
    for (const [key, parameter] of wide.namedParameters()) parameter.set(await (kept.get(key) as Parameter).read());
    await compareGradients(base, wide, 1e-5);
  });

  test.each([
    [4, "f32", 1e-5],
    [8, "f32", 1e-5],
    [4, "int8", 0.03],
  ] as const)("in blocks of %i bits, activations in %s", async (bits, activations, tolerance) => {
    const [base, wide] = [new Model(), new Model()];
    const blocks = new Map(
      [...wide.namedParameters()].map(([key, { shape }]) => [key, blocksFor(shape, bits)] as const),
    );
    useBlocks(base, (key) => blocks.get(key)?.source, { activations });
    for (const [key, parameter] of wide.namedParameters())
      parameter.set((blocks.get(key) as { numbers: Float32Array }).numbers);
    await compareGradients(base, wide, tolerance);
  });
});

test("through inputs that are rounded to 8 bits a gradient passes as if they were not: dy W, in f32", async () => {
  const model = new Model();
  const { source, numbers } = blocksFor([F, D], 4);
  useBlocks(model, (key) => (key === "layers.1.weight" ? source : undefined), { activations: "int8" });
  const [x, dy] = [normal(randomKey(7), [3, D]), normal(randomKey(8), [3, F])];
  const [dx] = grad(sum(mul(model.layers[1].forward(x), dy)), [x]);
  expectClose("dx", await dx.read(), await matmul(dy, tensor(numbers, { shape: [F, D] })).read(), 1e-4);
});
