/** Batches of the sizes that training has: only their shapes count. */
import { OptionError } from "../base/index.ts";
import type { PretrainedModel, Task } from "../models/index.ts";
import { type Tensor, tensor, zeros } from "../tensor/index.ts";

/** How large a batch is. */
export interface BatchSize {
  /** Examples in a batch. */
  batchSize: number;
  /** Tokens of each; of images and sounds the model's own size counts. */
  length: number;
}

const ids = (...shape: number[]): Tensor<"i32"> => zeros(shape, "i32");
const mask = (...shape: number[]): Tensor<"bool"> =>
  tensor(new Uint8Array(shape.reduce((a, b) => a * b, 1)).fill(1), { dtype: "bool", shape });

type Batch = Record<string, Tensor | Tensor[]>;
type Sizes = Readonly<Record<string, number | readonly number[] | undefined>>;

const DEFAULT_SIDE = 224;

/** Sides of the images of a model, in pixels. */
function sidesOf(config: Sizes, vision: Sizes = {}): [number, number] {
  const size = vision.imageSize ?? config.imageSize ?? DEFAULT_SIDE;
  return typeof size === "number" ? [size, size] : [size[0], size[1]];
}

function pixels({ config }: PretrainedModel, batchSize: number): Tensor<"f32"> {
  const { vision } = config as { vision?: Sizes };
  return zeros([batchSize, 3, ...sidesOf(config as Sizes, vision)], "f32");
}

/** Height and width of a picture in which DETR finds objects, whose config.json does not say it. */
const DETECTION_SIDES = [800, 1066];
/** About as many objects as a picture of COCO has: arXiv:1405.0312, section 5. */
const OBJECTS = 8;

/** What each task's loss takes. */
const batches: Partial<Record<Task, (model: PretrainedModel, size: BatchSize) => Batch>> = {
  "causal-lm": (_, { batchSize: b, length: t }) => ({ inputIds: ids(b, t), labels: ids(b, t) }),
  "masked-lm": (_, { batchSize: b, length: t }) => ({ ...texts(b, t), labels: ids(b, t) }),
  "token-classification": (_, { batchSize: b, length: t }) => ({ ...texts(b, t), labels: ids(b, t) }),
  "replaced-token-detection": (_, { batchSize: b, length: t }) => ({ ...texts(b, t), labels: ids(b, t) }),
  "sequence-classification": (_, { batchSize: b, length: t }) => ({ ...texts(b, t), labels: ids(b) }),
  "question-answering": (_, { batchSize: b, length: t }) => ({
    ...texts(b, t),
    startPositions: ids(b),
    endPositions: ids(b),
  }),
  "feature-extraction": (model, { batchSize: b, length: t }) =>
    "imageSize" in model.config || "numChannels" in model.config ? { pixelValues: pixels(model, b) } : texts(b, t),
  "seq2seq-lm": (_, { batchSize: b, length: t }) => ({ ...texts(b, t), labels: ids(b, t) }),
  "speech-seq2seq": ({ config }, { batchSize: b, length: t }) => {
    const { numMelBins, maxSourcePositions, maxTargetPositions } = config as unknown as Record<string, number>;
    return {
      inputFeatures: zeros([b, numMelBins, 2 * maxSourcePositions], "f32"),
      labels: ids(b, Math.min(t, maxTargetPositions)),
    };
  },
  "object-detection": ({ config }, { batchSize: b }) => ({
    pixelValues: zeros([b, 3, ...sidesOf({ imageSize: DETECTION_SIDES, ...(config as Sizes) })], "f32"),
    classLabels: ids(b, OBJECTS),
    boxes: zeros([b, OBJECTS, 4], "f32"),
  }),
  "image-classification": (model, { batchSize: b }) => ({ pixelValues: pixels(model, b), labels: ids(b) }),
  "zero-shot-image-classification": (model, { batchSize: b, length: t }) => {
    const { text } = model.config as unknown as { text?: Record<string, number> };
    return { pixelValues: pixels(model, b), ...texts(b, Math.min(t, text?.maxPositionEmbeddings ?? t)) };
  },
};

const texts = (batch: number, length: number) => ({ inputIds: ids(batch, length), attentionMask: mask(batch, length) });

/**
 * A batch for a model's loss. @throws OptionError for a task of which no estimate is made
 */
export function sampleBatch(model: PretrainedModel, size: BatchSize): Batch {
  const make = batches[model.task];
  if (make) return make(model, size);
  throw new OptionError({
    where: `estimate of ${model.architecture}`,
    expected: `a model for ${Object.keys(batches).join(", ")}`,
    received: model.task,
    fix: "name another model, or measure: kindling train config.yaml --dry-run",
  });
}
