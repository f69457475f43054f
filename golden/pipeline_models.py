"""The tokenizers and the tiny random models of golden/pipelines/models/; makes nothing when run."""

import json

from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    BlipProcessor,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTokenizer,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Tokenizer,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    Qwen2VLProcessor,
    RobertaConfig,
    RobertaForQuestionAnswering,
    RobertaForTokenClassification,
    RobertaTokenizer,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

import torch
from common import GOLDEN
from make_models import redraw
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

FOLDER = GOLDEN / "pipelines" / "models"
TEXT = (GOLDEN / "tokenizers" / "moby-60k.txt").read_text(encoding="utf-8")

BERT_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
MARKS = "!(),-.:;?"
END = "<|endoftext|>"


def train(model, cut, trainer, text=TEXT):
    """(vocabulary, merges) of a tokenizer trained on the text in lower case."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = cut
    tokenizer.train_from_iterator([text], trainer)
    kept = json.loads(tokenizer.to_str())["model"]
    return kept["vocab"], [tuple(pair) for pair in kept.get("merges", [])]


def wordpiece():
    """300 pieces. The forms of letters inside words are given, since the trainer numbers them in another order each time."""
    forms = ["##" + letter for letter in LETTERS]
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=BERT_SPECIAL + forms, limit_alphabet=40, show_progress=False)
    return train(models.WordPiece(unk_token="[UNK]"), pre_tokenizers.BertPreTokenizer(), trainer)[0]


def byte_level(special, alphabet=()):
    """300 pieces; of bytes, those of the text and of the alphabet. With all bytes few pieces are longer, and what random models write is hard to read."""
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=sorted(alphabet), show_progress=False)
    return train(models.BPE(), pre_tokenizers.ByteLevel(add_prefix_space=False), trainer)


def end_of_word():
    """Pieces as CLIP has them, "</w>" at the end of words; of other bytes than those of LETTERS and MARKS there are none."""
    forms = [letter + "</w>" for letter in LETTERS + MARKS]
    trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=forms, end_of_word_suffix="</w>", show_progress=False)
    text = "".join(letter for letter in TEXT.lower() if letter in LETTERS + MARKS or letter.isspace())
    vocabulary, merges = train(models.BPE(end_of_word_suffix="</w>"), pre_tokenizers.BertPreTokenizer(), trainer, text)
    return vocabulary | {"<|startoftext|>": len(vocabulary), END: len(vocabulary) + 1}, merges


def bert_tokenizer(**options):
    return BertTokenizer(vocab=wordpiece(), do_lower_case=True, **options)


def roberta_tokenizer(alphabet=(), **options):
    vocabulary, merges = byte_level(ROBERTA_SPECIAL, alphabet)
    return RobertaTokenizer(vocab=vocabulary, merges=merges, **options)


CHAT = (
    "{% for message in messages %}{{ message.role }}: {% if message.content is string %}{{ message.content }}{% else %}"
    "{% for part in message.content %}{{ IMAGE if part.type == 'image' else part.text }}{% endfor %}{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def gpt2_tokenizer(special=(), **options):
    """special: further special tokens, at the end of the vocabulary."""
    vocabulary, merges = byte_level([END])
    tokenizer = GPT2Tokenizer(vocab=vocabulary, merges=merges, pad_token=END, **options)
    tokenizer.add_special_tokens({"additional_special_tokens": list(special)})
    return tokenizer


def names(labels):
    return {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}


SMALL = dict(hidden_size=12, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
TAGS = ["O", "B-PER", "I-PER", "B-SHIP", "I-SHIP", "PLACE"]


def bert(build, tokenizer=None, **config):
    """A function that makes (model, other things to save)."""

    def make():
        saved = bert_tokenizer(**tokenizer or {})
        return build(BertConfig(vocab_size=len(saved), **SMALL, max_position_embeddings=64, pad_token_id=0, **config)), [saved]

    return make


def roberta(build, tokenizer=None, **config):
    def make():
        saved = roberta_tokenizer(pre_tokenizers.ByteLevel.alphabet(), **tokenizer or {})
        sizes = dict(SMALL, vocab_size=len(saved), max_position_embeddings=66)
        return build(RobertaConfig(**sizes, bos_token_id=0, pad_token_id=1, eos_token_id=2, **config)), [saved]

    return make


def gpt2():
    tokenizer = gpt2_tokenizer(chat_template=CHAT.replace("IMAGE", "''"), model_max_length=40)
    end = tokenizer.eos_token_id
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=12, n_layer=2, n_head=2, n_inner=16, n_positions=96, bos_token_id=end, eos_token_id=end)
    return GPT2LMHeadModel(config), [tokenizer]


def bart():
    tokenizer = roberta_tokenizer(model_max_length=60)
    config = BartConfig(
        vocab_size=len(tokenizer), d_model=12, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=64, bos_token_id=0, pad_token_id=1, eos_token_id=2,
        decoder_start_token_id=2, forced_eos_token_id=2,
    )  # fmt: skip
    return BartForConditionalGeneration(config), [tokenizer]


VISION = dict(**SMALL, image_size=16, patch_size=8)


def square(size):
    return {"height": size, "width": size}


def clip():
    vocabulary, merges = end_of_word()
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges)
    text = dict(SMALL, vocab_size=len(vocabulary), max_position_embeddings=32, projection_dim=8, bos_token_id=len(vocabulary) - 2, eos_token_id=len(vocabulary) - 1)
    config = CLIPConfig(text_config=text, vision_config=dict(VISION, projection_dim=8), projection_dim=8)
    return CLIPModel(config), [tokenizer, CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=square(16))]


def siglip():
    tokenizer = bert_tokenizer(model_max_length=64)
    text = dict(SMALL, vocab_size=len(tokenizer), max_position_embeddings=64, bos_token_id=2, eos_token_id=3, pad_token_id=0)
    return SiglipModel(SiglipConfig(text_config=text, vision_config=VISION)), [tokenizer, SiglipImageProcessorPil(size=square(16))]


def blip():
    tokenizer = bert_tokenizer(extra_special_tokens=["[DEC]"])
    text = dict(SMALL, vocab_size=len(tokenizer), max_position_embeddings=64, bos_token_id=tokenizer.convert_tokens_to_ids("[DEC]"), eos_token_id=2, sep_token_id=3, pad_token_id=0)
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=VISION))
    pictures = BlipImageProcessorPil(size=square(16))
    return model, [BlipProcessor(pictures, tokenizer), pictures]


def llava():
    tokenizer = gpt2_tokenizer(["<image>"])
    text = dict(SMALL, model_type="llama", num_key_value_heads=1, vocab_size=len(tokenizer), bos_token_id=None, eos_token_id=0, pad_token_id=0)
    vision = dict(VISION, model_type="clip_vision_model", projection_dim=8)
    image = tokenizer.convert_tokens_to_ids("<image>")
    processor = LlavaProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=square(16)),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT.replace("IMAGE", "'<image>'"),
    )
    return LlavaForConditionalGeneration(LlavaConfig(vision_config=vision, text_config=text, image_token_index=image, image_seq_length=4)), [processor]


def qwen2_vl():
    special = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    tokenizer = gpt2_tokenizer(special)
    start, end, image, video = tokenizer.convert_tokens_to_ids(special)
    text = dict(
        SMALL, hidden_size=16, num_key_value_heads=1, vocab_size=len(tokenizer), bos_token_id=None, eos_token_id=0, pad_token_id=0,
        rope_parameters={"rope_type": "default", "rope_theta": 1000.0, "mrope_section": [2, 1, 1]},
    )  # fmt: skip
    vision = dict(depth=1, embed_dim=16, hidden_size=16, num_heads=2, mlp_ratio=2, patch_size=4)
    config = Qwen2VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=True, image_token_id=image, video_token_id=video, vision_start_token_id=start, vision_end_token_id=end
    )
    sizes = dict(patch_size=4, merge_size=2, temporal_patch_size=2, size={"shortest_edge": 16 * 16, "longest_edge": 24 * 24})
    placeholder = "'<|vision_start|><|image_pad|><|vision_end|>'"
    processor = Qwen2VLProcessor(Qwen2VLImageProcessorPil(**sizes), tokenizer, Qwen2VLVideoProcessor(**sizes), chat_template=CHAT.replace("IMAGE", placeholder))
    return Qwen2VLForConditionalGeneration(config), [processor]


SECONDS = 2  # of sound that Whisper sees at once; 30 in the published models
STEPS = 50 * SECONDS
LANGUAGES = ["<|en|>", "<|fr|>"]
WHISPER_SPECIAL = ["<|startoftranscript|>", *LANGUAGES, "<|translate|>", "<|transcribe|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]


def whisper():
    vocabulary, merges = byte_level([])
    times = [f"<|{step / 50:.2f}|>" for step in range(STEPS + 1)]
    pieces = [END, *WHISPER_SPECIAL, *times]
    vocabulary |= {piece: len(vocabulary) + index for index, piece in enumerate(pieces)}
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=merges, pad_token=END, extra_special_tokens=WHISPER_SPECIAL)
    tokenizer.add_tokens(times)
    at = tokenizer.convert_tokens_to_ids
    config = WhisperConfig(
        vocab_size=len(vocabulary), num_mel_bins=80, d_model=12, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=16, decoder_ffn_dim=16, max_source_positions=STEPS, max_target_positions=40,
        decoder_start_token_id=at("<|startoftranscript|>"), pad_token_id=at(END), bos_token_id=at(END), eos_token_id=at(END), begin_suppress_tokens=None,
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        decoder_start_token_id=at("<|startoftranscript|>"), pad_token_id=at(END), bos_token_id=at(END), eos_token_id=at(END), max_length=40,
        is_multilingual=True, lang_to_id={name: at(name) for name in LANGUAGES}, task_to_id={"transcribe": at("<|transcribe|>"), "translate": at("<|translate|>")},
        no_timestamps_token_id=at("<|notimestamps|>"), prev_sot_token_id=at("<|startofprev|>"), max_initial_timestamp_index=50, return_timestamps=False,
        suppress_tokens=[at(name) for name in WHISPER_SPECIAL], begin_suppress_tokens=[at(END)],
    )  # fmt: skip
    return model, [tokenizer, WhisperFeatureExtractor(feature_size=80, chunk_length=SECONDS)]


MOODS = ["sad", "glad", "stormy"]
NLI = ["contradiction", "neutral", "entailment"]

# name: (what makes the model, number for other weights, their standard deviation)
MODELS = {
    "bert-sequence-classification": (bert(BertForSequenceClassification, **names(MOODS)), 4, 0.6),
    "bert-multi-label": (bert(BertForSequenceClassification, problem_type="multi_label_classification", **names(MOODS)), 7, 0.6),
    "bert-regression": (bert(BertForSequenceClassification, problem_type="regression", num_labels=1), 0, 0.4),
    "bert-token-classification": (bert(BertForTokenClassification, {"model_max_length": 24}, **names(TAGS)), 6, 0.4),
    "roberta-token-classification": (roberta(RobertaForTokenClassification, {"model_max_length": 64}, **names(TAGS)), 13, 0.4),
    "bert-question-answering": (bert(BertForQuestionAnswering, {"model_max_length": 48}), 12, 0.9),
    "roberta-question-answering": (roberta(RobertaForQuestionAnswering, {"model_max_length": 64}), 6, 0.9),
    "bert-masked-lm": (bert(BertForMaskedLM, {"model_max_length": 64}), 13, 0.6),
    "bert-nli": (bert(BertForSequenceClassification, {"model_max_length": 24}, **names(NLI)), 13, 0.4),
    "bert-nli-entailment-first": (bert(BertForSequenceClassification, **names(["ENTAILMENT", "NEUTRAL", "CONTRADICTION"])), 12, 0.4),
    "gpt2": (gpt2, 10, 0.6),
    "bart": (bart, 2, 0.6),
    "clip": (clip, 7, 0.8),
    "siglip": (siglip, 9, 0.6),
    "blip": (blip, 3, 0.4),
    "llava": (llava, 0, 0.4),
    "qwen2-vl": (qwen2_vl, 12, 0.4),
    "whisper": (whisper, 24, 0.4),
}


def make(name):
    """Writes the folder of a model."""
    build, draw, scale = MODELS[name]
    torch.manual_seed(sum(name.encode()) + 1000 * draw)
    model, others = build()
    redraw(model.eval(), scale)
    model.tie_weights()
    if name == "whisper":  # a random model would write a time at nearly every place
        with torch.no_grad():
            model.get_input_embeddings().weight[-STEPS - 1 :] *= 0.6
    for part in [model, *others]:
        part.save_pretrained(FOLDER / name)
