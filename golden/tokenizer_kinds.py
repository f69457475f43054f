"""Builds small tokenizers of every kind that tokenizer.json can hold; makes nothing when run.

Each function of KINDS gives one tokenizer in the layout of a well-known model family. Vocabularies are trained on
moby-60k.txt and lines of mixed.txt, or put together from such a vocabulary where the trainer's order is not fixed.
"""

import json
import string

from sentencepiece_rules import charsmap
from tokenizer_common import fixed_order, read
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

MOBY, MIXED = read("moby-60k.txt"), read("mixed.txt")
STARTS = ("床前", "今天", "Déjà", "Ångström", "Combining", "Привет", "def add", "Numbers", "Contractions", "日本語")
LINES = "".join(line for line in MIXED.splitlines(keepends=True) if line.startswith(STARTS))
END = "<|endoftext|>"
RUNS = 12  # of UnigramTrainer, whose results differ a little; see fixed_order
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]

GPT2_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2_SPLIT = LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")
O200K_SPLIT = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+",
])  # fmt: skip
CLIP_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def special(content, **options):
    return AddedToken(content, special=True, normalized=options.pop("normalized", False), **options)


def train_bpe(pre_tokenizer, size, normalizer=None, texts=(MOBY, LINES), initial=(), special_tokens=()):
    """(tokens by id, merges) of a BPE; without an initial alphabet it holds every character of the texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=size, min_frequency=2, initial_alphabet=list(initial), special_tokens=list(special_tokens), show_progress=False,
    ))  # fmt: skip
    model = json.loads(tokenizer.to_str())["model"]
    return sorted(model["vocab"], key=model["vocab"].get), [tuple(merge) for merge in model["merges"]]


def ids_of(tokens):
    return {token: id for id, token in enumerate(tokens)}


def assemble(model, normalizer=None, pre_tokenizer=None, post_processor=None, decoder=None, added=()):
    tokenizer = Tokenizer(model)
    for name, part in dict(normalizer=normalizer, pre_tokenizer=pre_tokenizer, post_processor=post_processor, decoder=decoder).items():
        if part is not None:
            setattr(tokenizer, name, part)
    tokenizer.add_tokens(list(added))
    return tokenizer


def byte_level(pre_tokenizer, size=480, **parts):
    """Byte-level BPE; special tokens come after the vocabulary."""
    model = parts.pop("model", {})
    tokens, merges = train_bpe(pre_tokenizer, size, parts.get("normalizer"), initial=pre_tokenizers.ByteLevel.alphabet())
    parts.setdefault("decoder", decoders.ByteLevel())
    return assemble(models.BPE(ids_of(tokens), merges, **model), pre_tokenizer=pre_tokenizer, **parts)


def split_then_bytes(*patterns):
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    return pre_tokenizers.Sequence([*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def gpt2():
    return byte_level(
        pre_tokenizers.ByteLevel(add_prefix_space=False), added=[special(END)], post_processor=processors.ByteLevel(trim_offsets=False)
    )


def roberta():
    added = [special("<s>"), special("<pad>"), special("</s>"), special("<unk>"), special("<mask>", lstrip=True)]
    tokenizer = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True), added=added)
    sep, cls = (("</s>", tokenizer.token_to_id("</s>")), ("<s>", tokenizer.token_to_id("<s>")))
    tokenizer.post_processor = processors.RobertaProcessing(sep, cls, trim_offsets=True, add_prefix_space=True)
    return tokenizer


def template(tokenizer, single, pair, names):
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[(name, tokenizer.token_to_id(name)) for name in names]
    )
    return tokenizer


def llama3():
    added = [special(f"<|{name}|>") for name in ("begin_of_text", "end_of_text", "start_header_id", "end_header_id", "eot_id")]
    tokenizer = byte_level(split_then_bytes(LLAMA3_SPLIT), model=dict(ignore_merges=True), added=added)
    start = "<|begin_of_text|>"
    template(tokenizer, f"{start} $A", f"{start} $A {start}:1 $B:1", [start])
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), tokenizer.post_processor])
    return tokenizer


def llama3_whole_words():
    """A vocabulary with words that no merge makes: ignore_merges finds them all the same."""
    saved = json.loads(llama3().to_str())
    tokens = [token for token, id in sorted(saved["model"]["vocab"].items(), key=lambda item: item[1])]
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    extra = [to_bytes.pre_tokenize_str(word)[0][0] for word in (" whiteness", " appalled", " Ishmael", "床前明月光")]
    added = [token["content"] for token in saved["added_tokens"]]
    saved["model"]["vocab"] = ids_of([*tokens, *extra])
    shift = {content: len(tokens) + len(extra) + index for index, content in enumerate(added)}
    for token in saved["added_tokens"]:
        token["id"] = shift[token["content"]]
    start = "<|begin_of_text|>"
    saved["post_processor"]["processors"][1]["special_tokens"][start]["ids"] = [shift[start]]
    return Tokenizer.from_str(json.dumps(saved))


def qwen2():
    added = [special(name) for name in (END, "<|im_start|>", "<|im_end|>")]
    added += [AddedToken(name, normalized=False) for name in ("<tool_call>", "</tool_call>")]
    return byte_level(
        split_then_bytes(QWEN2_SPLIT), normalizer=normalizers.NFC(), added=added, post_processor=processors.ByteLevel(trim_offsets=False)
    )


def o200k():
    return byte_level(split_then_bytes(O200K_SPLIT), added=[special(END)], post_processor=processors.ByteLevel(trim_offsets=False))


def smollm():
    cut = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return byte_level(cut, added=[special(END), special("<|im_start|>"), special("<|im_end|>")])


def deepseek():
    cut = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"\p{N}{1,3}"), "isolated"),
        pre_tokenizers.Split(Regex("[一-龥぀-ゟ゠-ヿ]+"), "isolated"),
        pre_tokenizers.Split(Regex(
            r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
            r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        ), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    tokenizer = byte_level(cut, normalizer=normalizers.Sequence([]), added=[special("<｜begin▁of▁sentence｜>"), special("<｜User｜>")])
    return template(tokenizer, "<｜begin▁of▁sentence｜> $A", "<｜begin▁of▁sentence｜> $A $B:1", ["<｜begin▁of▁sentence｜>"])


def clip():
    """Lowercase byte-level BPE with an end-of-word suffix."""
    cut = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(CLIP_SPLIT), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False),
    ])  # fmt: skip
    normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    fixed = [*alphabet, *(character + "</w>" for character in alphabet)]  # in this order, which the trainer would not keep
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, cut
    tokenizer.train_from_iterator([MOBY], trainers.BpeTrainer(
        vocab_size=700, min_frequency=2, special_tokens=fixed, end_of_word_suffix="</w>", show_progress=False,
    ))  # fmt: skip
    model = json.loads(tokenizer.to_str())["model"]
    start, end = "<|startoftext|>", END
    bpe = models.BPE(model["vocab"], [tuple(merge) for merge in model["merges"]], end_of_word_suffix="</w>", unk_token=end)
    tokenizer = assemble(bpe, normalizer, cut, decoder=decoders.ByteLevel(), added=[special(start), special(end)])
    sep, cls = ((end, tokenizer.token_to_id(end)), (start, tokenizer.token_to_id(start)))
    tokenizer.post_processor = processors.RobertaProcessing(sep, cls, trim_offsets=False, add_prefix_space=False)
    return tokenizer


def byte_normalizer():
    """Bytes become characters in the normalizer; words are cut afterwards."""
    normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.ByteLevel()])
    cut = pre_tokenizers.Split(Regex("Ġ?[^Ġ]+|Ġ"), "isolated")
    return byte_level(cut, normalizer=normalizer, added=[special(END), AddedToken("Naïve", normalized=True)])


METASPACE = pre_tokenizers.Metaspace(prepend_scheme="always")
SPACES_BACK = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]


def sentencepiece_bpe(size=560, specials=("<unk>", "<s>", "</s>"), with_bytes=True, **options):
    """BPE over characters with ▁ for spaces; the 256 bytes stand in the vocabulary for what it lacks."""
    tokens, merges = train_bpe(METASPACE, size - 256 * with_bytes - len(specials))
    tokens = [*specials, *(BYTES if with_bytes else []), *tokens]
    return models.BPE(ids_of(tokens), merges, unk_token=specials[0], byte_fallback=with_bytes, **options)


LLAMA2_ADDED = [special("<unk>"), special("<s>"), special("</s>")]


def llama2(normalized=False):
    """The legacy layout: spaces are handled by normalizers. With normalized special tokens, as old files have them, <s> in a
    text is "▁<s>" to the tokenizer, and decoding does not leave it out."""
    tokenizer = assemble(
        sentencepiece_bpe(fuse_unk=True),
        normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
        decoder=decoders.Sequence([*SPACES_BACK, decoders.Strip(" ", 1, 0)]),
        added=[AddedToken(token.content, special=True, normalized=normalized) for token in LLAMA2_ADDED],
    )
    return template(tokenizer, "<s> $A", "<s> $A <s>:1 $B:1", ["<s>"])


def mistral():
    tokenizer = assemble(
        sentencepiece_bpe(fuse_unk=True),
        pre_tokenizer=pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
        decoder=decoders.Sequence([*SPACES_BACK, decoders.Strip(" ", 1, 0)]),
        added=[*LLAMA2_ADDED, special("[INST]"), special("[/INST]")],
    )
    return template(tokenizer, "<s> $A", "<s> $A <s>:1 $B:1", ["<s>"])


def gemma():
    """No space in front, and words keep the space after them."""
    tokenizer = assemble(
        sentencepiece_bpe(specials=("<unk>", "<pad>", "<eos>", "<bos>"), fuse_unk=True),
        normalizers.Replace(" ", "▁"),
        pre_tokenizers.Split(" ", "merged_with_previous"),
        decoder=decoders.Sequence(SPACES_BACK),
        added=[special("<pad>"), special("<eos>"), special("<bos>"), special("<unk>"), special("<mask>"), AddedToken("\n\n", normalized=False)],
    )
    return template(tokenizer, "<bos> $A", "<bos> $A <bos>:1 $B:1", ["<bos>"])


def bpe_unknown(fuse):
    return assemble(
        sentencepiece_bpe(size=400, specials=("<unk>",), with_bytes=False, fuse_unk=fuse),
        pre_tokenizer=METASPACE, decoder=decoders.Metaspace(), added=[special("<unk>")],
    )  # fmt: skip


def bpe_suffix():
    """GPT-1's layout: words end in </w>, the decoder turns that back to a space."""
    suffix = "</w>"
    tokens, merges = train_bpe(pre_tokenizers.WhitespaceSplit(), 400, normalizers.Lowercase(), texts=[MOBY])
    endings = sorted({token + suffix for token in tokens})
    ids = ids_of(["<unk>", *tokens, *endings])
    last = [(token[0], token[1:] + suffix) for token in endings if token[1:-4] and token[1:] + suffix in ids]
    model = models.BPE(ids, [*merges, *last], unk_token="<unk>", end_of_word_suffix=suffix)
    normalizer = normalizers.BertNormalizer(lowercase=True)
    return assemble(model, normalizer, pre_tokenizers.BertPreTokenizer(), decoder=decoders.BPEDecoder(suffix), added=[special("<unk>")])


def wordpiece_vocabulary(normalizer, specials, size):
    """Specials, characters, ##characters, then pieces. The trainer numbers ##characters in no fixed order, so they are given to it."""
    cut = pre_tokenizers.BertPreTokenizer()
    texts = [MOBY, LINES]
    words = [word for text in texts for word, _ in cut.pre_tokenize_str(normalizer.normalize_str(text))]
    fixed = [*specials, *sorted(set("".join(words))), *sorted({"##" + character for word in words for character in word[1:]})]
    tokenizer = Tokenizer(models.WordPiece(unk_token=specials[0]))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, cut
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=size, special_tokens=fixed, show_progress=False))
    return json.loads(tokenizer.to_str())["model"]["vocab"]


BERT_SPECIAL = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]"]


def bert(normalizer, size=600, cleanup=True, longest=100):
    vocab = wordpiece_vocabulary(normalizer, BERT_SPECIAL, size)
    return assemble(
        models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=longest),
        normalizer, pre_tokenizers.BertPreTokenizer(), decoder=decoders.WordPiece(prefix="##", cleanup=cleanup),
        added=[special(token) for token in BERT_SPECIAL],
    )  # fmt: skip


def bert_uncased():
    tokenizer = bert(normalizers.BertNormalizer(lowercase=True))
    return template(tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ["[CLS]", "[SEP]"])


def bert_cased():
    tokenizer = bert(normalizers.BertNormalizer(lowercase=False, handle_chinese_chars=False), cleanup=False, longest=12)
    sep, cls = (("[SEP]", tokenizer.token_to_id("[SEP]")), ("[CLS]", tokenizer.token_to_id("[CLS]")))
    tokenizer.post_processor = processors.BertProcessing(sep, cls)
    return tokenizer


def train_unigram(normalizer, size, specials, unknown, pre_tokenizer=METASPACE):
    """[(piece, score)], special tokens first."""
    runs = []
    for _ in range(RUNS):
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizer
        tokenizer.train_from_iterator([MOBY, LINES], trainers.UnigramTrainer(
            vocab_size=size, special_tokens=list(specials), unk_token=unknown, show_progress=False,
        ))  # fmt: skip
        runs.append(json.loads(tokenizer.to_str())["model"]["vocab"][len(specials) :])
    return [*((token, 0.0) for token in specials), *fixed_order(runs)[0]]


SQUEEZE = normalizers.Replace(Regex(" {2,}"), " ")


def t5():
    normalizer = normalizers.Sequence([normalizers.Precompiled(charsmap()), normalizers.Strip(left=False, right=True), SQUEEZE])
    vocab = train_unigram(normalizers.NFKC(), 480, ("<pad>", "</s>", "<unk>"), "<unk>")
    added = [special("<pad>"), special("</s>"), special("<unk>"), *(special(f"<extra_id_{n}>", lstrip=True, rstrip=True) for n in (1, 0))]
    tokenizer = assemble(models.Unigram(vocab, 2), normalizer, METASPACE, decoder=decoders.Metaspace(), added=added)
    return template(tokenizer, "$A </s>", "$A </s> $B </s>", ["</s>"])


def xlm_roberta():
    normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), SQUEEZE])
    vocab = train_unigram(normalizer, 520, ("<s>", "<pad>", "</s>", "<unk>"), "<unk>")
    added = [special("<s>"), special("<pad>"), special("</s>"), special("<unk>"), special("<mask>", lstrip=True)]
    cut = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer = assemble(models.Unigram(vocab, 3), normalizer, cut, decoder=decoders.Metaspace(), added=added)
    return template(tokenizer, "<s> $A </s>", "<s> $A </s> </s> $B </s>", ["<s>", "</s>"])


def albert():
    quotes = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    accents = [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
    normalizer = normalizers.Sequence([*quotes, *accents, normalizers.Precompiled(charsmap()), SQUEEZE])
    vocab = train_unigram(normalizer, 400, ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"), "<unk>")
    added = [special("<pad>"), special("<unk>"), special("[CLS]"), special("[SEP]"), special("[MASK]", lstrip=True)]
    tokenizer = assemble(models.Unigram(vocab, 1), normalizer, METASPACE, decoder=decoders.Metaspace(), added=added)
    return template(tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ["[CLS]", "[SEP]"])


def unigram_bytes():
    vocab = train_unigram(normalizers.NFC(), 340, ("<unk>", "<s>", "</s>"), "<unk>")
    vocab = [*vocab[:3], *((token, 0.0) for token in BYTES), *vocab[3:]]
    decoder = decoders.Sequence([*SPACES_BACK, decoders.Strip(" ", 1, 0)])
    cut = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer = assemble(models.Unigram(vocab, 0, True), normalizers.NFC(), cut, decoder=decoder, added=LLAMA2_ADDED)
    return template(tokenizer, "<s> $A </s>", "<s> $A </s> $B:1 </s>:1", ["<s>", "</s>"])


def unigram_scripts():
    cut = pre_tokenizers.Sequence([
        pre_tokenizers.UnicodeScripts(), pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Metaspace(prepend_scheme="never"),
    ])  # fmt: skip
    vocab = train_unigram(normalizers.NFKC(), 420, ("<unk>",), "<unk>", cut)
    decoder = decoders.Metaspace(prepend_scheme="never")
    return assemble(models.Unigram(vocab, 0), normalizers.NFKC(), cut, decoder=decoder, added=[special("<unk>")])


def word_level():
    normalizer = normalizers.Sequence([
        normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents(), normalizers.Strip(), normalizers.Replace("whale", "鯨"),
    ])  # fmt: skip
    cut = pre_tokenizers.Whitespace()
    words = [word for text in (MOBY, LINES) for word, _ in cut.pre_tokenize_str(normalizer.normalize_str(text))]
    common = sorted(set(words), key=lambda word: (-words.count(word), word))[:250]
    model = models.WordLevel(ids_of(["<unk>", "<pad>", *common]), unk_token="<unk>")
    return assemble(model, normalizer, cut, added=[special("<unk>"), special("<pad>")])


def ctc():
    """Characters of speech recognition: the decoder joins repeated ones."""
    tokens = ["<pad>", "<s>", "</s>", "<unk>", "|", *string.ascii_uppercase, "'"]
    return assemble(
        models.WordLevel(ids_of(tokens), unk_token="<unk>"),
        normalizers.Sequence([normalizers.Replace(" ", "|")]), pre_tokenizers.Split("", "isolated"),
        decoder=decoders.CTC(pad_token="<pad>", word_delimiter_token="|", cleanup=True), added=[special(token) for token in tokens[:4]],
    )  # fmt: skip


KINDS = {
    "gpt2": gpt2, "roberta": roberta, "llama3": llama3, "llama3-whole-words": llama3_whole_words, "qwen2": qwen2, "o200k": o200k,
    "smollm": smollm, "deepseek": deepseek, "clip": clip, "byte-normalizer": byte_normalizer, "llama2": llama2, "llama2-normalized": lambda: llama2(True), "mistral": mistral,
    "gemma": gemma, "bpe-unknown": lambda: bpe_unknown(False), "bpe-unknown-fused": lambda: bpe_unknown(True), "bpe-suffix": bpe_suffix,
    "bert-uncased": bert_uncased, "bert-cased": bert_cased, "t5": t5, "xlm-roberta": xlm_roberta, "albert": albert,
    "unigram-bytes": unigram_bytes, "unigram-scripts": unigram_scripts, "word-level": word_level, "ctc": ctc,
}  # fmt: skip
