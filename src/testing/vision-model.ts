/** Small models that read images in messages, for tests of the server. */
import { Generator, type GeneratorOptions, ImageEmbedder } from "../generate/index.ts";
import { fromPretrained } from "../models/index.ts";
import { ImageProcessor } from "../processors/index.ts";
import type { ServedModel } from "../serve/index.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import { goldenModels } from "./golden-model.ts";

/** A tiny random model of golden/pipelines/models, whose answers transformers' pipelines have written down. */
export async function visionModel(
  name: "llava" | "qwen2-vl",
  options?: GeneratorOptions,
): Promise<ServedModel & { dispose(): void }> {
  const folder = `${goldenModels}/../pipelines/models/${name}`;
  const model = await fromPretrained(folder, { task: "image-text-to-text" });
  const tokenizer = await Tokenizer.open(folder);
  const embedder = new ImageEmbedder(model);
  const generator = new Generator(model.languageModel, options);
  const processor = await ImageProcessor.open(folder);
  const dispose = () => {
    generator.dispose();
    embedder.dispose();
    model.dispose();
  };
  return {
    id: name,
    generator,
    tokenizer,
    chatTemplate: tokenizer.chatTemplate,
    images: { embedder, processor },
    dispose,
  };
}
