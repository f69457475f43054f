/** Distillation of language models that have the same vocabulary. */
import { DataError, IGNORED_LABEL } from "../../base/index.ts";
import { type Conversation, type Rows, readConversations, readExamples, recogniseRows } from "../../data/index.ts";
import type { CausalLM } from "../../models/index.ts";
import { notEqual, type Tensor } from "../../tensor/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import { type LanguageModelBatch, languageModel, type Objective, type SupervisedOptions } from "../../train/index.ts";
import type { SharedConfig } from "../config/schema.ts";
import type { AnyPreparedMethod, MethodContext } from "../method.ts";
import { adapted } from "./adapters.ts";
import { attentionMatchingLoss, requireMatchingHeads, withScores } from "./attention-matching.ts";
import { padIdOf, sampler } from "./causal.ts";
import { conversationTokens, conversationWriter, type LearnedTokens } from "./conversation-tokens.ts";
import type { OpenedData } from "./datasets.ts";
import {
  type DistillationOptions,
  type DistillationParts,
  type Projections,
  projectionsOf,
  savingWith,
  stateOf,
  statesLoss,
  taughtLoss,
} from "./distillation.ts";
import { previewTokens } from "./preview.ts";
import { openStudent, openTeacher, studentTokenizer, teacherTokenizer } from "./student.ts";
import { namedFormat } from "./text-pairs.ts";
import { fitTokens, tokenBatches } from "./token-batches.ts";

/** A student, its teacher, and the rows of a config: texts, or conversations whose answers are learned. */
export async function prepareLanguage(
  config: SharedConfig,
  { teacher: name, options, student: choice }: DistillationParts,
  opened: OpenedData,
  context: MethodContext,
): Promise<AnyPreparedMethod> {
  const teacher = await openTeacher(name, "causal-lm", context);
  const tokenizer = await studentTokenizer(config, await teacherTokenizer(name, teacher));
  const wanted = { task: "causal-lm", vocabSize: teacher.config.vocabSize, ...choice } as const;
  const student = await openStudent(config, wanted, context);
  const train = await readTokens(opened.train, config, { tokenizer, opened, context });
  const validation = opened.validation && (await readTokens(opened.validation, config, { tokenizer, opened, context }));
  const { batchSize = 8, seed } = config.training;
  const { maxLength, packing, groupByLength } = config.data;
  const batches = { batchSize, maxLength, packing, groupByLength, padId: padIdOf(tokenizer), seed };
  const learned = tokenBatches(train, { ...batches, isShuffled: true });
  requireMatchingHeads(config, { student, teacher, options });
  const projections = projectionsOf(config, { student, teacher, options });
  const make = ({ trained }: SupervisedOptions) =>
    languageObjective({ student, teacher, projections, options, tokenizer, trained });
  return {
    model: student,
    tokenizer,
    objective: await adapted(config, { model: student, tokenizer }, make),
    trainData: learned.source,
    batchesPerEpoch: learned.batchesPerEpoch,
    validationData: validation && tokenBatches(validation, { ...batches, isShuffled: false }).source,
    facts: {
      examples: train.length,
      ...(validation && { "validation examples": validation.length }),
      tokens: train.reduce((total, { ids }) => total + ids.length, 0),
      "teacher parameters": teacher.parameterCount(),
    },
    fingerprint: { data: (await opened.train.fingerprint()) ?? "none" },
    preview: (count) => previewTokens(train.slice(0, count), tokenizer),
    sample: sampler(student, tokenizer, { isChat: tokenizer.chatTemplate !== undefined }),
    close: async () => {
      teacher.dispose();
      await opened.close();
    },
  };
}

/** Texts, of which all is learned, or conversations. @throws DataError where nothing is left to learn */
async function readTokens(
  rows: Rows,
  config: SharedConfig,
  { tokenizer, opened: { badRows }, context }: { tokenizer: Tokenizer; opened: OpenedData; context: MethodContext },
): Promise<LearnedTokens[]> {
  const named = namedFormat(config);
  const { format } = await recogniseRows(rows, named);
  const tokens: LearnedTokens[] = [];
  if (format === "text") {
    const { examples } = await readExamples(rows, { ...named, format, badRows });
    for await (const { text } of examples) {
      const ids = Int32Array.from(await tokenizer.encode(text));
      tokens.push({ ids, weights: new Uint8Array(ids.length).fill(1) });
    }
  } else {
    const { examples } = await readConversations(rows, { ...named, badRows });
    const writer = conversationWriter(tokenizer);
    for await (const conversation of examples as AsyncIterable<Conversation>)
      tokens.push(await conversationTokens(conversation, writer));
  }
  const { kept, cut, skipped, unlearned } = fitTokens(tokens, config.data);
  const lost = `${cut} examples are cut, ${skipped} too long and left out, ${unlearned} with nothing to learn`;
  if (cut + skipped + unlearned > 0) context.onWarning({ where: "data", notes: [lost] });
  if (kept.length > 0) return kept;
  throw new DataError({
    where: rows.placeOf(0),
    expected: "texts or conversations with something to learn",
    received: `${tokens.length} of which none has any within ${config.data.maxLength} tokens`,
    fix: "raise data.maxLength, or look at the rows",
  });
}

/** What an objective of language models is made of. */
export interface LanguageObjectiveParts extends SupervisedOptions {
  student: CausalLM;
  teacher: CausalLM;
  projections: Projections;
  options: DistillationOptions;
}

/** The objective of a language model that learns from another, token by token. Counts tokens. */
export function languageObjective(parts: LanguageObjectiveParts): Objective<LanguageModelBatch> {
  const { student, teacher, projections, options, tokenizer, trained = student.namedParameters() } = parts;
  const plain = languageModel(student, { tokenizer, trained });
  return {
    ...plain,
    trained: new Map([...trained, ...projections.namedParameters("projections.")]),
    state: stateOf(student, teacher, projections),
    loss(batch, run) {
      const { shiftLabels, labels: _, ...inputs } = batch;
      const hasAttention = options.weights.attention > 0;
      const learner = withScores(hasAttention, (sees) => student.forward({ ...inputs, ...run, ...sees }));
      const model = withScores(hasAttention, (sees) => teacher.forward({ ...inputs, ...sees }));
      const [ours, theirs] = [learner.output, model.output];
      const mask = notEqual(shiftLabels as Tensor<"i32">, IGNORED_LABEL); // [B, T]
      const logits = { student: ours.logits, teacher: theirs.logits };
      const hardOf = (model: CausalLM) => model.loss(batch);
      const hard = () => student.loss({ ...batch, ...run });
      const states = { mask: inputs.attentionMask, projections };
      const hidden = () => statesLoss([ours.lastHiddenState], [theirs.lastHiddenState], states);
      const matching = { mask: inputs.attentionMask, kind: options.attention };
      const attention = () => attentionMatchingLoss(learner.scores, model.scores, matching);
      const loss = taughtLoss({ logits, mask, hard, hidden, attention }, options);
      const { weight } = plain.loss(batch, run);
      if (run.isTraining) return { loss, weight };
      const [crossEntropy, teacherCrossEntropy] = [hardOf(student), hardOf(teacher)];
      return {
        loss,
        weight,
        metrics: { crossEntropy, teacherCrossEntropy, gap: crossEntropy.sub(teacherCrossEntropy) },
      };
    },
    ...savingWith(projections, plain),
  };
}
