/** Recurrent layers and the 2017 Transformer: PyTorch's outputs, states and gradients. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readJson, readSafetensors } from "../files/index.ts";
import { compile, grad, mul, randomKey, sum, type Tensor, tensor } from "../tensor/index.ts";
import { expectClose } from "../testing/close.ts";
import { loadStateDict, Recurrent, type RecurrentConfig, type StateTensor, Transformer } from "./index.ts";

const golden = fileURLToPath(new URL("../../golden/recurrent/", import.meta.url));
const TOLERANCE = 2e-5;
interface Packed {
  shape: number[];
  data: number[];
}
interface Case {
  name: string;
  options: {
    input_size: number;
    hidden_size: number;
    num_layers?: number;
    bias?: boolean;
    bidirectional?: boolean;
    proj_size?: number;
    nonlinearity?: "relu";
  };
  lengths: number[] | null;
  weights: Record<string, Packed>;
  inputs: { x: Packed; h0?: Packed; c0?: Packed };
  outputs: Record<string, Packed>;
  weightings: Record<string, Packed>;
  gradients: Record<string, Packed>;
}
const f32 = ({ shape, data }: Packed) => tensor(Float32Array.from(data), { shape });
const stateOf = (weights: Record<string, Packed>): Map<string, StateTensor> =>
  new Map(
    Object.entries(weights).map(([key, { shape, data }]) => [
      key,
      { dtype: "f32", shape, data: Float32Array.from(data) },
    ]),
  );

describe.each(["rnn", "lstm", "gru"] as const)("%s", async (kind) => {
  const { cases } = (await readJson(join(golden, `${kind}.json`))) as unknown as { cases: Case[] };
  test.each(cases.map((each) => [each.name, each] as const))(
    "%s",
    async (_, { options, lengths, weights, inputs, outputs, weightings, gradients }) => {
      const config: RecurrentConfig = {
        kind,
        inputSize: options.input_size,
        hiddenSize: options.hidden_size,
        numLayers: options.num_layers,
        isBidirectional: options.bidirectional,
        bias: options.bias,
        nonlinearity: options.nonlinearity,
        ...(options.proj_size && { projSize: options.proj_size }),
      };
      const layer = new Recurrent(config, randomKey(0));
      loadStateDict("golden", layer.namedParameters(), stateOf(weights));
      const parameters = layer.namedParameters();
      const feeds = {
        x: f32(inputs.x),
        ...(inputs.h0 && { h0: f32(inputs.h0) }),
        ...(inputs.c0 && { c0: f32(inputs.c0) }),
      };
      const run = compile((tensors: Record<string, Tensor<"f32">>) => {
        const { x, h0, c0 } = tensors;
        const initial = h0 && { h: h0, ...(c0 && { c: c0 }) };
        const { output, state } = layer.forward(x, {
          initial,
          ...(lengths && { lengths: tensor(Int32Array.from(lengths)) }),
        });
        const results: Record<string, Tensor<"f32">> = { output, h_n: state.h, ...(state.c && { c_n: state.c }) };
        const total = Object.entries(weightings)
          .map(([name, weighting]) => sum(mul(results[name], f32(weighting))))
          .reduce((a, b) => a.add(b));
        const wanted: Record<string, Tensor<"f32">> = Object.fromEntries(
          Object.keys(gradients).flatMap((name) => (tensors[name] ? [[name, tensors[name]]] : [])),
        );
        const names = Object.keys(gradients).filter((name) => !wanted[name]);
        const ofParameters = grad(
          total,
          names.map((name) => parameters.get(name) as never),
        ) as Tensor<"f32">[];
        const ofInputs = grad(total, Object.values(wanted)) as Tensor<"f32">[];
        return {
          results,
          gradients: Object.fromEntries([
            ...names.map((name, i) => [name, ofParameters[i]]),
            ...Object.keys(wanted).map((name, i) => [name, ofInputs[i]]),
          ]),
        };
      });
      const result = (await run(feeds as never)) as {
        results: Record<string, Tensor<"f32">>;
        gradients: Record<string, Tensor<"f32">>;
      };
      for (const [name, { data }] of Object.entries(outputs))
        expectClose(name, await result.results[name].read(), data, TOLERANCE);
      for (const [name, { data }] of Object.entries(gradients))
        expectClose(name, await result.gradients[name].read(), data, TOLERANCE);
      run.dispose();
    },
  );
});

test("Transformer: torch.nn.Transformer's outputs", async () => {
  const folder = join(golden, "transformer");
  interface Run {
    inputs: { src: Packed; tgt: Packed };
    masks: Record<string, Packed & { dtype?: string }>;
    outputs?: Record<string, Packed>;
    output?: Packed;
  }
  const { options, runs } = (await readJson(join(folder, "expected.json"))) as unknown as {
    options: Record<string, number>;
    runs: Run[];
  };
  const { tensors } = await readSafetensors(join(folder, "model.safetensors"));
  const config = {
    hiddenSize: options.d_model,
    numHeads: options.nhead,
    numEncoderLayers: options.num_encoder_layers,
    numDecoderLayers: options.num_decoder_layers,
    intermediateSize: options.dim_feedforward,
  };
  const model = new Transformer(config, randomKey(0));
  const state = new Map<string, StateTensor>();
  const parts = { self_attn: "attention", multihead_attn: "cross_attention", linear1: "up", linear2: "down" };
  for (const [name, { shape, data }] of tensors) {
    const isDecoder = name.startsWith("decoder.layers");
    const norms: Record<string, string> = isDecoder
      ? { norm1: "attention_norm", norm2: "cross_norm", norm3: "feed_forward_norm" }
      : { norm1: "attention_norm", norm2: "feed_forward_norm" };
    let key = name.replace("out_proj", "output");
    for (const [theirs, ours] of Object.entries(name.includes(".layers.") ? { ...parts, ...norms } : {}))
      key = key.replace(theirs, ours);
    if (!/in_proj_/.test(key)) {
      state.set(key, { dtype: "f32", shape, data: data as Float32Array });
      continue;
    }
    // torch keeps queries, keys and values in one weight
    const size = data.length / 3;
    for (const [i, part] of ["query", "key", "value"].entries()) {
      const rows = [shape[0] / 3, ...shape.slice(1)];
      state.set(key.replace("in_proj_", `${part}.`), {
        dtype: "f32",
        shape: rows,
        data: (data as Float32Array).slice(i * size, (i + 1) * size),
      });
    }
  }
  loadStateDict("golden", model.namedParameters(), state);
  for (const { inputs, masks, outputs, output } of runs) {
    // numbers that torch adds to scores: there is no such option here
    if (Object.values(masks).some(({ dtype }) => dtype === "f32")) continue;
    // torch's masks are true for what is hidden
    const mask = (name: string) => {
      const packed = masks[name];
      return (
        packed &&
        tensor(
          Uint8Array.from(packed.data, (hidden) => 1 - hidden),
          { dtype: "bool", shape: packed.shape },
        )
      );
    };
    const options = {
      sourceMask: mask("src_key_padding_mask"),
      targetMask: mask("tgt_key_padding_mask"),
      isCausal: false,
      attention: { source: mask("src_mask"), target: mask("tgt_mask"), across: mask("memory_mask") },
    };
    const actual = await model.forward(f32(inputs.src), f32(inputs.tgt), options).read();
    expectClose("output", actual, (output ?? (outputs as { output: Packed }).output).data, 1e-4);
  }
});

test("a sequence of another width is an error", () => {
  const layer = new Recurrent({ kind: "gru", inputSize: 3, hiddenSize: 2 }, randomKey(0));
  expect(() => layer.forward(tensor([[[1, 2]]]))).toThrow(/x \[B, T, 3\]/);
});
