/** Pictures and texts in one space, by contrast. */
import { z } from "zod";
import type { ClipModel } from "../models/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";
import { type Objective, type SupervisedOptions, supervised } from "../train/index.ts";
import type { SharedConfig } from "./config/schema.ts";
import { defineMethod } from "./method.ts";
import { adapted } from "./parts/adapters.ts";
import { pictureAugmentation, pictureChanges } from "./parts/augmentation.ts";
import { CaptionRetrieval } from "./parts/caption-retrieval.ts";
import {
  type CaptionBatch,
  captionEncoder,
  learnedCaptions,
  measuredCaptions,
  openCaptions,
} from "./parts/caption-rows.ts";
import { captionTokenizer, textConfig } from "./parts/caption-tokenizer.ts";
import { openModel } from "./parts/models.ts";
import { imageSettings, type PictureForm, pictureForm } from "./parts/picture-form.ts";

const settings = {
  image: imageSettings,
  augment: pictureChanges,
  checkPictures: z
    .boolean()
    .default(true)
    .describe("Decode each picture once before training; otherwise one that cannot be read ends the run."),
};

/**
 * CLIP and SigLIP, from nothing or fine-tuned: each picture of a batch is to be nearer to its own text than to the
 * others, and each text to its picture. Radford et al. 2021, arXiv:2103.00020; Zhai et al. 2023, arXiv:2303.15343.
 */
export const clip = defineMethod({
  name: "clip",
  summary: "Pictures and their captions in one space, by contrast: CLIP and SigLIP, from nothing or fine-tuned.",
  settings,
  defaults: {
    optimizer: { learningRate: 1e-5, betas: [0.9, 0.98], epsilon: 1e-6, weightDecay: 0.1 },
    training: { batchSize: 64 },
  },
  template: `# Pictures and their captions in one space, by contrast.
# kindling train this-file.yaml            trains; kindling train this-file.yaml --dry-run shows the plan
method:
  name: clip
  augment:                    # random changes of each picture; docs/augmentation.md has their options
    resizedCrop: { scale: [0.8, 1] }
  # image: { size: 64, mean: 0.5, std: 0.5 }   # of a new model; others have a preprocessor_config.json
model: openai/clip-vit-base-patch32   # or from nothing: { new: { model_type: clip, vision_config: {} } }
# tokenizer: { train: bpe, vocabSize: 4096 }   # of a new model: learned from the captions
data:
  train: pictures             # rows with image and text, or a list of texts; a folder with metadata.jsonl
  validationShare: 0.1
  maxLength: 77
optimizer:
  learningRate: 1.0e-5        # from nothing: 5.0e-4
training:
  epochs: 10
  batchSize: 64               # each text is told from so many others
# freeze: [vision_model.*]    # the picture's tower stays as it is
`,
  async prepare(config, context) {
    const { image, augment, checkPictures: isChecked } = config.method;
    const { opened, read, captions } = await openCaptions(config, { isChecked }, context);
    const tokenizer = await captionTokenizer(config, await captions(), context);
    const model = await openModel(
      withTokenizer(config, tokenizer),
      { task: "zero-shot-image-classification" },
      context,
    );
    const form = await pictureForm(model, image);
    const { train, validation } = await read(form);
    const { batchSize = 64, seed } = config.training;
    const texts = [...train.kept, ...(validation?.kept ?? [])].flatMap(({ label }) => label);
    const most = Math.min(config.data.maxLength, model.config.text.maxPositionEmbeddings);
    const { encode, width, cut } = await captionEncoder(tokenizer, texts, { most, isWhole: !isClip(model) });
    if (cut > 0) context.onWarning({ where: "data", notes: [`${cut} captions are longer than ${width} and cut`] });
    const batches = { form, encode, batchSize, seed };
    return {
      model,
      tokenizer,
      objective: await adapted(config, { model, tokenizer }, (options) => contrastive(model, { ...options, form })),
      trainData: learnedCaptions(train, { ...batches, augment: pictureAugmentation(augment, form.size) }),
      batchesPerEpoch: Math.ceil(train.kept.length / batchSize),
      validationData: validation && measuredCaptions(validation, batches),
      facts: {
        pictures: train.kept.length,
        captions: train.kept.reduce((sum, { label }) => sum + label.length, 0),
        "tokens of a caption": width,
        ...(validation && { "validation pictures": validation.kept.length }),
      },
      fingerprint: { data: (await opened.train.fingerprint()) ?? "none" },
      preview: (count) => previewOf(train.kept.slice(0, count), opened.train.placeOf, tokenizer),
      close: () => opened.close(),
    };
  },
});

/** A new model's texts are those of the tokenizer. */
function withTokenizer(config: SharedConfig, tokenizer: Tokenizer): SharedConfig {
  const { model } = config;
  if (typeof model === "string" || !("new" in model)) return config;
  const text = { ...textConfig(tokenizer), ...(model.new.text_config as object | undefined) };
  return { ...config, model: { new: { ...model.new, text_config: text } } };
}

async function previewOf(
  rows: readonly { index: number; label: readonly string[] }[],
  placeOf: (index: number) => string,
  tokenizer: Tokenizer,
): Promise<string> {
  const lines = rows.map(async ({ index, label }) => {
    const { ids } = await tokenizer.encodeText(label[0], {});
    const written = await tokenizer.decode([...ids], { skipSpecialTokens: false });
    return `${placeOf(index)}: ${label.join(" | ")} (${ids.length} tokens: ${written})`;
  });
  return (await Promise.all(lines)).join("\n");
}

/** SigLIP has a bias beside the factor, and looks at each pair by itself. */
const isClip = (model: ClipModel): boolean => model.logitBias === undefined;

/** "Clipped to prevent scaling the logits by more than 100", arXiv:2103.00020, section 2.5. */
const MOST_LOGIT_SCALE = Math.log(100);

/** What of a model is trained, and the form of its pictures, which is saved beside it. */
export interface ContrastiveOptions extends SupervisedOptions {
  form: Pick<PictureForm, "save">;
}

/**
 * The objective of batches of pictures with captions: the model's loss. CLIP's learned temperature is kept where logits
 * are at most 100 times the cosine. Measures over the validation data how many texts find their picture, and pictures
 * their text, among the nearest 1, 5 and 10.
 */
export function contrastive(model: ClipModel, { form, ...options }: ContrastiveOptions): Objective<CaptionBatch> {
  const objective = supervised<CaptionBatch>(model as never, options);
  const clamp = async () => {
    if (!isClip(model) || !objective.trained.has("logit_scale")) return;
    const [scale] = await model.logitScale.read();
    if (scale > MOST_LOGIT_SCALE) model.logitScale.set(Float32Array.of(MOST_LOGIT_SCALE));
  };
  return {
    ...objective,
    loss: ({ pictures: _, ...batch }, run) => ({ ...objective.loss(batch, run), metrics: {} }),
    async prepare(batch) {
      await clamp();
      return batch;
    },
    async save(folder) {
      await clamp();
      await objective.save(folder);
      await form.save(folder);
    },
    scorer() {
      const retrieval = new CaptionRetrieval();
      return {
        outputs({ pictures, ...batch }) {
          const { imageEmbeds, textEmbeds } = model.forward(batch);
          return { imageEmbeds, textEmbeds, ...(pictures && { pictures }) };
        },
        add: (outputs) => retrieval.add(outputs),
        result: () => retrieval.result(),
      };
    },
  };
}
