import { addSizes } from "../../../ir/index.ts";
import { GrowingCache, type KeysAndValues, mergeHeads, splitHeads } from "../../../nn/index.ts";
import type { OnnxInput } from "../../../onnx/index.ts";
import { arange, broadcastTo, cast, greaterEqual, max, notEqual, type Tensor, zeros } from "../../../tensor/index.ts";
import type { EncoderDecoder } from "../../seq2seq/encoder-decoder.ts";
import {
  BATCH,
  modelInputs,
  type OnnxInputs,
  type OnnxPart,
  type OnnxTensors,
  onnxIds,
  pastInputs,
  pastOf,
  presentOutputs,
} from "./part.ts";

const SOURCE = "encoder_sequence_length";

/** Texts that an encoder reads, as inputs of it. */
export const sourceTexts: OnnxInputs = { input_ids: onnxIds(SOURCE), attention_mask: onnxIds(SOURCE) };

/** What the files of an encoder-decoder need to know of it beside what generation does. */
export interface EncoderDecoderLayout {
  encoderInputs: OnnxInputs;
  /** Width of the encoder's states. */
  encoderWidth: number;
}

/**
 * encoder_model.onnx; decoder_model.onnx over the first tokens; and decoder_with_past_model.onnx over one more token,
 * after the keys and values of those before, past_key_values.N.decoder.key, and of the encoder,
 * past_key_values.N.encoder.key.
 */
export function encoderDecoderParts(
  model: EncoderDecoder,
  { encoderInputs, encoderWidth }: EncoderDecoderLayout,
): OnnxPart[] {
  const { numLayers, numKeyHeads: numHeads, headDim } = model.cacheShape;
  const mask: OnnxInputs = "attention_mask" in encoderInputs ? { encoder_attention_mask: onnxIds(SOURCE) } : {};
  const layer = (length: string): OnnxInput => ({ dtype: "f32", shape: [BATCH, numHeads, length, headDim] });
  const [past, across] = [layer("past_sequence_length"), layer(SOURCE)];
  return [
    {
      file: "encoder_model.onnx",
      inputs: encoderInputs,
      forward: (inputs) => ({ last_hidden_state: model.encode(modelInputs(inputs)) }),
    },
    {
      file: "decoder_model.onnx",
      inputs: {
        input_ids: onnxIds(),
        encoder_hidden_states: { dtype: "f32", shape: [BATCH, SOURCE, encoderWidth] },
        ...mask,
      },
      forward: (inputs) => decodeFirst(model, inputs),
    },
    {
      file: "decoder_with_past_model.onnx",
      inputs: {
        input_ids: { dtype: "i64", shape: [BATCH, 1] },
        ...mask,
        ...pastInputs(numLayers, {
          "decoder.key": past,
          "decoder.value": past,
          "encoder.key": across,
          "encoder.value": across,
        }),
      },
      forward: (inputs) => {
        const encoderKeysAndValues = mapBoth(pastOf(inputs, "encoder.", numLayers), mergeHeads);
        return decode(model, inputs, pastOf(inputs, "decoder.", numLayers), encoderKeysAndValues);
      },
    },
  ];
}

const mapBoth = (layers: readonly KeysAndValues[], turn: (x: Tensor<"f32">) => Tensor<"f32">): KeysAndValues[] =>
  layers.map(({ k, v }) => ({ k: turn(k), v: turn(v) }));

/** The first tokens, before which there are none; the encoder's keys and values are results too. */
function decodeFirst(model: EncoderDecoder, inputs: OnnxTensors): OnnxTensors {
  const { numKeyHeads: numHeads } = model.cacheShape;
  const across = model.crossKeysAndValues(inputs.encoder_hidden_states as Tensor<"f32">);
  const byHead = mapBoth(across, (x) => splitHeads(x, numHeads)); // [B, H, S, Dh]
  const [batch, , , headDim] = byHead[0].k.shape;
  const nothing = zeros([batch, numHeads, 0, headDim]);
  const past = across.map(() => ({ k: nothing, v: nothing }));
  return { ...decode(model, inputs, past, across), ...presentOutputs("encoder.", byHead) };
}

/** The new tokens after `past`; `across` are the encoder's keys and values, [B, S, H Dh]. */
function decode(
  model: EncoderDecoder,
  inputs: OnnxTensors,
  past: readonly KeysAndValues[],
  across: readonly KeysAndValues[],
): OnnxTensors {
  const inputIds = cast(inputs.input_ids, "i32");
  const [batch, length] = inputIds.shape;
  const keys = addSizes(past[0].k.shape[2], length);
  const keyPositions = broadcastTo(arange(keys), [batch, keys]);
  const isFirst = past[0].k.shape[2] === 0;
  // all, or the one new token's
  const queryPositions = isFirst ? keyPositions : (max(keyPositions, { axes: 1, keepDims: true }) as Tensor<"i32">);
  const encoderMask = inputs.encoder_attention_mask && notEqual(inputs.encoder_attention_mask, 0);
  const keyMask = greaterEqual(keyPositions, 0);
  const cache = new GrowingCache(past, { queryPositions, keyPositions, keyMask });
  const hidden = model.decode(inputIds, { encoderKeysAndValues: across, encoderMask, cache });
  return { logits: model.logits(hidden), ...presentOutputs("decoder.", cache.layers) };
}
