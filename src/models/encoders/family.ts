/** The classes of an encoder family: its base model and one for each head. */

import type { EmbeddingTable } from "../../nn/index.ts";
import {
  cast,
  div,
  mean,
  mul,
  type RandomKey,
  reshape,
  slice,
  sum,
  type Tensor,
  withScope,
} from "../../tensor/index.ts";
import { type Fields, fromJson, makeConfig, toJson } from "../config.ts";
import { type ConfigKeys, type Family, POSITION_IDS, untiedWords } from "../family.ts";
import { type Json, labelsFromJson, labelsToJson } from "../labels.ts";
import { binaryLosses, classLoss, type SpanLabels, sequenceLoss, spanLoss } from "../losses.ts";
import { type LabelConfig, type PretrainedModel, type RunOptions, type Task, TaskModel } from "../model.ts";
import type { EncoderConfig, EncoderInputs, EncoderOutput, TextEncoder } from "./encoder.ts";
import type { Head } from "./heads.ts";

type Logits = { logits: Tensor<"f32">; hiddenStates: Tensor<"f32">[] };
type MakeHead<C> = (config: C, key: RandomKey) => Head;

/** What a family of encoders is made of. */
export interface EncoderFamily<C extends EncoderConfig> {
  modelType: string;
  /** Start of the class names, such as "Bert". */
  className: string;
  /** The encoder's name in checkpoints of models with a head. */
  prefix: string;
  fields: Fields<Omit<C, keyof LabelConfig>>;
  aliases?: ConfigKeys["aliases"];
  supported?: ConfigKeys["supported"];
  training?: ConfigKeys["training"];
  rope?: ConfigKeys["rope"];
  /** Brings older forms of config.json into the present one. */
  modernize?(json: Json): Json;
  /** Brings what the fields give into the form of config.json, where it is another. */
  writeJson?(json: Json): Json;
  /** Checks what single fields cannot tell. */
  check?(config: C): void;
  /** Stored tensors that are no weights. @default POSITION_IDS */
  ignored?: Family["ignored"] | null;
  encoder(config: C, key: RandomKey, options: { hasPooler: boolean }): TextEncoder;
  heads: {
    maskedLM: (config: C, words: EmbeddingTable, key: RandomKey) => Head;
    sequence: MakeHead<C>;
    token: MakeHead<C>;
    question: MakeHead<C>;
    /** ELECTRA's discriminator. */
    replaced?: MakeHead<C>;
  };
  /** Whether sequence classification reads the pooler. */
  poolsForSequence: boolean;
  /** The loss of sequence classification. @default sequenceLoss */
  sequenceLoss?: typeof sequenceLoss;
  /** Names of the weights that checkpoints of tied masked-LM heads may repeat. */
  tied(config: C): Readonly<Record<string, string>>;
}

/** An encoder with a head, or without one. */
abstract class EncoderTaskModel<
  O extends object,
  L extends object = { labels: Tensor<"i32"> },
  C extends EncoderConfig = EncoderConfig,
> extends TaskModel<EncoderInputs, O, L> {
  readonly encoder: TextEncoder;
  readonly head?: Head;
  readonly config: C;
  readonly modelType: string;
  readonly architecture: string;
  abstract override readonly task: Task;
  protected override readonly checkpointKeys: Readonly<Record<string, string>>;
  protected readonly family: EncoderFamily<C>;

  constructor(
    family: EncoderFamily<C>,
    config: C,
    architecture: string,
    key: RandomKey,
    makeHead?: (config: C, words: EmbeddingTable, key: RandomKey) => Head,
  ) {
    super();
    const [encoderKey, headKey] = key.split(2);
    const isBase = makeHead === undefined;
    this.family = family;
    this.config = config;
    this.modelType = family.modelType;
    this.architecture = architecture;
    this.checkpointKeys = { encoder: isBase ? "" : family.prefix, head: "" };
    const hasPooler = isBase || (architecture.endsWith("ForSequenceClassification") && family.poolsForSequence);
    this.encoder = family.encoder(config, encoderKey, { hasPooler });
    if (makeHead) this.head = makeHead(config, this.encoder.wordEmbeddings, headKey);
  }

  protected encode(inputs: EncoderInputs & RunOptions): EncoderOutput {
    return withScope(this.family.prefix, () => this.encoder.encode(inputs));
  }

  /** Hidden states, and the head's logits. */
  protected run(inputs: EncoderInputs & RunOptions): Logits {
    const output = this.encode(inputs);
    return {
      logits: withScope("head", () => (this.head as Head).forward(output, inputs)),
      hiddenStates: output.hiddenStates,
    };
  }
}

/** An encoder without a head: hidden states, and a pooled one where the family has it. */
export class EncoderModel extends EncoderTaskModel<EncoderOutput> {
  readonly task = "feature-extraction";

  forward(inputs: EncoderInputs & RunOptions): EncoderOutput {
    return this.encode(inputs);
  }

  /** There is none: train a model with a head. */
  loss(): never {
    throw new TypeError(
      `${this.architecture} has no loss: load the checkpoint for a task, such as { task: "sequence-classification", head: "new" }`,
    );
  }
}

/** Predicts the word in each place, [B, T, V]; labels of -100 do not count. */
export class MaskedLM extends EncoderTaskModel<Logits> {
  readonly task = "masked-lm";
  forward(inputs: EncoderInputs & RunOptions): Logits {
    return this.run(inputs);
  }
  loss({ labels, ...inputs }: EncoderInputs & RunOptions & { labels: Tensor<"i32"> }): Tensor<"f32"> {
    return classLoss(this.run(inputs).logits, labels);
  }
}

/** Tells for each token whether another was put in its place, [B, T]. Clark et al. 2020, arXiv:2003.10555. */
export class ReplacedTokenDetector extends EncoderTaskModel<Logits> {
  readonly task = "replaced-token-detection";
  forward(inputs: EncoderInputs & RunOptions): Logits {
    const { logits, hiddenStates } = this.run(inputs);
    return { logits: reshape(logits, logits.shape.slice(0, 2)), hiddenStates };
  }
  /** Padding does not count. */
  loss({ labels, ...inputs }: EncoderInputs & RunOptions & { labels: Tensor<"i32"> }): Tensor<"f32"> {
    const losses = binaryLosses(this.forward(inputs).logits, cast(labels, "f32"));
    if (!inputs.attentionMask) return mean(losses);
    const mask = cast(inputs.attentionMask, "f32");
    return div(sum(mul(losses, mask)), sum(mask));
  }
}

/** Classifies a text, or a pair of texts: [B, N]. */
export class SequenceClassifier extends EncoderTaskModel<Logits, { labels: Tensor<"i32"> | Tensor<"f32"> }> {
  readonly task = "sequence-classification";
  forward(inputs: EncoderInputs & RunOptions): Logits {
    return this.run(inputs);
  }
  loss({ labels, ...inputs }: EncoderInputs & RunOptions & { labels: Tensor<"i32"> | Tensor<"f32"> }): Tensor<"f32"> {
    return (this.family.sequenceLoss ?? sequenceLoss)(this.run(inputs).logits, labels, this.config);
  }
}

/** Classifies each token: [B, T, N]; labels of -100 do not count. */
export class TokenClassifier extends EncoderTaskModel<Logits> {
  readonly task = "token-classification";
  forward(inputs: EncoderInputs & RunOptions): Logits {
    return this.run(inputs);
  }
  loss({ labels, ...inputs }: EncoderInputs & RunOptions & { labels: Tensor<"i32"> }): Tensor<"f32"> {
    return classLoss(this.run(inputs).logits, labels);
  }
}

export interface SpanLogits {
  /** [B, T] each */
  startLogits: Tensor<"f32">;
  endLogits: Tensor<"f32">;
  hiddenStates: Tensor<"f32">[];
}

/** Finds where an answer starts and ends. */
export class QuestionAnswerer extends EncoderTaskModel<SpanLogits, SpanLabels> {
  readonly task = "question-answering";
  forward(inputs: EncoderInputs & RunOptions): SpanLogits {
    const { logits, hiddenStates } = this.run(inputs); // [B, T, 2]
    const part = (i: number) => reshape(slice(logits, { axis: -1, start: i, end: i + 1 }), logits.shape.slice(0, 2));
    return { startLogits: part(0), endLogits: part(1), hiddenStates };
  }
  loss({ startPositions, endPositions, ...inputs }: EncoderInputs & RunOptions & SpanLabels): Tensor<"f32"> {
    const { startLogits, endLogits } = this.forward(inputs);
    return spanLoss(startLogits, endLogits, { startPositions, endPositions });
  }
}

/** The family as the registry takes it. */
export function encoderFamily<C extends EncoderConfig>(family: EncoderFamily<C>): Family {
  const { modelType, className, prefix, fields, heads } = family;
  const classes = {
    [`${className}ForMaskedLM`]: { task: "masked-lm", model: MaskedLM, head: heads.maskedLM },
    [`${className}ForSequenceClassification`]: {
      task: "sequence-classification",
      model: SequenceClassifier,
      head: withoutWords(heads.sequence),
    },
    [`${className}ForTokenClassification`]: {
      task: "token-classification",
      model: TokenClassifier,
      head: withoutWords(heads.token),
    },
    [`${className}ForQuestionAnswering`]: {
      task: "question-answering",
      model: QuestionAnswerer,
      head: withoutWords(heads.question),
    },
    ...(heads.replaced && {
      [`${className}ForPreTraining`]: {
        task: "replaced-token-detection",
        model: ReplacedTokenDetector,
        head: withoutWords(heads.replaced),
      },
    }),
    [`${className}Model`]: { task: "feature-extraction", model: EncoderModel, head: undefined },
  } as const;
  return {
    modelType,
    prefix,
    tasks: Object.fromEntries(Object.entries(classes).map(([name, { task }]) => [name, task as Task])),
    create: (architecture, path, json, key) => {
      const modern = family.modernize?.(json) ?? json;
      const plain = fields as unknown as Fields<object>;
      const config = {
        ...makeConfig<object>(`${className}Config`, plain, fromJson<object>(path, modern, plain)),
        ...labelsFromJson(path, json),
      } as C;
      family.check?.(config);
      const { model: Class, head } = classes[architecture];
      return new (Class as unknown as new (...args: unknown[]) => PretrainedModel)(
        family,
        config,
        architecture,
        key,
        head,
      );
    },
    configKeys: {
      fields,
      aliases: family.aliases,
      supported: {
        is_decoder: [false],
        add_cross_attention: [false],
        position_embedding_type: ["absolute"],
        ...family.supported,
      },
      training: family.training,
      rope: family.rope,
    },
    configToJson: ({ config }) => {
      const json = toJson(config as object, fields as unknown as Fields<object>);
      return { ...(family.writeJson?.(json) ?? json), ...labelsToJson(config as LabelConfig) };
    },
    ignored: family.ignored === null ? undefined : (family.ignored ?? POSITION_IDS),
    tied: ({ config, task }) =>
      task === "masked-lm" && (config as C).tieWordEmbeddings ? family.tied(config as C) : {},
    untie: untiedWords,
  };
}

const withoutWords =
  <C>(make: MakeHead<C>) =>
  (config: C, _: EmbeddingTable, key: RandomKey) =>
    make(config, key);
