import { checkOptions, DataError, listedNames, nearest, OptionError } from "../base/index.ts";
import type { Folder, StoredFile } from "../files/index.ts";
import { openFolder, openPlace } from "../hub/index.ts";
import {
  type BlipForConditionalGeneration,
  fromPretrained,
  type ImageClassifier,
  ImageTextModel,
  type LoadOptions,
  loadOptionNames,
  type PretrainedModel,
  type TaskModels,
} from "../models/index.ts";
import { ImageProcessor, requireWhisperFeatures } from "../processors/index.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import { FeatureExtractionPipeline } from "./feature-extraction.ts";
import { FillMaskPipeline } from "./fill-mask.ts";
import { Text2TextPipeline, TextGenerationPipeline } from "./generation.ts";
import { ImageTextToTextPipeline, ImageToTextPipeline } from "./image-text.ts";
import { QuestionAnsweringPipeline } from "./question-answering.ts";
import { SpeechRecognitionPipeline } from "./speech.ts";
import { TextClassificationPipeline, ZeroShotClassificationPipeline } from "./text-classification.ts";
import { TokenClassificationPipeline } from "./token-classification.ts";
import {
  ImageClassificationPipeline,
  ImageSegmentationPipeline,
  ObjectDetectionPipeline,
  ZeroShotImageClassificationPipeline,
} from "./vision.ts";

type OtherOption = "task" | "head" | "subfolder";
/** Where a pipeline's parts are, when not beside its model, and how its model is loaded. */
export interface PipelineOptions extends Omit<LoadOptions, OtherOption> {
  /** A model's folder, address or repository with the tokenizer. @default the model's */
  tokenizer?: string | Folder | StoredFile;
  /** A folder, address or repository with preprocessor_config.json. @default the model's */
  processor?: string | Folder;
}
const otherOptions: readonly string[] = ["task", "head", "subfolder"] satisfies OtherOption[];
const optionNames = ["tokenizer", "processor", ...loadOptionNames.filter((name) => !otherOptions.includes(name))];

/** Where a model's files are, once for the model, its tokenizer and its processor. */
type Place = Folder | StoredFile;

const openProcessor = (place: string | Place, { hub, cache }: PipelineOptions) =>
  ImageProcessor.open(place as string | Folder, { hub, cache });

/** The tokenizer in a folder or file, for a model. @throws DataError when it has tokens that the model has not */
async function tokenizerFor(
  model: PretrainedModel,
  place: string | Place,
  { hub, cache }: PipelineOptions,
): Promise<Tokenizer> {
  const tokenizer = await Tokenizer.open(place, { hub, cache });
  const config = (model instanceof ImageTextModel ? model.languageModel.config : model.config) as {
    vocabSize?: number;
    text?: { vocabSize: number };
  };
  const { vocabSize = config.text?.vocabSize ?? Number.POSITIVE_INFINITY } = config;
  if (tokenizer.vocabSize <= vocabSize) return tokenizer;
  const fix = "use the tokenizer that the model was trained with";
  throw new DataError({
    where: typeof place === "string" ? place : place.name,
    expected: `a tokenizer of at most the model's ${vocabSize} tokens`,
    received: `one of ${tokenizer.vocabSize}`,
    fix,
  });
}

/** Makes a pipeline of a model and a tokenizer. */
const withText =
  <T extends keyof TaskModels, P>(task: T, make: (model: TaskModels[T], tokenizer: Tokenizer) => P) =>
  async (name: Place, { tokenizer = name, ...options }: PipelineOptions): Promise<P> => {
    const model = await fromPretrained(name, { ...options, task });
    return make(model, await tokenizerFor(model as PretrainedModel, tokenizer, options));
  };
/** Makes a pipeline of a model and a processor of pictures. */
const withImages =
  <T extends keyof TaskModels, P>(task: T, make: (model: TaskModels[T], processor: ImageProcessor) => P) =>
  async (name: Place, { processor = name as Folder, ...options }: PipelineOptions): Promise<P> =>
    make(await fromPretrained(name, { ...options, task }), await openProcessor(processor, options));
/** Makes a pipeline of a model, a tokenizer and a processor of pictures. */
const withTextAndImages =
  <M extends PretrainedModel, P>(
    load: (name: Place, options: LoadOptions) => Promise<M>,
    make: (model: M, tokenizer: Tokenizer, processor: ImageProcessor) => P,
  ) =>
  async (name: Place, { tokenizer = name, processor = name as Folder, ...options }: PipelineOptions): Promise<P> => {
    const model = await load(name, options);
    return make(model, await tokenizerFor(model, tokenizer, options), await openProcessor(processor, options));
  };

/** @throws DataError for a model that writes nothing about pictures */
async function loadImageReader(
  name: Place,
  options: LoadOptions,
): Promise<ImageTextModel | BlipForConditionalGeneration> {
  const model = (await fromPretrained(name, options)) as PretrainedModel;
  if (model.task === "image-text-to-text" || model.task === "image-to-text")
    return model as ImageTextModel | BlipForConditionalGeneration;
  throw new DataError({
    where: name.name,
    expected: "a model that reads images and writes",
    received: model.architecture,
    fix: "use another model or task",
  });
}

const text2text = <T extends "text2text-generation" | "summarization" | "translation">(task: T) =>
  withText("seq2seq-lm", (model, tokenizer) => new Text2TextPipeline(model, tokenizer, task));

/** How each pipeline is made. */
const makers = {
  /** Classes of texts: sentiment, topic, whether two texts mean the same. */
  "text-classification": withText(
    "sequence-classification",
    (model, tokenizer) => new TextClassificationPipeline(model, tokenizer),
  ),
  /** Classes that are named when asking, by a model of natural language inference. */
  "zero-shot-classification": withText(
    "sequence-classification",
    (model, tokenizer) => new ZeroShotClassificationPipeline(model, tokenizer),
  ),
  /** Classes of the tokens of texts, such as names of people and places. */
  "token-classification": withText(
    "token-classification",
    (model, tokenizer) => new TokenClassificationPipeline(model, tokenizer),
  ),
  /** Answers that stand word for word in a text. */
  "question-answering": withText(
    "question-answering",
    (model, tokenizer) => new QuestionAnsweringPipeline(model, tokenizer),
  ),
  /** Words for the places of the mask token. */
  "fill-mask": withText("masked-lm", (model, tokenizer) => new FillMaskPipeline(model, tokenizer)),
  /** States of each token of texts. */
  "feature-extraction": withText(
    "feature-extraction",
    (model, tokenizer) => new FeatureExtractionPipeline(model, tokenizer),
  ),
  /** Continuations of texts, and answers in chats. */
  "text-generation": async (model: Place, { tokenizer = model, ...options }: PipelineOptions) => {
    const pretrained = await fromPretrained(model, { ...options, task: "causal-lm" });
    return new TextGenerationPipeline(pretrained, await tokenizerFor(pretrained, tokenizer, options));
  },
  /** Texts for texts, by an encoder-decoder. */
  "text2text-generation": text2text("text2text-generation"),
  /** Summaries, by an encoder-decoder. */
  summarization: text2text("summarization"),
  /** Translations, by an encoder-decoder. */
  translation: text2text("translation"),
  /** What is said in sounds. */
  "automatic-speech-recognition": async (
    model: Place,
    { processor = model as Folder, ...options }: PipelineOptions,
  ) => {
    const parts = await withText("speech-seq2seq", (speech, tokenizer) => ({ speech, tokenizer }))(model, options);
    await requireWhisperFeatures(await openFolder(processor, options), parts.speech.config);
    return new SpeechRecognitionPipeline(parts.speech, parts.tokenizer);
  },
  /** Classes of pictures. */
  "image-classification": withImages(
    "image-classification",
    (model, processor) => new ImageClassificationPipeline(model as ImageClassifier, processor),
  ),
  /** Objects in pictures, with their boxes. */
  "object-detection": withImages(
    "object-detection",
    (model, processor) => new ObjectDetectionPipeline(model, processor),
  ),
  /** The class of each place of pictures. */
  "image-segmentation": withImages(
    "semantic-segmentation",
    (model, processor) => new ImageSegmentationPipeline(model, processor),
  ),
  /** Classes of pictures that are named when asking. */
  "zero-shot-image-classification": withTextAndImages(
    (name, options) => fromPretrained(name, { ...options, task: "zero-shot-image-classification" }),
    (...parts) => new ZeroShotImageClassificationPipeline(...parts),
  ),
  /** Captions of pictures. */
  "image-to-text": withTextAndImages(
    (name, options) => fromPretrained(name, { ...options, task: "image-to-text" }),
    (...parts) => new ImageToTextPipeline(...parts),
  ),
  /** Answers about pictures. */
  "image-text-to-text": withTextAndImages(loadImageReader, (...parts) => new ImageTextToTextPipeline(...parts)),
} as const;
const aliases = { "sentiment-analysis": "text-classification", ner: "token-classification" } as const;

/** Tasks that there are pipelines for, by the names of transformers. */
export type PipelineTask = keyof typeof makers | keyof typeof aliases;
type Resolved<T extends PipelineTask> = T extends keyof typeof aliases ? (typeof aliases)[T] : T;
/** The class of the pipeline for a task. */
export type PipelineFor<T extends PipelineTask> = Awaited<
  ReturnType<(typeof makers)[Resolved<T> & keyof typeof makers]>
>;

/**
 * A model with all that its task needs around it, as transformers' pipelines, and with their result fields. `model` is
 * a folder, an address, a repository such as "owner/name", or for "text-generation" a .gguf file.
 * @throws OptionError for a task that is not known
 *
 * @example
 * const feelings = await pipeline("text-classification", "golden/pipelines/models/bert-sequence-classification");
 * (await feelings.run("It was a dark and stormy night."))[0].label; // "glad"
 * feelings.dispose();
 */
export async function pipeline<T extends PipelineTask>(
  task: T,
  model: string | Folder | StoredFile,
  options: PipelineOptions = {},
): Promise<PipelineFor<T>> {
  const name = Object.hasOwn(aliases, task) ? aliases[task as keyof typeof aliases] : task;
  if (!Object.hasOwn(makers, name)) {
    const known = [...Object.keys(makers), ...Object.keys(aliases)];
    const near = nearest(task, known);
    throw new OptionError({
      where: "pipeline",
      expected: `one of ${listedNames(task, known)}`,
      received: task,
      fix: near ? `did you mean "${near}"?` : "choose one of them",
    });
  }
  checkOptions("pipeline", options, optionNames);
  const place = await openPlace(model, options); // once, also for the tokenizer and the processor
  return makers[name as keyof typeof makers](place, options) as Promise<PipelineFor<T>>;
}
