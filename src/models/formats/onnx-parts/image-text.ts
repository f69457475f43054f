import { cast, type Tensor } from "../../../tensor/index.ts";
import type { ImageTextModel } from "../../vision-language/vision-language.ts";
import { embeddedCausalLMPart } from "./causal-lm.ts";
import { modelInputs, type OnnxInputs, type OnnxPart, onnxIds } from "./part.ts";

/**
 * vision_encoder.onnx, whose image_features stand in the places of inputs_embeds, which embed_tokens.onnx makes of
 * tokens; and decoder_model_merged.onnx over both.
 * @param positionAxes sizes in front of the positions of tokens: [3] for those in time, height and width
 */
export const imageTextParts = (
  model: ImageTextModel,
  { pictures, positionAxes }: { pictures: OnnxInputs; positionAxes: readonly number[] },
): OnnxPart[] => [
  {
    file: "vision_encoder.onnx",
    inputs: pictures,
    forward: (inputs) => ({
      image_features: model.imageFeatures(modelInputs<{ pixelValues: Tensor<"f32"> }>(inputs)),
    }),
  },
  {
    file: "embed_tokens.onnx",
    inputs: { input_ids: onnxIds() },
    forward: ({ input_ids }) => ({ inputs_embeds: model.languageModel.embed(cast(input_ids, "i32")) }),
  },
  embeddedCausalLMPart(model.languageModel, positionAxes),
];
