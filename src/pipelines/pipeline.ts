import { DataError, nearest, OptionError } from "../ir/index.ts";
import {
  type BlipForConditionalGeneration,
  type ClipModel,
  fromPretrained,
  type ImageClassifier,
  type ImageTextModel,
  type LoadOptions,
  localPath,
  type ObjectDetector,
  type PretrainedModel,
  type SemanticSegmenter,
} from "../models/index.ts";
import { ImageProcessor } from "../processors/index.ts";
import { readChatTemplate, TextTokenizer } from "../tokenizers/index.ts";
import { FeatureExtractionPipeline } from "./feature-extraction.ts";
import { FillMaskPipeline } from "./fill-mask.ts";
import { Text2TextPipeline, TextGenerationPipeline } from "./generation.ts";
import { ImageTextToTextPipeline, ImageToTextPipeline } from "./image-text.ts";
import { QuestionAnsweringPipeline } from "./question-answering.ts";
import { SpeechRecognitionPipeline } from "./speech.ts";
import { TextClassificationPipeline, ZeroShotClassificationPipeline } from "./text-classification.ts";
import { TokenClassificationPipeline } from "./token-classification.ts";
import { ImageClassificationPipeline, ImageSegmentationPipeline, ObjectDetectionPipeline, ZeroShotImageClassificationPipeline } from "./vision.ts";

export interface PipelineOptions extends Omit<LoadOptions, "task" | "head"> {
  /** A model's folder or repository with the tokenizer. @default the model's */
  tokenizer?: string;
  /** A folder or repository with preprocessor_config.json. @default the model's */
  processor?: string;
}

const openTokenizer = async (name: string, { hub }: PipelineOptions) => TextTokenizer.open(await localPath(name, hub));
const openProcessor = async (name: string, { hub }: PipelineOptions) => ImageProcessor.open(await localPath(name, hub));

const text2text =
  <T extends "text2text-generation" | "summarization" | "translation">(task: T) =>
  async (model: string, { tokenizer = model, ...options }: PipelineOptions) =>
    new Text2TextPipeline(await fromPretrained(model, { ...options, task: "seq2seq-lm" }), await openTokenizer(tokenizer, options), task);

/** How each pipeline is made. */
const makers = {
  "text-classification": async (model: string, { tokenizer = model, ...options }: PipelineOptions) =>
    new TextClassificationPipeline(await fromPretrained(model, { ...options, task: "sequence-classification" }), await openTokenizer(tokenizer, options)),
  "zero-shot-classification": async (model: string, { tokenizer = model, ...options }: PipelineOptions) =>
    new ZeroShotClassificationPipeline(await fromPretrained(model, { ...options, task: "sequence-classification" }), await openTokenizer(tokenizer, options)),
  "token-classification": async (model: string, { tokenizer = model, ...options }: PipelineOptions) =>
    new TokenClassificationPipeline(await fromPretrained(model, { ...options, task: "token-classification" }), await openTokenizer(tokenizer, options)),
  "question-answering": async (model: string, { tokenizer = model, ...options }: PipelineOptions) =>
    new QuestionAnsweringPipeline(await fromPretrained(model, { ...options, task: "question-answering" }), await openTokenizer(tokenizer, options)),
  "fill-mask": async (model: string, { tokenizer = model, ...options }: PipelineOptions) =>
    new FillMaskPipeline(await fromPretrained(model, { ...options, task: "masked-lm" }), await openTokenizer(tokenizer, options)),
  "feature-extraction": async (model: string, { tokenizer = model, ...options }: PipelineOptions) =>
    new FeatureExtractionPipeline(await fromPretrained(model, { ...options, task: "feature-extraction" }), await openTokenizer(tokenizer, options)),
  "text-generation": async (model: string, { tokenizer = model, ...options }: PipelineOptions) => {
    const folder = await localPath(tokenizer, options.hub);
    const made = await fromPretrained(model, { ...options, task: "causal-lm" });
    return new TextGenerationPipeline(made, await TextTokenizer.open(folder), await readChatTemplate(folder));
  },
  "text2text-generation": text2text("text2text-generation"),
  summarization: text2text("summarization"),
  translation: text2text("translation"),
  "automatic-speech-recognition": async (model: string, { tokenizer = model, ...options }: PipelineOptions) =>
    new SpeechRecognitionPipeline(await fromPretrained(model, { ...options, task: "speech-seq2seq" }), await openTokenizer(tokenizer, options)),
  "image-classification": async (model: string, { processor = model, ...options }: PipelineOptions) =>
    new ImageClassificationPipeline(
      (await fromPretrained(model, { ...options, task: "image-classification" })) as ImageClassifier,
      await openProcessor(processor, options),
    ),
  "zero-shot-image-classification": async (model: string, { tokenizer = model, processor = model, ...options }: PipelineOptions) =>
    new ZeroShotImageClassificationPipeline(
      (await fromPretrained(model, { ...options, task: "zero-shot-image-classification" })) as ClipModel,
      await openTokenizer(tokenizer, options),
      await openProcessor(processor, options),
    ),
  "object-detection": async (model: string, { processor = model, ...options }: PipelineOptions) =>
    new ObjectDetectionPipeline(
      (await fromPretrained(model, { ...options, task: "object-detection" })) as ObjectDetector,
      await openProcessor(processor, options),
    ),
  "image-segmentation": async (model: string, { processor = model, ...options }: PipelineOptions) =>
    new ImageSegmentationPipeline(
      (await fromPretrained(model, { ...options, task: "semantic-segmentation" })) as SemanticSegmenter,
      await openProcessor(processor, options),
    ),
  "image-to-text": async (model: string, { tokenizer = model, processor = model, ...options }: PipelineOptions) =>
    new ImageToTextPipeline(
      await fromPretrained(model, { ...options, task: "image-to-text" }),
      await openTokenizer(tokenizer, options),
      await openProcessor(processor, options),
    ),
  "image-text-to-text": async (model: string, { tokenizer = model, processor = model, ...options }: PipelineOptions) => {
    const folder = await localPath(tokenizer, options.hub);
    const made = (await fromPretrained(model, options)) as ImageTextModel | BlipForConditionalGeneration;
    if (made.task !== "image-text-to-text" && made.task !== "image-to-text") {
      const { architecture: received } = made as PretrainedModel;
      throw new DataError({ where: model, expected: "a model that reads images and writes", received, fix: "use another model or task" });
    }
    return new ImageTextToTextPipeline(made, await TextTokenizer.open(folder), await openProcessor(processor, options), await readChatTemplate(folder));
  },
} as const;
const aliases = { "sentiment-analysis": "text-classification", ner: "token-classification" } as const;

export type PipelineTask = keyof typeof makers | keyof typeof aliases;
type Resolved<T extends PipelineTask> = T extends keyof typeof aliases ? (typeof aliases)[T] : T;
export type PipelineFor<T extends PipelineTask> = Awaited<ReturnType<(typeof makers)[Resolved<T> & keyof typeof makers]>>;

/**
 * A model with all that its task needs around it, as transformers' pipelines, and with their result fields. `model` is a folder or a
 * repository such as "owner/name".
 * @throws OptionError for a task that is not known
 *
 * @example
 * const feelings = await pipeline("text-classification", "golden/pipelines/models/bert-sequence-classification");
 * (await feelings.run("It was a dark and stormy night."))[0].label; // "glad"
 * feelings.dispose();
 */
export async function pipeline<T extends PipelineTask>(task: T, model: string, options: PipelineOptions = {}): Promise<PipelineFor<T>> {
  const name = Object.hasOwn(aliases, task) ? aliases[task as keyof typeof aliases] : task;
  if (!Object.hasOwn(makers, name)) {
    const known = [...Object.keys(makers), ...Object.keys(aliases)];
    const near = nearest(task, known);
    throw new OptionError({
      where: "pipeline",
      expected: `one of ${known.join(", ")}`,
      received: task,
      fix: near ? `did you mean "${near}"?` : "choose one of them",
    });
  }
  const folder = await localPath(model, options.hub); // once, also for the tokenizer and the processor
  return makers[name as keyof typeof makers](folder, options) as Promise<PipelineFor<T>>;
}
