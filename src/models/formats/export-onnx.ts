/** Models as ONNX files that ONNX Runtime runs alone. What the files of a model are its class says: `onnxParts`. */
import { join } from "#system";
import { checkOptions } from "../../base/index.ts";
import type { ExportOptions } from "../../onnx/index.ts";
import { saveCompanions } from "../companions.ts";
import type { PretrainedModel } from "../model.ts";
import { saveConfigs } from "../save-pretrained.ts";
import type { OnnxPartOptions } from "./onnx-parts/part.ts";

/**
 * How `exportModel` writes its files, and for which size of pictures they are. By default weights of large models stand
 * beside the graph, and pictures have the config's size.
 */
export interface ExportModelOptions extends ExportOptions, OnnxPartOptions {}

/**
 * Writes a model into a folder: model.onnx; of encoder-decoders encoder_model.onnx, decoder_model.onnx for the first
 * tokens, and decoder_with_past_model.onnx for each that follows. Keys and values of the tokens before are inputs and
 * outputs: past_key_values.N.key and present.N.key, or, of encoder-decoders, past_key_values.N.decoder.key and
 * past_key_values.N.encoder.key. Models that read images in a text are vision_encoder.onnx, embed_tokens.onnx and
 * decoder_model_merged.onnx, whose inputs_embeds hold the image_features in their places. Beside them are config.json,
 * generation_config.json and the tokenizer of where the model was loaded from: `fromPretrained` opens the folder again.
 * @returns the names of the ONNX files
 */
export async function exportModel(
  model: PretrainedModel,
  folder: string,
  options: ExportModelOptions = {},
): Promise<string[]> {
  checkOptions("exportModel", options, ["imageSize", "externalData", "names"]);
  const { imageSize, ...fileOptions } = options;
  await saveConfigs(model, folder);
  await saveCompanions(model.source, folder);
  const parts = model.onnxParts({ imageSize });
  const { exportOnnx } = await import("../../onnx/index.ts");
  for (const { file, inputs, forward } of parts)
    await exportOnnx(join(folder, file), forward, inputs, { names: model.namedState(), ...fileOptions });
  return parts.map(({ file }) => file);
}
