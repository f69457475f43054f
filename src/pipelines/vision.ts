import { checkOptions, OptionError } from "../base/index.ts";
import {
  type ClipModel,
  detectedObjects,
  type ImageClassifier,
  type ObjectDetector,
  type SemanticSegmenter,
} from "../models/index.ts";
import type { ImageProcessor, RawImage } from "../processors/index.ts";
import { interpolate, tensor } from "../tensor/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";
import {
  type BatchOptions,
  type LabelScore,
  labelsOf,
  ranked,
  type ScoreFunction,
  scoresOf,
  sigmoid,
  softmax,
} from "./common.ts";
import { type ImageModel, type ImageOutputs, ImageRunner, type ImageRunnerOptions } from "./image-runner.ts";
import type { ImageSource } from "./image-source.ts";

/** A vision model with its processor, and what runs it on pictures. */
abstract class ImagePipeline<M extends ImageModel & { dispose(): void }> {
  protected readonly model: M;
  protected readonly runner: ImageRunner;

  constructor(model: M, processor: ImageProcessor, options: ImageRunnerOptions) {
    this.model = model;
    this.runner = new ImageRunner(model, processor, options);
  }

  /** Frees the model and the compiled graphs; the pipeline is of no use afterwards. */
  dispose(): void {
    this.runner.dispose();
    this.model.dispose();
  }
}

/** How many classes are given, and how their scores come of logits. */
export interface ImageClassificationOptions extends BatchOptions {
  /** How many classes of each picture. @default 5 */
  topK?: number;
  /** @default by the model's problem type, as for texts */
  functionToApply?: ScoreFunction;
}

/** Classes of pictures. */
export class ImageClassificationPipeline extends ImagePipeline<ImageClassifier> {
  constructor(model: ImageClassifier, processor: ImageProcessor) {
    super(model, processor, { outputs: ["logits"] });
  }

  /**
   * The likeliest classes of a picture, best first; such a list for each of several pictures.
   * @throws DataError for a file that is no picture, OptionError for wrong options
   */
  run(input: ImageSource, options?: ImageClassificationOptions): Promise<LabelScore[]>;
  run(inputs: readonly ImageSource[], options?: ImageClassificationOptions): Promise<LabelScore[][]>;
  async run(inputs: ImageSource | readonly ImageSource[], options: ImageClassificationOptions = {}) {
    checkOptions("image-classification", options, ["topK", "functionToApply", "batchSize"]);
    const { topK = 5, functionToApply, batchSize } = options;
    const labels = labelsOf(this.model);
    const usual =
      this.model.config.problemType === "multi_label_classification" || labels.length === 1 ? "sigmoid" : "softmax";
    return this.runner.answers(inputs, {
      task: "image-classification",
      batchSize,
      answer: ({ logits }) => ranked(labels, scoresOf(logits.data, functionToApply ?? usual), topK),
    });
  }
}

/** The classes, and how they are put to the model. */
export interface ZeroShotImageOptions extends BatchOptions {
  /** Names of classes, at least one. */
  candidateLabels: readonly string[];
  /** Makes a text of a class; "{}" stands for its name. @default "This is a photo of {}." */
  hypothesisTemplate?: string;
}

/** How well texts fit pictures. */
export class ZeroShotImageClassificationPipeline extends ImagePipeline<ClipModel> {
  private readonly tokenizer: Tokenizer;

  constructor(model: ClipModel, tokenizer: Tokenizer, processor: ImageProcessor) {
    super(model, processor, { outputs: ["logitsPerImage"] });
    this.tokenizer = tokenizer;
  }

  /**
   * How well each class fits a picture, best first; such a list for each of several pictures. Scores sum to 1 by
   * CLIP; SigLIP judges each class by itself.
   * @throws OptionError without `candidateLabels`, or for a template without "{}"; DataError for a file that is no
   *   picture
   */
  run(input: ImageSource, options: ZeroShotImageOptions): Promise<LabelScore[]>;
  run(inputs: readonly ImageSource[], options: ZeroShotImageOptions): Promise<LabelScore[][]>;
  async run(inputs: ImageSource | readonly ImageSource[], options: ZeroShotImageOptions = { candidateLabels: [] }) {
    checkOptions("zero-shot-image-classification", options, ["candidateLabels", "hypothesisTemplate", "batchSize"]);
    const { candidateLabels, hypothesisTemplate = "This is a photo of {}.", batchSize } = options;
    if (candidateLabels.length === 0 || !hypothesisTemplate.includes("{}")) {
      const expected = 'candidateLabels, and a template with "{}"';
      throw new OptionError({
        where: "zero-shot-image-classification",
        expected,
        received: JSON.stringify({ candidateLabels, hypothesisTemplate }),
        fix: "give both",
      });
    }
    const texts = candidateLabels.map((label) => hypothesisTemplate.replace("{}", label));
    const isSiglip = this.model.modelType === "siglip";
    const longest = this.model.config.text.maxPositionEmbeddings;
    // SigLIP was trained on texts filled up to their greatest length
    const encodings = await this.tokenizer.encodeBatch(texts, {
      maxLength: longest,
      padTo: isSiglip ? longest : "longest",
    });
    const shape = [texts.length, encodings[0].ids.length];
    const inputIds = tensor(Int32Array.from(encodings.flatMap(({ ids }) => ids)), { shape });
    const attentionMask = tensor(Uint8Array.from(encodings.flatMap((encoding) => encoding.attentionMask)), {
      dtype: "bool",
      shape,
    });
    const steps = {
      task: "zero-shot-image-classification",
      batchSize,
      answer: ({ logitsPerImage: { data } }: ImageOutputs) =>
        ranked(candidateLabels, isSiglip ? Array.from(data, sigmoid) : softmax(data)),
    };
    return this.runner.answers(inputs, steps, this.tokenizer.givesMask ? { inputIds, attentionMask } : { inputIds });
  }
}

/** Which objects are given. */
export interface ObjectDetectionOptions extends BatchOptions {
  /** Those with a score above it. @default 0.5 */
  threshold?: number;
}

/** An object in a picture, and where it is. */
export interface DetectedObject {
  /** Probability of the class, from 0 to 1. */
  score: number;
  label: string;
  /** Whole pixels of the picture. */
  box: { xmin: number; ymin: number; xmax: number; ymax: number };
}

/** Objects in pictures. */
export class ObjectDetectionPipeline extends ImagePipeline<ObjectDetector> {
  constructor(model: ObjectDetector, processor: ImageProcessor) {
    super(model, processor, {
      outputs: ["logits", "predBoxes"],
      takesMask: model.modelType !== "yolos",
    });
  }

  /**
   * The objects in a picture, in no order; such a list for each of several pictures.
   * @throws DataError for a file that is no picture, OptionError for wrong options
   */
  run(input: ImageSource, options?: ObjectDetectionOptions): Promise<DetectedObject[]>;
  run(inputs: readonly ImageSource[], options?: ObjectDetectionOptions): Promise<DetectedObject[][]>;
  async run(inputs: ImageSource | readonly ImageSource[], options: ObjectDetectionOptions = {}) {
    checkOptions("object-detection", options, ["threshold", "batchSize"]);
    const { threshold = 0.5, batchSize } = options;
    const labels = labelsOf(this.model);
    return this.runner.answers(inputs, {
      task: "object-detection",
      batchSize,
      answer: ({ logits, predBoxes }, image) => {
        const { width, height } = image;
        const objects = detectedObjects(logits.data, predBoxes.data, {
          classes: logits.shape[2],
          width,
          height,
          threshold,
        });
        return objects.map(
          ({ score, label, xMin, yMin, xMax, yMax }): DetectedObject => ({
            score,
            label: labels[label],
            box: {
              xmin: Math.trunc(xMin),
              ymin: Math.trunc(yMin),
              xmax: Math.trunc(xMax),
              ymax: Math.trunc(yMax),
            },
          }),
        );
      },
    });
  }
}

/** The places of a picture that have one class. */
export interface Segment {
  /** null: places have classes without scores. */
  score: number | null;
  label: string;
  /** As large as the picture, one channel: 255 where the class is, 0 elsewhere. */
  mask: RawImage;
}

/** The class of each place of pictures. */
export class ImageSegmentationPipeline extends ImagePipeline<SemanticSegmenter> {
  constructor(model: SemanticSegmenter, processor: ImageProcessor) {
    super(model, processor, { outputs: ["logits"] });
  }

  /**
   * The places of each class that is in a picture, in the order of the classes; such a list for each of several
   * pictures. There are no other options: those of transformers are for models of other kinds.
   * @throws DataError for a file that is no picture, OptionError for wrong options
   */
  run(input: ImageSource, options?: BatchOptions): Promise<Segment[]>;
  run(inputs: readonly ImageSource[], options?: BatchOptions): Promise<Segment[][]>;
  async run(inputs: ImageSource | readonly ImageSource[], options: BatchOptions = {}) {
    checkOptions("image-segmentation", options, ["batchSize"]);
    const labels = labelsOf(this.model);
    return this.runner.answers(inputs, {
      task: "image-segmentation",
      batchSize: options.batchSize,
      answer: async ({ logits }, { width, height }) => {
        const small = tensor(logits.data, { shape: logits.shape });
        const large = await interpolate(small, { size: [height, width], mode: "bilinear" }).read();
        const places = width * height;
        const classes = new Uint16Array(places);
        for (let i = 0; i < places; i++)
          for (let c = 1; c < labels.length; c++)
            if (large[c * places + i] > large[classes[i] * places + i]) classes[i] = c;
        const present = [...new Set(classes)].sort((a, b) => a - b);
        return present.map((label): Segment => {
          const data = Uint8Array.from(classes, (c) => (c === label ? 255 : 0));
          return { score: null, label: labels[label], mask: { width, height, channels: 1, data } };
        });
      },
    });
  }
}
