"""Encoder-decoders: T5 and mT5, BART, Marian, Whisper."""

from types import MethodType

from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BartForSequenceClassification,
    GenerationMixin,
    MarianConfig,
    MarianMTModel,
    MT5Config,
    MT5EncoderModel,
    MT5ForConditionalGeneration,
    T5Config,
    T5EncoderModel,
    T5ForConditionalGeneration,
    WhisperConfig,
    WhisperForConditionalGeneration,
)

from .common import Case, ids, padded

import torch

VOCAB = 41
LENGTHS = [9, 6, 3]
OUTPUTS = ["logits", "encoder_last_hidden_state"]


def decoder_padded(rows, lengths, pad):
    """The same ids with padding on the right: decoder_input_ids, decoder_attention_mask."""
    batch = padded(rows, lengths, pad=pad)
    return {"decoder_input_ids": batch["input_ids"], "decoder_attention_mask": batch["attention_mask"]}


def labels(rows):
    """Ids to predict; some of each row do not count."""
    rows = rows.clone()
    rows[0, 2] = -100
    rows[1:, -2:] = -100
    return rows


def text_to_text(build, config, pad, start, low=3, high=VOCAB, draw=0, scale=0.3):
    """A model that reads and writes ids from low to high - 1. draw: another number for other inputs."""

    def case():
        torch.manual_seed(torch.initial_seed() + draw)
        rows, prompts = ids(high, 3, 9, low=low), ids(high, 2, 1, 7, low=low)
        answers = torch.cat([torch.full((3, 1), start), ids(high, 3, 5, low=low)], dim=1)
        right = padded(rows, LENGTHS, pad=pad)
        runs = [
            {"input_ids": rows, "decoder_input_ids": answers},
            right | decoder_padded(answers, [4, 6, 2], pad),
            padded(rows, LENGTHS, "left", pad) | {"decoder_input_ids": answers},
        ]
        greedy = [{"input_ids": prompts[0]}, padded(prompts[1], [5], pad=pad)]
        return Case(build, config, runs, OUTPUTS, loss=right | {"labels": labels(answers[:, 1:])}, greedy=greedy, scale=scale)

    return case


class HubT5Config(T5Config):
    """Writes config.json as the files of T5 1.1 and Flan-T5 on the Hub have it; transformers 5 writes other keys."""

    def to_dict(self):
        keys = super().to_dict() | {"tie_word_embeddings": False}
        keys.pop("scale_decoder_outputs", None)
        return keys


def untied(model_class):
    """T5 with an output layer of its own. transformers ties it, and undoes that when a file has both tensors."""

    def build(config):
        model = model_class(config)
        model.lm_head.weight = torch.nn.Parameter(torch.zeros(config.vocab_size, config.d_model))
        model._tied_weights_keys = {key: source for key, source in model._tied_weights_keys.items() if key != "lm_head.weight"}
        return model

    return build


T5 = dict(vocab_size=VOCAB, d_model=16, d_kv=5, d_ff=20, num_layers=2, num_heads=2, decoder_start_token_id=0)
FEW_BUCKETS = dict(relative_attention_num_buckets=8, relative_attention_max_distance=7)


def encoder_alone(build, config):
    def case():
        rows = ids(VOCAB, 3, 9)
        runs = [{"input_ids": rows}, padded(rows, LENGTHS, pad=0), padded(rows, LENGTHS, "left", pad=0)]
        return Case(build, config, runs, ["last_hidden_state"])

    return case


def with_bias(model_class, **generation):
    """A model with a final_logits_bias that is not zero, and settings of its generation_config.json."""

    def build(config):
        model = model_class(config)
        model.final_logits_bias.normal_(std=0.3)
        model.generation_config.update(**generation)
        return model

    return build


BART = dict(
    vocab_size=VOCAB, d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=2,
    encoder_ffn_dim=16, decoder_ffn_dim=20, max_position_embeddings=14,
)  # fmt: skip


def bart_classification():
    """Rows as <s> premise </s></s> hypothesis </s>: the last </s> of the decoder's states is classified."""
    premises, hypotheses = ids(VOCAB, 3, 4), ids(VOCAB, 3, 3)
    rows, lefts = torch.ones(3, 11, dtype=torch.long), torch.ones(3, 11, dtype=torch.long)
    for row, cut in enumerate([0, 1, 3]):
        text = torch.tensor([0, *premises[row, cut:], 2, 2, *hypotheses[row], 2])
        rows[row, : len(text)] = text
        lefts[row, 11 - len(text) :] = text
    right = {"input_ids": rows, "attention_mask": (rows != 1).long()}
    runs = [right, {"input_ids": lefts, "attention_mask": (lefts != 1).long()}, {"input_ids": rows[:1]}]
    names = ["contradiction", "neutral", "entailment"]
    label2id = {name: index for index, name in enumerate(names)}
    config = BartConfig(**BART, scale_embedding=True, activation_function="relu", id2label=dict(enumerate(names)), label2id=label2id)
    return Case(BartForSequenceClassification, config, runs, OUTPUTS, loss=right | {"labels": torch.tensor([2, 0, 1])})


MARIAN_PAD = VOCAB - 1
MARIAN = dict(
    vocab_size=VOCAB, d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
    encoder_ffn_dim=20, decoder_ffn_dim=16, max_position_embeddings=14, activation_function="swish", scale_embedding=True,
    static_position_embeddings=True, normalize_before=False, normalize_embedding=False, add_final_layer_norm=False,
    pad_token_id=MARIAN_PAD, decoder_start_token_id=MARIAN_PAD, eos_token_id=0, forced_eos_token_id=0,
)  # fmt: skip
NEVER_PAD = dict(bad_words_ids=[[MARIAN_PAD]])

WHISPER_PAD = 1
WHISPER = dict(
    vocab_size=VOCAB, num_mel_bins=8, d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=2,
    encoder_ffn_dim=16, decoder_ffn_dim=20, max_source_positions=20, max_target_positions=16,
    decoder_start_token_id=2, pad_token_id=WHISPER_PAD, bos_token_id=WHISPER_PAD, eos_token_id=WHISPER_PAD, begin_suppress_tokens=None,
)  # fmt: skip


def plain_whisper(config):
    """generate() is that of other models: Whisper's own also picks a language and cuts long audio into parts."""
    model = WhisperForConditionalGeneration(config)
    model.generate = MethodType(GenerationMixin.generate, model)
    model.generation_config.update(suppress_tokens=[5, 11, 17], begin_suppress_tokens=[12, WHISPER_PAD])
    return model


def whisper(draw=0, scale=0.3):
    def case():
        torch.manual_seed(torch.initial_seed() + draw)
        features = torch.randn(3, 8, 40).mul(4).round() / 8  # few digits
        prompt, features = features[2:], features[:2]
        answers = torch.cat([torch.full((2, 1), 2), ids(VOCAB, 2, 5)], dim=1)
        runs = [
            {"input_features": features, "decoder_input_ids": answers},
            {"input_features": features[1:]} | decoder_padded(answers[1:], [4], WHISPER_PAD),
        ]
        greedy = [{"input_features": prompt}, {"input_features": features[:1], "decoder_input_ids": answers[:1, :4]}]
        loss = {"input_features": features, "labels": labels(answers[:, 1:])}
        return Case(plain_whisper, WhisperConfig(**WHISPER), runs, OUTPUTS, loss=loss, greedy=greedy, scale=scale)

    return case


# `draw` and `scale` are chosen so that greedy choices vary and are clear, that suppressed and bad ids would else be chosen,
# and that outputs and gradients of float32 are within 4e-6 of those of float64.
CASES = {
    "t5": text_to_text(T5ForConditionalGeneration, T5Config(**T5, **FEW_BUCKETS), pad=0, start=0, draw=204, scale=0.4),
    "t5-gated": text_to_text(
        untied(T5ForConditionalGeneration),
        HubT5Config(**T5, feed_forward_proj="gated-gelu", tie_word_embeddings=False),
        pad=0,
        start=0,
        draw=143,
        scale=0.25,
    ),
    "t5-encoder": encoder_alone(T5EncoderModel, T5Config(**T5, feed_forward_proj="gated-gelu", tie_word_embeddings=False)),
    "mt5-encoder": encoder_alone(MT5EncoderModel, MT5Config(**T5, **FEW_BUCKETS)),
    "mt5": text_to_text(
        untied(MT5ForConditionalGeneration), MT5Config(**T5, num_decoder_layers=1, **FEW_BUCKETS), pad=0, start=0, draw=199, scale=0.25
    ),
    "bart": text_to_text(
        with_bias(BartForConditionalGeneration, forced_bos_token_id=0), BartConfig(**BART, forced_eos_token_id=2), pad=1, start=2, draw=170
    ),
    "bart-sequence-classification": bart_classification,
    "marian": text_to_text(
        with_bias(MarianMTModel, **NEVER_PAD), MarianConfig(**MARIAN), pad=MARIAN_PAD, start=MARIAN_PAD, low=1, high=MARIAN_PAD, draw=293, scale=0.2
    ),
    "marian-two-vocabularies": text_to_text(
        with_bias(MarianMTModel, **NEVER_PAD),
        MarianConfig(**MARIAN, decoder_vocab_size=VOCAB + 3, share_encoder_decoder_embeddings=False),
        pad=MARIAN_PAD,
        start=MARIAN_PAD,
        low=1,
        high=MARIAN_PAD,
        draw=289,
        scale=0.15,
    ),
    "whisper": whisper(draw=34),
}
