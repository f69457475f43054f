import type { Size } from "../../../ir/index.ts";
import { GrowingCache } from "../../../nn/index.ts";
import { arange, cast, cumsum, flip, gather, max, notEqual, sub, type Tensor, zeros } from "../../../tensor/index.ts";
import type { CausalDecoder } from "../../decoders/causal-decoder.ts";
import {
  BATCH,
  LENGTH,
  type OnnxInputs,
  type OnnxPart,
  type OnnxTensors,
  onnxIds,
  pastInputs,
  pastOf,
  presentOutputs,
} from "./part.ts";

/**
 * model.onnx of a language model. Inputs: ids of the new tokens, the mask of all, positions of the new ones, keys and
 * values of those before. Outputs: logits, and the keys and values with those of the new tokens.
 */
export const causalLMPart = (model: CausalDecoder): OnnxPart => ({
  file: "model.onnx",
  inputs: { input_ids: onnxIds(), ...textInputs(model, []) },
  forward: (inputs) => {
    const positions = cast(inputs.position_ids, "i32"); // [B, T]
    return run(model, inputs, { tokens: cast(inputs.input_ids, "i32"), positions, queryPositions: positions });
  },
});

/**
 * decoder_model_merged.onnx: the same over inputs_embeds, in which pictures have their places among the tokens.
 * @param positionAxes sizes in front of the positions: [3] for those in time, height and width
 */
export const embeddedCausalLMPart = (model: CausalDecoder, positionAxes: readonly number[]): OnnxPart => ({
  file: "decoder_model_merged.onnx",
  inputs: {
    inputs_embeds: { dtype: "f32", shape: [BATCH, LENGTH, model.config.hiddenSize] },
    ...textInputs(model, positionAxes),
  },
  forward: (inputs) => {
    const positions = cast(inputs.position_ids, "i32");
    // positions of pictures are not their places in the text
    const queryPositions = lastOf(placesOf(inputs).keyPositions, positions.shape[positions.rank - 1]);
    return run(model, inputs, {
      tokens: zeros(queryPositions.shape, "i32"),
      embeddings: inputs.inputs_embeds as Tensor<"f32">,
      positions,
      queryPositions,
    });
  },
});

function textInputs(model: CausalDecoder, positionAxes: readonly number[]): OnnxInputs {
  const { numLayers, numKeyHeads, headDim } = model.cacheShape;
  const past = { dtype: "f32", shape: [BATCH, numKeyHeads, "past_sequence_length", headDim] } as const;
  return {
    attention_mask: onnxIds(`past_sequence_length + ${LENGTH}`),
    position_ids: { dtype: "i64", shape: [...positionAxes, BATCH, LENGTH] },
    ...pastInputs(numLayers, { key: past, value: past }),
  };
}

/** Which keys there are, bool [B, P + T], and their places in the text, i32 [B, P + T]. */
function placesOf({ attention_mask }: OnnxTensors): { keyMask: Tensor<"bool">; keyPositions: Tensor<"i32"> } {
  const keyMask = notEqual(attention_mask, 0);
  return { keyMask, keyPositions: sub(cumsum(cast(keyMask, "i32"), { axis: 1 }), 1) };
}

interface NewTokens {
  /** i32 [B, T] */
  tokens: Tensor<"i32">;
  /** What stands for them, [B, T, D]. @default their embeddings */
  embeddings?: Tensor<"f32">;
  positions: Tensor<"i32">;
  /** Their places in the text, i32 [B, T]. */
  queryPositions: Tensor<"i32">;
}

function run(
  model: CausalDecoder,
  inputs: OnnxTensors,
  { tokens, queryPositions, ...options }: NewTokens,
): OnnxTensors {
  const past = pastOf(inputs, "", model.cacheShape.numLayers);
  const cache = new GrowingCache(past, { queryPositions, ...placesOf(inputs) });
  const hidden = model.hidden(tokens, { ...options, cache });
  return { logits: model.logits(hidden), ...presentOutputs("", cache.layers) };
}

/** The last entries of rows: [B, N] -> [B, length] */
function lastOf(rows: Tensor<"i32">, length: Size): Tensor<"i32"> {
  const last = max(arange(rows.shape[1]));
  return gather(rows, sub(last, flip(arange(length))) as Tensor<"i32">, 1);
}
