"""Encoders with their heads: BERT, RoBERTa, XLM-RoBERTa, DistilBERT, ALBERT, ELECTRA, DeBERTa-v2, ModernBERT."""

from dataclasses import dataclass
from typing import Any

import torch
import transformers

from .common import Case, ids, padded

VOCAB = 47
LENGTH = 9
IGNORED = -100
SHOWS = 0.05
"""An epsilon of the norms that is large enough to show in the outputs when it is not read."""


def real_tokens(labels, batch):
    """The labels, but padding has none."""
    return labels.masked_fill(batch["attention_mask"] == 0, IGNORED)


def masked_labels(batch):
    labels = real_tokens(batch["input_ids"], batch)
    labels[:, ::3] = IGNORED
    return {"labels": labels}


def token_labels(batch):
    labels = real_tokens(batch["input_ids"] % 5, batch)
    labels[:, 2] = IGNORED
    return {"labels": labels}


def replaced_labels(batch):
    return {"labels": real_tokens(batch["input_ids"] % 2, batch)}


def class_labels(batch):
    return {"labels": torch.tensor([2, IGNORED, 0])}


def numbers(*labels):
    return lambda batch: {"labels": torch.tensor(labels)}


def span_labels(batch):
    """A start behind the end of the inputs counts for nothing, an end before their start counts as 0."""
    return {"start_positions": torch.tensor([1, LENGTH + 3, 0]), "end_positions": torch.tensor([4, 3, -2])}


@dataclass
class Head:
    """The end of the name of transformers' class, the outputs kept, the labels for a batch, and settings of the config."""

    suffix: str
    outputs: list[str]
    labels: Any
    config: dict


MODEL = Head("Model", ["last_hidden_state", "hidden_states.1"], None, {"output_hidden_states": True})
POOLED = Head("Model", ["last_hidden_state", "pooler_output", "hidden_states.1"], None, {"output_hidden_states": True})
MASKED = Head("ForMaskedLM", ["logits"], masked_labels, {})
CLASSES = Head("ForSequenceClassification", ["logits"], class_labels, {"num_labels": 3})
TOKENS = Head("ForTokenClassification", ["logits"], token_labels, {"num_labels": 5})
SPAN = Head("ForQuestionAnswering", ["start_logits", "end_logits"], span_labels, {})
REPLACED = Head("ForPreTraining", ["logits"], replaced_labels, {})

NUMBER = Head("ForSequenceClassification", ["logits"], numbers(0.5, -1.25, 2.0), {"num_labels": 1})
NUMBERS = Head("ForSequenceClassification", ["logits"], numbers([0.5, 1.5], [-1.25, 0.0], [2.0, -0.5]), {"num_labels": 2, "problem_type": "regression"})
MULTI = numbers([1.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0])
MULTI_LABEL = Head("ForSequenceClassification", ["logits"], MULTI, {"num_labels": 3, "problem_type": "multi_label_classification"})
MULTI_LABEL_BY_DTYPE = Head("ForSequenceClassification", ["logits"], MULTI, {"num_labels": 3})
"""No problem_type: the labels being floats makes it multi-label."""
SOFT_CLASSES = Head("ForSequenceClassification", ["logits"], numbers([0.5, 0.5, 0.0], [0.1, 0.2, 0.7], [0.0, 1.0, 0.0]), {"num_labels": 3})


@dataclass
class Family:
    """The start of the names of transformers' classes, and the settings that its cases share."""

    prefix: str
    config: dict

    def case(self, head, lengths=(9, 6, 3), **config):
        """A case of make_models.py. lengths: of the rows in padded batches."""

        def build():
            settings = self.config | head.config | config
            runs = inputs(settings, lengths)
            loss = runs[1] | head.labels(runs[1]) if head.labels else None
            model = getattr(transformers, self.prefix + head.suffix)
            return Case(model, model.config_class(**settings), runs, head.outputs, loss=loss)

        return build


def inputs(config, lengths):
    """A plain row; rows padded on the right, with token types if the family has them; rows padded on the left."""
    row, rows = ids(VOCAB, 1, 7), ids(VOCAB, 3, LENGTH)
    right, left = (padded(rows, lengths, side, config["pad_token_id"]) for side in ("right", "left"))
    if config.get("type_vocab_size", 0) > 1:
        right["token_type_ids"] = (torch.arange(LENGTH) > 4).long().expand(3, LENGTH)
    return [{"input_ids": row}, right, left]


SIZES = dict(vocab_size=VOCAB, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=24, max_position_embeddings=20)
PAD_0 = dict(pad_token_id=0, bos_token_id=1, eos_token_id=2)
PAD_1 = dict(pad_token_id=1, bos_token_id=0, eos_token_id=2)

BERT = Family("Bert", SIZES | PAD_0 | dict(type_vocab_size=2))
ROBERTA = Family("Roberta", SIZES | PAD_1 | dict(type_vocab_size=2, layer_norm_eps=1e-5))
XLM_ROBERTA = Family("XLMRoberta", SIZES | PAD_1 | dict(type_vocab_size=1, layer_norm_eps=1e-5))
DISTILBERT = Family("DistilBert", PAD_0 | dict(vocab_size=VOCAB, dim=16, n_layers=2, n_heads=4, hidden_dim=24, max_position_embeddings=20))
ALBERT = Family("Albert", SIZES | PAD_0 | dict(type_vocab_size=2, embedding_size=8, num_hidden_groups=1, inner_group_num=1))
ELECTRA = Family("Electra", SIZES | PAD_0 | dict(type_vocab_size=2, embedding_size=8))

BERT_CASES = {
    "bert": BERT.case(POOLED),
    "bert-masked-lm": BERT.case(MASKED, hidden_act="gelu_new"),
    "bert-masked-lm-untied": BERT.case(MASKED, tie_word_embeddings=False),
    "bert-sequence-classification": BERT.case(CLASSES),
    "bert-regression": BERT.case(NUMBER, hidden_act="relu"),
    "bert-regression-2": BERT.case(NUMBERS, hidden_act="silu"),
    "bert-multi-label": BERT.case(MULTI_LABEL),
    "bert-multi-label-by-dtype": BERT.case(MULTI_LABEL_BY_DTYPE),
    "bert-token-classification": BERT.case(TOKENS, layer_norm_eps=SHOWS),
    "bert-question-answering": BERT.case(SPAN),
}
# The masked LM heads of RoBERTa and ELECTRA and ELECTRA's classifier use GELU, DistilBERT's classifier ReLU, whatever the config says.
ROBERTA_CASES = {
    "roberta": ROBERTA.case(POOLED),
    "roberta-masked-lm": ROBERTA.case(MASKED, hidden_act="relu"),
    "roberta-sequence-classification": ROBERTA.case(CLASSES),
    "roberta-token-classification": ROBERTA.case(TOKENS, layer_norm_eps=SHOWS),
    "roberta-question-answering": ROBERTA.case(SPAN, pad_token_id=4),
    "xlm-roberta": XLM_ROBERTA.case(POOLED),
    "xlm-roberta-masked-lm": XLM_ROBERTA.case(MASKED),
    "xlm-roberta-sequence-classification": XLM_ROBERTA.case(CLASSES),
    "xlm-roberta-token-classification": XLM_ROBERTA.case(TOKENS),
    "xlm-roberta-question-answering": XLM_ROBERTA.case(SPAN),
}
DISTILBERT_CASES = {
    "distilbert": DISTILBERT.case(MODEL),
    "distilbert-masked-lm": DISTILBERT.case(MASKED, activation="gelu_new"),
    "distilbert-sequence-classification": DISTILBERT.case(CLASSES),
    "distilbert-token-classification": DISTILBERT.case(TOKENS, activation="relu"),
    "distilbert-question-answering": DISTILBERT.case(SPAN),
}
ALBERT_CASES = {
    "albert": ALBERT.case(POOLED),
    "albert-groups": ALBERT.case(POOLED, num_hidden_layers=4, num_hidden_groups=2, inner_group_num=2),
    "albert-masked-lm": ALBERT.case(MASKED, hidden_act="gelu"),
    "albert-sequence-classification": ALBERT.case(CLASSES),
    "albert-token-classification": ALBERT.case(TOKENS, layer_norm_eps=SHOWS),
    "albert-question-answering": ALBERT.case(SPAN),
}
ELECTRA_CASES = {
    "electra": ELECTRA.case(MODEL),
    "electra-same-width": ELECTRA.case(MODEL, embedding_size=16),
    "electra-discriminator": ELECTRA.case(REPLACED, hidden_act="gelu_new"),
    "electra-masked-lm": ELECTRA.case(MASKED, hidden_act="relu"),
    "electra-sequence-classification": ELECTRA.case(CLASSES, hidden_act="relu"),
    "electra-token-classification": ELECTRA.case(TOKENS, layer_norm_eps=SHOWS),
    "electra-question-answering": ELECTRA.case(SPAN),
}

RELATIVE = dict(relative_attention=True, pos_att_type=["p2c", "c2p"], position_biased_input=False)
BUCKETS = dict(position_buckets=8, max_relative_positions=-1, share_att_key=True, norm_rel_ebd="layer_norm")
DEBERTA = Family("DebertaV2", SIZES | PAD_0 | RELATIVE | BUCKETS)
PLAIN_DEBERTA = Family("DebertaV2", SIZES | PAD_0)
CONVOLUTION = dict(conv_kernel_size=3, conv_act="gelu", embedding_size=8, type_vocab_size=2)
FEW_BUCKETS = dict(position_buckets=4, max_relative_positions=7)
"""The longest distances fall behind the last bucket and are clamped."""
OWN_KEYS = RELATIVE | dict(max_relative_positions=4)
"""No buckets, no shared projections; distances over 4 are clamped."""

DEBERTA_CASES = {
    "deberta-v2": DEBERTA.case(MODEL),
    "deberta-v2-convolution": DEBERTA.case(MODEL, **CONVOLUTION | FEW_BUCKETS),
    "deberta-v2-own-keys": PLAIN_DEBERTA.case(MODEL, **OWN_KEYS),
    "deberta-v2-c2p": PLAIN_DEBERTA.case(MODEL, **OWN_KEYS | dict(pos_att_type=["c2p"])),
    "deberta-v2-p2c": PLAIN_DEBERTA.case(MODEL, **OWN_KEYS | dict(pos_att_type=["p2c"])),
    "deberta-v2-absolute": PLAIN_DEBERTA.case(MODEL, type_vocab_size=2, layer_norm_eps=SHOWS),
    "deberta-v2-masked-lm": DEBERTA.case(MASKED, conv_kernel_size=3, conv_groups=2),
    "deberta-v2-masked-lm-narrow": DEBERTA.case(MASKED, embedding_size=8),
    "deberta-v2-masked-lm-new": DEBERTA.case(MASKED, legacy=False, hidden_act="relu"),
    "deberta-v2-sequence-classification": DEBERTA.case(CLASSES),
    "deberta-v2-regression": PLAIN_DEBERTA.case(NUMBER, pooler_hidden_act="tanh", **OWN_KEYS),
    "deberta-v2-soft-labels": PLAIN_DEBERTA.case(SOFT_CLASSES),
    "deberta-v2-token-classification": DEBERTA.case(TOKENS, norm_rel_ebd="none"),
    "deberta-v2-question-answering": DEBERTA.case(SPAN),
}

THETAS = {"full_attention": {"rope_type": "default", "rope_theta": 100.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 10.0}}
MODERN = dict(num_hidden_layers=3, num_attention_heads=2, local_attention=4, rope_parameters=THETAS, cls_token_id=1, sep_token_id=2)
MODERNBERT = Family("ModernBert", SIZES | PAD_0 | MODERN | dict(attn_implementation="eager"))
BIASES = dict(norm_bias=True, attention_bias=True, mlp_bias=True, classifier_bias=True, decoder_bias=False)
ACTIVATIONS = dict(hidden_activation="gelu_new", classifier_activation="relu")
PATTERN = dict(layer_types=["sliding_attention", "full_attention", "sliding_attention"], local_attention=5)
LONG = (9, 8, 7)
"""So long that each padded position has a real one in its window: what a position without any answers depends on the kernel."""

MODERNBERT_CASES = {
    "modernbert": MODERNBERT.case(MODEL),
    "modernbert-default-thetas": MODERNBERT.case(MODEL, rope_parameters=None, **PATTERN),
    "modernbert-masked-lm": MODERNBERT.case(MASKED),
    "modernbert-masked-lm-biases": MODERNBERT.case(MASKED, num_hidden_layers=2, **BIASES | ACTIVATIONS),
    "modernbert-sequence-classification": MODERNBERT.case(CLASSES, LONG, norm_eps=SHOWS),
    "modernbert-mean-pooling": MODERNBERT.case(CLASSES, classifier_pooling="mean"),
    "modernbert-token-classification": MODERNBERT.case(TOKENS),
    "modernbert-question-answering": MODERNBERT.case(SPAN, LONG),
}

CASES = BERT_CASES | ROBERTA_CASES | DISTILBERT_CASES | ALBERT_CASES | ELECTRA_CASES | DEBERTA_CASES | MODERNBERT_CASES
