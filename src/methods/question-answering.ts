/** Questions whose answers stand in a text. */
import { z } from "zod";
import { DataError } from "../base/index.ts";
import type { ExtractiveQuestion, Rows } from "../data/index.ts";
import { defineMethod, type MethodContext } from "./method.ts";
import { adapted } from "./parts/adapters.ts";
import { withTrainedHead } from "./parts/class-choice.ts";
import { refusePacking, textForm } from "./parts/encoded-texts.ts";
import { withExamples } from "./parts/examples.ts";
import { newModelDefaults, openModel, openTokenizer, requireVocabulary } from "./parts/models.ts";
import {
  type JudgedQuestion,
  type QuestionWindow,
  questionBatch,
  questionObjective,
  type WindowOptions,
  windowsOf,
} from "./parts/question-windows.ts";
import { hasHead } from "./parts/stored-head.ts";
import { lengthFacts, measuredBatches, trainingBatches } from "./parts/text-batches.ts";

const count = z.int().min(1);
const settings = {
  stride: z.int().min(0).default(128).describe("Tokens that two parts of a long context have in common."),
  maxQuestionTokens: count.default(64).describe("Longer questions are cut."),
  maxAnswerTokens: count.default(30).describe("Most tokens of an answer that is looked for."),
  noAnswers: z
    .boolean()
    .optional()
    .describe("Whether the model may say that there is no answer. Default: whether some questions have none."),
  language: z.enum(["en", "zh"]).default("en").describe("How answers are compared: by words, or by characters."),
};

/**
 * Question answering: a model finds where in a text the answer stands. Long texts are read in parts that overlap.
 * Devlin et al. 2018, arXiv:1810.04805, section 4.2.
 */
export const questionAnswering = defineMethod({
  name: "question-answering",
  summary: "Question answering: a model finds where in a text the answer to a question stands.",
  settings,
  defaults: {
    optimizer: { learningRate: 3e-5 },
    training: { batchSize: 16, epochs: 2 },
    data: { maxLength: 384 },
  },
  template: `# Question answering: a model finds where in a text the answer to a question stands.
# kindling train this-file.yaml            trains; kindling train this-file.yaml --dry-run shows the plan
method:
  name: question-answering
  stride: 128                 # tokens that two parts of a long context have in common
  # noAnswers: true           # it may say that there is none; default: where some questions have none
  # language: zh              # answers are compared by characters
model: google-bert/bert-base-uncased   # a folder or a repository; or new: { model_type: bert, ... } with a tokenizer
data:
  train: squad.jsonl          # rows with question, context and answers: { text: [...], answer_start: [...] }
  validationShare: 0.05       # or validation: other.jsonl
  maxLength: 384              # tokens of a question with a part of its context
optimizer:
  learningRate: 3.0e-5
training:
  epochs: 2
  batchSize: 16
evaluation:
  monitor: f1                 # or exactMatch, validationLoss
`,
  prepare: (config, context) =>
    withExamples(config, "question-answering", context, async (opened) => {
      const { stride, maxQuestionTokens, maxAnswerTokens, language } = config.method;
      refusePacking(config, "question-answering");
      const tokenizer = await openTokenizer(config);
      const isNew = !(await hasHead(config, "ForQuestionAnswering"));
      const model = await openModel(
        config,
        { task: "question-answering", hasNewHead: isNew, defaults: newModelDefaults(tokenizer) },
        context,
      );
      requireVocabulary(tokenizer, model);
      const form = textForm(config, { tokenizer, model });
      const set = new QuestionSet({ tokenizer, form, stride, maxQuestionTokens });
      const train = await set.add(opened.train, context);
      const validation = opened.validation && (await set.add(opened.validation, context));
      requireAnswers(train);
      const { windows, questions } = set;
      const hasNoAnswers = config.method.noAnswers ?? questions.some(({ answers }) => answers[0] === "");
      const batches = {
        config,
        lengthOf: ({ ids }: QuestionWindow) => ids.length,
        collate: (some: readonly QuestionWindow[]) => questionBatch(some, form),
      };
      return {
        model,
        tokenizer,
        objective: await adapted(withTrainedHead(config, model, isNew), { model, tokenizer }, (options) =>
          questionObjective(model, { ...options, windows, questions, hasNoAnswers, language, maxAnswerTokens }),
        ),
        ...trainingBatches(train, batches),
        validationData: validation && measuredBatches(validation, batches),
        facts: {
          questions: opened.train.count,
          ...lengthFacts(train.map(({ ids }) => ids.length)),
          "examples with an answer": train.filter(({ end }) => end > 0).length,
          head: isNew ? "new" : "the checkpoint's",
          ...(opened.validation && { "validation questions": opened.validation.count }),
        },
        fingerprint: opened.fingerprint,
        preview: (count) => previewOf(train.slice(0, count), questions),
        close: opened.close,
      };
    }),
});

/** All questions of a training with their windows, those that are learned and those that are measured on. */
class QuestionSet {
  readonly windows: QuestionWindow[] = [];
  readonly questions: JudgedQuestion[] = [];
  private readonly options: WindowOptions;

  constructor(options: WindowOptions) {
    this.options = options;
  }

  /** The windows of more questions. */
  async add(
    rows: Rows<ExtractiveQuestion>,
    { signal, onProgress }: Pick<MethodContext, "signal" | "onProgress">,
  ): Promise<QuestionWindow[]> {
    const first = this.windows.length;
    let done = 0;
    for await (const row of rows) {
      signal?.throwIfAborted();
      const question = this.questions.length;
      const answers = row.answers.length > 0 ? row.answers.map(({ text }) => text) : [""];
      this.questions.push({ context: row.context, answers });
      for (const window of await windowsOf(row, this.options))
        this.windows.push({ ...window, question, index: this.windows.length });
      onProgress?.("encoding questions", ++done / rows.count);
    }
    return this.windows.slice(first);
  }
}

function requireAnswers(windows: readonly QuestionWindow[]): void {
  if (windows.some(({ end }) => end > 0)) return;
  throw new DataError({
    where: "data",
    expected: "questions with an answer that stands whole in a part of its context",
    received: `${windows.length} parts without one`,
    fix: "look at the answers, or raise maxLength and stride",
  });
}

async function previewOf(windows: readonly QuestionWindow[], questions: readonly JudgedQuestion[]): Promise<string> {
  const lines = windows.map(({ question, start, end, from, offsets }) => {
    const { context } = questions[question];
    const part = context.slice(offsets[0]?.[0] ?? 0, offsets.at(-1)?.[1] ?? 0);
    const answer = end > 0 ? context.slice(offsets[start - from][0], offsets[end - from][1]) : "no answer";
    return `${answer}: ${part}`;
  });
  return lines.join("\n");
}
