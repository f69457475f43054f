import type { RandomKey } from "../../tensor/index.ts";
import { size, tokenId } from "../config.ts";
import { type BertConfig, BertEncoder, bertFields, bertMaskedLM, bertTokenHeads, checkHeads } from "./bert.ts";
import {
  type EncoderDescription,
  EncoderModel,
  encoderFamily,
  MaskedLM,
  QuestionAnswerer,
  SequenceClassifier,
  TokenClassifier,
} from "./family.ts";
import { FirstTokenHead, MaskedLMHead } from "./heads.ts";

/** BERT's layers with positions that count from the padding id on, and heads under other names. */
const robertaLike = (
  names: Pick<EncoderDescription<BertConfig>, "modelType" | "classes" | "configName">,
  vocabSize: number,
): EncoderDescription<BertConfig> => ({
  ...names,
  prefix: "roberta",
  fields: { ...bertFields, vocabSize: size("vocab_size", vocabSize), padTokenId: tokenId("pad_token_id", 1) },
  check: checkHeads(names.configName),
  encoder: (config, key, options) => new BertEncoder(config, key, { ...options, countsFromPadding: true }),
  heads: {
    ...bertTokenHeads,
    maskedLM: (config, words, key) =>
      new MaskedLMHead(
        {
          ...bertMaskedLM(config),
          activation: "gelu",
          keys: {
            dense: "lm_head.dense",
            norm: "lm_head.layer_norm",
            decoder: "lm_head.decoder",
            bias: "lm_head.bias",
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
          activation: "tanh",
          keys: { dense: "classifier.dense", outProj: "classifier.out_proj" },
          dropsFirst: true,
        },
        key,
      ),
  },
  poolsForSequence: false,
  tied: () => ({
    "lm_head.decoder.weight": "roberta.embeddings.word_embeddings.weight",
    "lm_head.decoder.bias": "lm_head.bias",
  }),
});

/** RoBERTa that predicts the word in each place: i32 [B, T] -> logits [B, T, V]. arXiv:1907.11692. */
export class RobertaForMaskedLM extends MaskedLM<BertConfig> {
  constructor(options: Partial<BertConfig>, key: RandomKey) {
    super(roberta, options, key);
  }
}

/** RoBERTa that classifies texts, or pairs of texts: i32 [B, T] -> logits [B, N]. arXiv:1907.11692. */
export class RobertaForSequenceClassification extends SequenceClassifier<BertConfig> {
  constructor(options: Partial<BertConfig>, key: RandomKey) {
    super(roberta, options, key);
  }
}

/** RoBERTa that classifies each token: i32 [B, T] -> logits [B, T, N]. arXiv:1907.11692. */
export class RobertaForTokenClassification extends TokenClassifier<BertConfig> {
  constructor(options: Partial<BertConfig>, key: RandomKey) {
    super(roberta, options, key);
  }
}

/** RoBERTa that finds where an answer starts and ends: i32 [B, T] -> two logits [B, T]. arXiv:1907.11692. */
export class RobertaForQuestionAnswering extends QuestionAnswerer<BertConfig> {
  constructor(options: Partial<BertConfig>, key: RandomKey) {
    super(roberta, options, key);
  }
}

/** RoBERTa without a head: i32 [B, T] -> states [B, T, D], and the pooled one [B, D]. arXiv:1907.11692. */
export class RobertaModel extends EncoderModel<BertConfig> {
  constructor(options: Partial<BertConfig>, key: RandomKey) {
    super(roberta, options, key);
  }
}

/** XLM-RoBERTa that predicts the word in each place: i32 [B, T] -> logits [B, T, V]. arXiv:1911.02116. */
export class XLMRobertaForMaskedLM extends MaskedLM<BertConfig> {
  constructor(options: Partial<BertConfig>, key: RandomKey) {
    super(xlmRoberta, options, key);
  }
}

/** XLM-RoBERTa that classifies texts, or pairs of texts: i32 [B, T] -> logits [B, N]. arXiv:1911.02116. */
export class XLMRobertaForSequenceClassification extends SequenceClassifier<BertConfig> {
  constructor(options: Partial<BertConfig>, key: RandomKey) {
    super(xlmRoberta, options, key);
  }
}

/** XLM-RoBERTa that classifies each token: i32 [B, T] -> logits [B, T, N]. arXiv:1911.02116. */
export class XLMRobertaForTokenClassification extends TokenClassifier<BertConfig> {
  constructor(options: Partial<BertConfig>, key: RandomKey) {
    super(xlmRoberta, options, key);
  }
}

/** XLM-RoBERTa that finds where an answer starts and ends: i32 [B, T] -> two logits [B, T]. arXiv:1911.02116. */
export class XLMRobertaForQuestionAnswering extends QuestionAnswerer<BertConfig> {
  constructor(options: Partial<BertConfig>, key: RandomKey) {
    super(xlmRoberta, options, key);
  }
}

/** XLM-RoBERTa without a head: i32 [B, T] -> states [B, T, D], and the pooled one [B, D]. arXiv:1911.02116. */
export class XLMRobertaModel extends EncoderModel<BertConfig> {
  constructor(options: Partial<BertConfig>, key: RandomKey) {
    super(xlmRoberta, options, key);
  }
}

const robertaClasses = {
  RobertaForMaskedLM,
  RobertaForSequenceClassification,
  RobertaForTokenClassification,
  RobertaForQuestionAnswering,
  RobertaModel,
};
/** How RoBERTa is stored: model_type roberta. Liu et al. 2019, arXiv:1907.11692. */
export const roberta = encoderFamily(
  robertaLike({ modelType: "roberta", classes: robertaClasses, configName: "RobertaConfig" }, 50265),
);

const xlmRobertaClasses = {
  XLMRobertaForMaskedLM,
  XLMRobertaForSequenceClassification,
  XLMRobertaForTokenClassification,
  XLMRobertaForQuestionAnswering,
  XLMRobertaModel,
};
/** How XLM-RoBERTa is stored: model_type xlm-roberta. Conneau et al. 2019, arXiv:1911.02116. */
export const xlmRoberta = encoderFamily(
  robertaLike({ modelType: "xlm-roberta", classes: xlmRobertaClasses, configName: "XLMRobertaConfig" }, 30522),
);
