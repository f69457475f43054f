import type { RandomKey } from "../../tensor/index.ts";
import { size } from "../config.ts";
import { type BertConfig, BertEncoder, bertFields, bertMaskedLM, bertTokenHeads, checkHeads } from "./bert.ts";
import { binaryHead } from "./discriminator.ts";
import {
  EncoderModel,
  encoderFamily,
  MaskedLM,
  QuestionAnswerer,
  ReplacedTokenDetector,
  SequenceClassifier,
  TokenClassifier,
} from "./family.ts";
import { FirstTokenHead, MaskedLMHead } from "./heads.ts";

/**
 * The sizes of ELECTRA: BERT's, with narrower embeddings. Mirrors transformers' ElectraConfig; the defaults are those
 * of ELECTRA small. Clark et al. 2020, arXiv:2003.10555.
 */
export interface ElectraConfig extends BertConfig {
  /** Width of the embeddings, which a linear layer brings to hiddenSize. */
  embeddingSize: number;
}

/** ELECTRA that predicts the word in each place: i32 [B, T] -> logits [B, T, V]. arXiv:2003.10555. */
export class ElectraForMaskedLM extends MaskedLM<ElectraConfig> {
  constructor(options: Partial<ElectraConfig>, key: RandomKey) {
    super(electra, options, key);
  }
}

/** ELECTRA that classifies texts, or pairs of texts: i32 [B, T] -> logits [B, N]. arXiv:2003.10555. */
export class ElectraForSequenceClassification extends SequenceClassifier<ElectraConfig> {
  constructor(options: Partial<ElectraConfig>, key: RandomKey) {
    super(electra, options, key);
  }
}

/** ELECTRA that classifies each token: i32 [B, T] -> logits [B, T, N]. arXiv:2003.10555. */
export class ElectraForTokenClassification extends TokenClassifier<ElectraConfig> {
  constructor(options: Partial<ElectraConfig>, key: RandomKey) {
    super(electra, options, key);
  }
}

/** ELECTRA that finds where an answer starts and ends: i32 [B, T] -> two logits [B, T]. arXiv:2003.10555. */
export class ElectraForQuestionAnswering extends QuestionAnswerer<ElectraConfig> {
  constructor(options: Partial<ElectraConfig>, key: RandomKey) {
    super(electra, options, key);
  }
}

/** ELECTRA that tells which tokens were replaced: i32 [B, T] -> logits [B, T]. arXiv:2003.10555. */
export class ElectraForPreTraining extends ReplacedTokenDetector<ElectraConfig> {
  constructor(options: Partial<ElectraConfig>, key: RandomKey) {
    super(electra, options, binaryHead, key);
  }
}

/** ELECTRA without a head: i32 [B, T] -> states [B, T, D]. arXiv:2003.10555. */
export class ElectraModel extends EncoderModel<ElectraConfig> {
  constructor(options: Partial<ElectraConfig>, key: RandomKey) {
    super(electra, options, key);
  }
}

/** How ELECTRA is stored: model_type electra. */
export const electra = encoderFamily<ElectraConfig>({
  modelType: "electra",
  classes: {
    ElectraForMaskedLM,
    ElectraForSequenceClassification,
    ElectraForTokenClassification,
    ElectraForQuestionAnswering,
    ElectraForPreTraining,
    ElectraModel,
  },
  configName: "ElectraConfig",
  prefix: "electra",
  fields: {
    ...bertFields,
    embeddingSize: size("embedding_size", 128),
    hiddenSize: size("hidden_size", 256),
    numHeads: size("num_attention_heads", 4),
    intermediateSize: size("intermediate_size", 1024),
  },
  check: checkHeads("ElectraConfig"),
  encoder: (config, key) => new BertEncoder(config, key, { hasPooler: false, embeddingSize: config.embeddingSize }),
  heads: {
    ...bertTokenHeads,
    maskedLM: (config, words, key) =>
      new MaskedLMHead(
        {
          ...bertMaskedLM(config),
          embeddingSize: config.embeddingSize,
          activation: "gelu",
          keys: {
            dense: "generator_predictions.dense",
            norm: "generator_predictions.LayerNorm",
            decoder: "generator_lm_head",
            bias: "generator_lm_head.bias",
          },
        },
        words,
        key,
      ),
    sequence: (config, key) =>
      new FirstTokenHead(
        {
          ...config,
          outputs: config.labels.length,
          activation: "gelu",
          keys: { dense: "classifier.dense", outProj: "classifier.out_proj" },
          dropsFirst: true,
        },
        key,
      ),
  },
  poolsForSequence: false,
  tied: () => ({ "generator_lm_head.weight": "electra.embeddings.word_embeddings.weight" }),
});
