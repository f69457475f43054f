/** Texts about pictures: a model that reads pictures in a conversation learns its answers. */
import { z } from "zod";
import { DataError } from "../base/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";
import { defineMethod } from "./method.ts";
import { adapted } from "./parts/adapters.ts";
import { padIdOf, sampler } from "./parts/causal.ts";
import { datasetsOf, openData } from "./parts/datasets.ts";
import { refusePacking } from "./parts/encoded-texts.ts";
import { imageSettings } from "./parts/picture-form.ts";
import { picturedBatches } from "./vision-language/batches.ts";
import { picturedModel } from "./vision-language/compose.ts";
import { adapterOf, frozenIn, openPictured } from "./vision-language/model.ts";
import { AnswerWriter, lastAnswer, picturedObjective } from "./vision-language/objective.ts";
import { previewPictured } from "./vision-language/preview.ts";
import { messageFor } from "./vision-language/template.ts";
import { type LearnedRows, type RowReader, readPicturedRows } from "./vision-language/tokens.ts";

const settings = {
  stage: z
    .enum(["projector", "full"])
    .default("full")
    .describe("projector: the layers between pictures and text alone. full: the language model too."),
  learned: z
    .enum(["assistant", "last", "all"])
    .default("assistant")
    .describe("What the loss counts on: all answers, the last one of each conversation, or every token."),
  imageFolder: z.string().min(1).optional().describe("Where paths of pictures begin. Default: beside the rows' file."),
  image: imageSettings,
  checkPictures: z
    .boolean()
    .default(true)
    .describe("Decode each picture once before training; otherwise one that cannot be read ends the run."),
  generated: z
    .int()
    .min(0)
    .default(20)
    .describe("For how many validation rows the model writes the last answer in each evaluation, for exactMatch."),
};

/**
 * Vision-language instruction tuning: a model that reads pictures in a text learns the answers of conversations about
 * them. LLaVA, finished or put together of CLIP's tower and a language model, in two stages; and Qwen2-VL. Liu et al.
 * 2023, arXiv:2304.08485, section 4.2.
 */
export const llava = defineMethod({
  name: "llava",
  summary: "Vision-language instruction tuning: answers to texts with pictures, with LLaVA or Qwen2-VL.",
  settings,
  sections: { model: picturedModel },
  defaults: { optimizer: { learningRate: 2e-5 }, training: { batchSize: 8 }, data: { maxLength: 2048 } },
  template: `# Vision-language instruction tuning: answers to texts with pictures. LLaVA is trained in two stages.
# kindling train this-file.yaml            trains; kindling train this-file.yaml --dry-run shows the plan
method:
  name: llava
  stage: projector            # the new layers between pictures and text alone. Then full: the language model too
  # imageFolder: train2017    # where paths of pictures begin; otherwise beside the rows' file
  generated: 20               # validation rows whose last answer the model writes, for exactMatch; 0: none
model:                        # or a finished LLaVA or Qwen2-VL: a folder or a repository
  vision: openai/clip-vit-large-patch14-336
  language: Qwen/Qwen2.5-0.5B-Instruct
# For the second stage, in a copy of this file: stage: full, learningRate: 2.0e-5, other rows, and
# model: runs/NAME/model      # the result of the first one, in runs/ under the name of this file
data:
  train: captions.json        # rows with conversations and image, or messages whose content has parts of type image
  validationShare: 0.05       # or validation: other.json
  maxLength: 2048             # tokens, those of pictures among them; longer rows are cut, pictures whole
  # onBadRow: skip            # rows with a picture missing, or another number of marks than of pictures
optimizer:
  learningRate: 1.0e-3        # stage full: 2.0e-5
training:
  epochs: 1
  batchSize: 8
  # accumulation: 16          # batches of a step
# adapter: { type: lora, rank: 128, alpha: 256 }   # of the language model in stage full
`,
  async prepare(config, context) {
    refusePacking(config, "llava");
    const { stage, learned, imageFolder, image, checkPictures: isChecked, generated } = config.method;
    const adapter = adapterOf(config, stage);
    const { model, tokenizer, form, pictured, saveProcessor } = await openPictured(config, image, context);
    const opened = await openData(config.data, context);
    const [{ columns, format }] = datasetsOf(config.data.train) as Pick<RowReader, "columns" | "format">[];
    const maxLength = Math.min(config.data.maxLength, model.languageModel.config.maxPositionEmbeddings);
    const { onTooLong, groupByLength } = config.data;
    const reader: RowReader = {
      ...{ model, tokenizer, form, pictured, learned, maxLength, onTooLong, isChecked, imageFolder, columns, format },
      context,
      badRows: opened.badRows,
    };
    const train = await readPicturedRows(opened.train, reader);
    requirePictures(train);
    if (endsNowhere(train, tokenizer)) context.onWarning({ where: "chat template", notes: [NO_END] });
    const validation = opened.validation && (await readPicturedRows(opened.validation, reader));
    const { batchSize = 8, seed } = config.training;
    const batches = { model, form, batchSize, maxLength, padId: padIdOf(tokenizer), seed, groupByLength };
    const writer = new AnswerWriter({ model, tokenizer, form }, validation);
    const hasAnswers = learned !== "all";
    const written = hasAnswers
      ? (validation?.kept.filter((example) => lastAnswer(example)).slice(0, generated) ?? [])
      : [];
    const frozen = { ...config, adapter, freeze: [...(config.freeze ?? []), ...frozenIn(stage, model)] };
    return {
      model,
      tokenizer,
      objective: await adapted(frozen, { model, tokenizer }, (options) =>
        picturedObjective(model, { ...options, written, writer, saveProcessor }),
      ),
      trainData: picturedBatches(train, { ...batches, isShuffled: true }),
      batchesPerEpoch: Math.ceil(train.kept.length / batchSize),
      validationData: validation && picturedBatches(validation, { ...batches, isShuffled: false }),
      facts: { ...factsOf(train), ...(validation && { "validation examples": validation.kept.length }) },
      fingerprint: { data: (await opened.train.fingerprint()) ?? "none" },
      preview: (count) => previewPictured(train, { count, tokenizer, imageTokenId: model.imageTokenId }),
      sample: sampler(model.languageModel, tokenizer, {
        isChat: true,
        write: (message) => messageFor(message, pictured),
      }),
      close: async () => {
        writer.dispose();
        await opened.close();
      },
    };
  },
});

const NO_END =
  "it writes no special token at the end of an answer: the model does not learn where to stop, and exactMatch looks " +
  "at as many tokens as the answer has";

/** Whether what is learned ends with an ordinary token. */
function endsNowhere({ kept: [{ ids, weights }] }: LearnedRows, tokenizer: Tokenizer): boolean {
  const last = tokenizer.idToToken(ids[weights.lastIndexOf(1)]);
  return last === null || !tokenizer.specialTexts.includes(last);
}

/** @throws DataError for texts alone: nothing of the projector would be learned */
function requirePictures({ kept, rows }: LearnedRows): void {
  if (kept.some(({ places }) => places.length > 0)) return;
  throw new DataError({
    where: rows.placeOf(0),
    expected: "rows with pictures",
    received: `${kept.length} rows without any`,
    fix: "name the column of the pictures, or train texts by method: sft",
  });
}

function factsOf({ kept }: LearnedRows): Record<string, number> {
  const total = (of: (example: LearnedRows["kept"][number]) => number) =>
    kept.reduce((sum, example) => sum + of(example), 0);
  return {
    examples: kept.length,
    pictures: total(({ places }) => places.length),
    "without a picture": total(({ places }) => (places.length === 0 ? 1 : 0)),
    tokens: total(({ ids }) => ids.length),
    "tokens of pictures": total(({ places }) => places.reduce((sum, count) => sum + count, 0)),
    "learned tokens": total(({ weights }) => weights.reduce((sum, weight) => sum + weight, 0)),
    "longest example": kept.reduce((most, { ids }) => Math.max(most, ids.length), 0),
  };
}
