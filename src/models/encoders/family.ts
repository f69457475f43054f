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
import { POSITION_IDS, untiedWords } from "../family.ts";
import { modelPart, type OnnxPart, onnxTexts } from "../formats/onnx-parts/part.ts";
import { type Json, type LabelConfig, labelFields, labelsFromJson, labelsToJson } from "../labels.ts";
import { binaryLosses, classLoss, type SpanLabels, sequenceLoss, spanLoss } from "../losses.ts";
import {
  type ConfigKeys,
  type Family,
  type ModelClass,
  type RunOptions,
  type Task,
  TaskModel,
  type Trainable,
} from "../model.ts";
import type { EncoderInputs, EncoderOutput, TextEncoder, TextEncoderConfig } from "./encoder.ts";
import type { Head } from "./heads.ts";

/** i32 [B, T], a label for each token */
type TokenLabels = EncoderInputs & { labels: Tensor<"i32"> };
type Logits = { logits: Tensor<"f32">; hiddenStates: Tensor<"f32">[] };
type MakeHead<C> = (config: C, key: RandomKey) => Head;
type MakeWordHead<C> = (config: C, words: EmbeddingTable, key: RandomKey) => Head;

/** What a family of encoders is made of. */
export interface EncoderDescription<C extends TextEncoderConfig> {
  modelType: string;
  /** The classes, by their names in transformers. */
  classes: Readonly<Record<string, ModelClass>>;
  /** What errors call the config, such as "BertConfig". */
  configName: string;
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
  /** Fills in what follows from other fields. */
  complete?(config: C): C;
  /** Checks what single fields cannot tell. */
  check?(config: C): void;
  /** Stored tensors that are no weights. @default POSITION_IDS */
  ignored?: Family["ignored"] | null;
  /** Makes the part below the head: TextEncoder says the shapes. */
  encoder(config: C, key: RandomKey, options: { hasPooler: boolean }): TextEncoder;
  heads: {
    maskedLM: MakeWordHead<C>;
    sequence: MakeHead<C>;
    token: MakeHead<C>;
    question: MakeHead<C>;
  };
  /** Whether sequence classification reads the pooler. */
  poolsForSequence: boolean;
  /** The loss of sequence classification. @default sequenceLoss */
  sequenceLoss?: typeof sequenceLoss;
  /** Names of the weights that checkpoints of tied masked-LM heads may repeat. */
  tied(config: C): Readonly<Record<string, string>>;
}

/** A family of encoders, as its models need it. */
export interface EncoderFamily<C extends TextEncoderConfig> extends Family {
  readonly description: EncoderDescription<C>;
}

/** A config from options: defaults filled in, and checked. @throws OptionError naming the field */
function encoderConfig<C extends TextEncoderConfig>(
  { configName, fields, complete, check }: EncoderDescription<C>,
  options: Partial<C>,
): C {
  const all = { ...fields, ...labelFields } as unknown as Fields<C>;
  const config = makeConfig(configName, all, options);
  const completed = complete?.(config) ?? config;
  check?.(completed);
  return completed;
}

/** An encoder with a head, or without one. */
abstract class EncoderTaskModel<O extends object, C extends TextEncoderConfig = TextEncoderConfig> extends TaskModel<
  EncoderInputs,
  O
> {
  readonly encoder: TextEncoder;
  readonly head?: Head;
  readonly config: C;
  readonly family: Family;
  abstract override readonly task: Task;
  protected override readonly checkpointKeys: Readonly<Record<string, string>>;
  private readonly scope: string;

  /** @throws OptionError when the config contradicts itself */
  constructor(
    family: EncoderFamily<C>,
    options: Partial<C>,
    { makeHead, hasPooler }: { makeHead?: MakeWordHead<C>; hasPooler: boolean },
    key: RandomKey,
  ) {
    super();
    const [encoderKey, headKey] = key.split(2);
    const { description } = family;
    const config = encoderConfig(description, options);
    this.family = family;
    this.config = config;
    this.checkpointKeys = { encoder: makeHead ? description.prefix : "", head: "" };
    this.scope = description.prefix;
    this.encoder = description.encoder(config, encoderKey, { hasPooler });
    if (makeHead) this.head = makeHead(config, this.encoder.wordEmbeddings, headKey);
  }

  onnxParts(): OnnxPart[] {
    return [modelPart<EncoderInputs>(onnxTexts(this.config.typeVocabSize), (inputs) => this.forward(inputs))];
  }

  /** inputIds: i32 [B, T] -> hidden states [B, T, D], and the pooled one [B, D] where the encoder has a pooler */
  protected encode(inputs: EncoderInputs & RunOptions): EncoderOutput {
    return withScope(this.scope, () => this.encoder.encode(inputs));
  }

  /** inputIds: i32 [B, T] -> the head's logits, [B, T, V], [B, N] or [B, T, N], and the hidden states [B, T, D] */
  protected run(inputs: EncoderInputs & RunOptions): Logits {
    const output = this.encode(inputs);
    return {
      logits: withScope("head", () => (this.head as Head).forward(output, inputs)),
      hiddenStates: output.hiddenStates,
    };
  }
}

/**
 * An encoder without a head: hidden states, and a pooled one where the family has it. Feature extraction; transformers'
 * Model classes.
 */
export abstract class EncoderModel<C extends TextEncoderConfig = TextEncoderConfig> extends EncoderTaskModel<
  EncoderOutput,
  C
> {
  static readonly task = "feature-extraction";
  readonly task = EncoderModel.task;

  constructor(family: EncoderFamily<C>, options: Partial<C>, key: RandomKey) {
    super(family, options, { hasPooler: true }, key);
  }

  /** inputIds: i32 [B, T] -> lastHiddenState [B, T, D], poolerOutput [B, D] of families with a pooler */
  forward(inputs: EncoderInputs & RunOptions): EncoderOutput {
    return this.encode(inputs);
  }
}

/** Predicts the word in each place, [B, T, V]; labels of -100 do not count. */
export abstract class MaskedLM<C extends TextEncoderConfig = TextEncoderConfig>
  extends EncoderTaskModel<Logits, C>
  implements Trainable<TokenLabels>
{
  static readonly task = "masked-lm";
  readonly task = MaskedLM.task;

  constructor(family: EncoderFamily<C>, options: Partial<C>, key: RandomKey) {
    super(family, options, { makeHead: family.description.heads.maskedLM, hasPooler: false }, key);
  }

  /** inputIds: i32 [B, T] -> logits of each word in each place [B, T, V] */
  forward(inputs: EncoderInputs & RunOptions): Logits {
    return this.run(inputs);
  }
  /** Mean cross-entropy of the labels, i32 [B, T], in nats; -100 does not count. -> [] */
  loss({ labels, ...inputs }: TokenLabels & RunOptions): Tensor<"f32"> {
    return classLoss(this.run(inputs).logits, labels);
  }
}

/** Tells for each token whether another was put in its place, [B, T]. Clark et al. 2020, arXiv:2003.10555. */
export abstract class ReplacedTokenDetector<C extends TextEncoderConfig = TextEncoderConfig>
  extends EncoderTaskModel<Logits, C>
  implements Trainable<TokenLabels>
{
  static readonly task = "replaced-token-detection";
  readonly task = ReplacedTokenDetector.task;

  constructor(family: EncoderFamily<C>, options: Partial<C>, makeHead: MakeHead<C>, key: RandomKey) {
    super(family, options, { makeHead: withoutWords(makeHead), hasPooler: false }, key);
  }

  /** inputIds: i32 [B, T] -> logits [B, T]; a token was replaced where its logit is above 0 */
  forward(inputs: EncoderInputs & RunOptions): Logits {
    const { logits, hiddenStates } = this.run(inputs);
    return { logits: reshape(logits, logits.shape.slice(0, 2)), hiddenStates };
  }
  /**
   * Mean binary cross-entropy of the labels, i32 [B, T], 1 where a token was replaced; padding does not count. -> []
   */
  loss({ labels, ...inputs }: TokenLabels & RunOptions): Tensor<"f32"> {
    const losses = binaryLosses(this.forward(inputs).logits, cast(labels, "f32"));
    if (!inputs.attentionMask) return mean(losses);
    const mask = cast(inputs.attentionMask, "f32");
    return div(sum(mul(losses, mask)), sum(mask));
  }
}

/** Classifies a text, or a pair of texts: [B, N]. */
export abstract class SequenceClassifier<C extends TextEncoderConfig = TextEncoderConfig>
  extends EncoderTaskModel<Logits, C>
  implements Trainable<EncoderInputs & { labels: Tensor<"i32"> | Tensor<"f32"> }>
{
  static readonly task = "sequence-classification";
  readonly task = SequenceClassifier.task;

  private readonly lossOf: typeof sequenceLoss;

  constructor(family: EncoderFamily<C>, options: Partial<C>, key: RandomKey) {
    const { heads, poolsForSequence: hasPooler, sequenceLoss: lossOf = sequenceLoss } = family.description;
    super(family, options, { makeHead: withoutWords(heads.sequence), hasPooler }, key);
    this.lossOf = lossOf;
  }

  /** inputIds: i32 [B, T] -> logits [B, N] */
  forward(inputs: EncoderInputs & RunOptions): Logits {
    return this.run(inputs);
  }
  /**
   * Cross-entropy of labels i32 [B], or, by the config's problemType, squared error of numbers f32 [B], or binary
   * cross-entropy of several labels f32 [B, N]. -> []
   */
  loss({ labels, ...inputs }: EncoderInputs & RunOptions & { labels: Tensor<"i32"> | Tensor<"f32"> }): Tensor<"f32"> {
    return this.lossOf(this.run(inputs).logits, labels, this.config);
  }
}

/** Classifies each token: [B, T, N]; labels of -100 do not count. */
export abstract class TokenClassifier<C extends TextEncoderConfig = TextEncoderConfig>
  extends EncoderTaskModel<Logits, C>
  implements Trainable<TokenLabels>
{
  static readonly task = "token-classification";
  readonly task = TokenClassifier.task;

  constructor(family: EncoderFamily<C>, options: Partial<C>, key: RandomKey) {
    super(family, options, { makeHead: withoutWords(family.description.heads.token), hasPooler: false }, key);
  }

  /** inputIds: i32 [B, T] -> logits [B, T, N] */
  forward(inputs: EncoderInputs & RunOptions): Logits {
    return this.run(inputs);
  }
  /** Mean cross-entropy of the labels, i32 [B, T], in nats; -100 does not count. -> [] */
  loss({ labels, ...inputs }: TokenLabels & RunOptions): Tensor<"f32"> {
    return classLoss(this.run(inputs).logits, labels);
  }
}

/** For each token, whether the answer starts there, and whether it ends there. */
export interface SpanLogits {
  /** That the answer starts at a token: [B, T] */
  startLogits: Tensor<"f32">;
  /** That the answer ends at a token: [B, T] */
  endLogits: Tensor<"f32">;
  /** The embeddings, then the output of each layer: [B, T, D] each. */
  hiddenStates: Tensor<"f32">[];
}

/**
 * Finds where in a text the answer to a question starts and ends: logits [B, T] each. transformers'
 * ForQuestionAnswering classes.
 */
export abstract class QuestionAnswerer<C extends TextEncoderConfig = TextEncoderConfig>
  extends EncoderTaskModel<SpanLogits, C>
  implements Trainable<EncoderInputs & SpanLabels>
{
  static readonly task = "question-answering";
  readonly task = QuestionAnswerer.task;

  constructor(family: EncoderFamily<C>, options: Partial<C>, key: RandomKey) {
    // its two outputs are no classes; transformers takes num_labels for their number
    const config = { ...options, labels: undefined };
    super(family, config, { makeHead: withoutWords(family.description.heads.question), hasPooler: false }, key);
  }

  /** inputIds: i32 [B, T] -> startLogits and endLogits, [B, T] each */
  forward(inputs: EncoderInputs & RunOptions): SpanLogits {
    const { logits, hiddenStates } = this.run(inputs); // [B, T, 2]
    const part = (i: number) => reshape(slice(logits, { axis: -1, start: i, end: i + 1 }), logits.shape.slice(0, 2));
    return { startLogits: part(0), endLogits: part(1), hiddenStates };
  }
  /** The mean of the cross-entropies of start and end, i32 [B] each, in nats. -> [] */
  loss({ startPositions, endPositions, ...inputs }: EncoderInputs & RunOptions & SpanLabels): Tensor<"f32"> {
    const { startLogits, endLogits } = this.forward(inputs);
    return spanLoss(startLogits, endLogits, { startPositions, endPositions });
  }
}

/** The family as its models and the registry take it. */
export function encoderFamily<C extends TextEncoderConfig>(description: EncoderDescription<C>): EncoderFamily<C> {
  const { modelType, classes, prefix, fields, ignored = POSITION_IDS } = description;
  const plain = fields as unknown as Fields<object>;
  return {
    description,
    modelType,
    classes,
    prefix,
    configFromJson: (path, json) => ({
      ...fromJson<object>(path, description.modernize?.(json) ?? json, plain),
      ...labelsFromJson(path, json),
    }),
    configKeys: {
      fields,
      aliases: description.aliases,
      supported: {
        is_decoder: [false],
        add_cross_attention: [false],
        position_embedding_type: ["absolute"],
        ...description.supported,
      },
      training: description.training,
      rope: description.rope,
    },
    configToJson: ({ config }) => {
      const json = toJson(config as object, plain);
      return { ...(description.writeJson?.(json) ?? json), ...labelsToJson(config as LabelConfig) };
    },
    ignored: ignored ?? undefined,
    tied: ({ config, task }) =>
      task === "masked-lm" && (config as C).tieWordEmbeddings ? description.tied(config as C) : {},
    untie: untiedWords,
  };
}

const withoutWords =
  <C>(make: MakeHead<C>): MakeWordHead<C> =>
  (config, _, key) =>
    make(config, key);
