"""Makes golden/tokenizers/trained/: what the trainers of Hugging Face tokenizers give on moby-60k.txt and mixed.txt.

Each case of bpe.json, wordpiece.json and unigram.json has its options under the names of Kindling, the parts of
tokenizer.json that cut the texts into words, and the vocabulary in the order of ids. Where the order in which the trainer
does something changes from run to run, one order is chosen:

- with a prefix or suffix, the forms of characters that have one ("##a", "a</w>") are numbered in the order of their code
  points, after the plain characters ("forms"; they are given to the trainer as special tokens);
- `fixed_order` of tokenizer_common.py for characters without a score of their own ("scoreless");
- limitAlphabet never falls between characters that are equally frequent.

    python golden/make_trained_tokenizers.py
"""

import json
from collections import Counter

from tokenizer_common import FOLDER, fixed_order, made_by, read, write_json
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

OUT = FOLDER / "trained"
TEXTS = {"moby": read("moby-60k.txt"), "mixed": read("mixed.txt")}
RUNS = 12
END, UNKNOWN = "<|endoftext|>", "<unk>"
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
BERT_SPECIAL = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]"]

byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
metaspace = pre_tokenizers.Metaspace()
whitespace = pre_tokenizers.Whitespace()
bert = pre_tokenizers.BertPreTokenizer()


def setup(model, case):
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = case["cut"]
    if case.get("normalizer"):
        tokenizer.normalizer = case["normalizer"]
    return tokenizer


def inputs(case):
    """The sequences that go to the trainer: whole texts, or their lines with line ends."""
    texts = [TEXTS[name] for name in case["texts"]]
    return [line for text in texts for line in text.splitlines(keepends=True)] if case.get("lines") else texts


def words_of(case):
    """How often each word occurs."""
    normalizer, counts = case.get("normalizer"), Counter()
    for text in inputs(case):
        counts.update(word for word, _ in case["cut"].pre_tokenize_str(normalizer.normalize_str(text) if normalizer else text))
    return counts


def kept_characters(words, limit, initial):
    """The alphabet of BpeTrainer; no two characters at the limit are equally frequent."""
    counts = Counter()
    for word, count in words.items():
        for character in word:
            counts[character] += count
    counts |= {character: 2**64 for character in initial}
    ranked = sorted(counts, key=counts.get, reverse=True)
    if limit is not None and limit < len(ranked):
        assert counts[ranked[limit - 1]] != counts[ranked[limit]], "a tie at limitAlphabet: choose another"
        ranked = ranked[:limit]
    return sorted(ranked)


def forms_of(words, kept, prefix, suffix):
    """The characters of words with the prefix (not first) and the suffix (last), in the order of code points."""
    forms, known = set(), set(kept)
    for word in words:
        for index, character in enumerate(word):
            if character in known:
                forms.add((prefix if index else "") + character + (suffix if index == len(word) - 1 else ""))
    return sorted(forms - known)


def head(case):
    """The keys of a case that say what goes in."""
    saved = json.loads(setup(models.BPE(), case).to_str())
    return {
        "texts": case["texts"],
        "lines": case.get("lines", False),
        "normalizer": saved["normalizer"],
        "preTokenizer": saved["pre_tokenizer"],
        "options": case["options"],
    }


SNAKE = {
    "vocabSize": "vocab_size", "minFrequency": "min_frequency", "specialTokens": "special_tokens", "limitAlphabet": "limit_alphabet",
    "initialAlphabet": "initial_alphabet", "continuingSubwordPrefix": "continuing_subword_prefix", "endOfWordSuffix": "end_of_word_suffix",
    "maxTokenLength": "max_token_length", "unkToken": "unk_token", "shrinkingFactor": "shrinking_factor",
    "subIterations": "n_sub_iterations", "maxPieceLength": "max_piece_length",
}  # fmt: skip


def train(model, trainer, case, **changes):
    options = {SNAKE[name]: value for name, value in {**case["options"], **changes}.items()}
    tokenizer = setup(model, case)
    tokenizer.train_from_iterator(inputs(case), trainer(show_progress=False, **options))
    return json.loads(tokenizer.to_str())["model"]


def merged(case, model, trainer, prefix):
    """A case of BPE or WordPiece."""
    options = case["options"]
    suffix = options.get("endOfWordSuffix", "")
    result, changes = head(case), {}
    if prefix or suffix:
        words = words_of(case)
        kept = kept_characters(words, options.get("limitAlphabet"), options.get("initialAlphabet", []))
        result["forms"] = forms_of(words, kept, prefix, suffix)
        changes["specialTokens"] = [*options.get("specialTokens", []), *kept, *result["forms"]]
    elif "limitAlphabet" in options:
        kept_characters(words_of(case), options["limitAlphabet"], options.get("initialAlphabet", []))
    trained = train(model, trainer, case, **changes)
    result["vocab"] = sorted(trained["vocab"], key=trained["vocab"].get)
    if "merges" in trained:
        result["merges"] = trained["merges"]
    return result


def bpe(case):
    return merged(case, models.BPE(), trainers.BpeTrainer, case["options"].get("continuingSubwordPrefix", ""))


def wordpiece(case):
    return merged(case, models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer, "##")


def unigram(case):
    options = case["options"]
    runs = [train(models.Unigram(), trainers.UnigramTrainer, case) for _ in range(RUNS)]
    specials = options.get("specialTokens", [])
    count = len(specials) + (options.get("unkToken") is not None and options["unkToken"] not in specials)
    pieces, scoreless = fixed_order([run["vocab"][count:] for run in runs])
    return {
        **head(case),
        "unkId": runs[0]["unk_id"],
        "pieces": [*(piece for piece, _ in runs[0]["vocab"][:count]), *(piece for piece, _ in pieces)],
        "scores": [*([0] * count), *(score for _, score in pieces)],
        "scoreless": scoreless,
    }


BPE = {
    "bytes": dict(cut=byte_level, texts=["moby", "mixed"], options=dict(vocabSize=800, minFrequency=2, specialTokens=[END, "<pad>"], initialAlphabet=BYTES)),
    "bytes-prefix-space": dict(
        cut=pre_tokenizers.ByteLevel(add_prefix_space=True), texts=["moby"], options=dict(vocabSize=400, initialAlphabet=BYTES)
    ),
    "bytes-lines": dict(cut=byte_level, texts=["moby", "mixed"], lines=True, options=dict(vocabSize=600, initialAlphabet=BYTES)),
    "bytes-frequent": dict(cut=byte_level, texts=["moby"], options=dict(vocabSize=3000, minFrequency=25, initialAlphabet=BYTES)),
    "bytes-short": dict(cut=byte_level, texts=["moby", "mixed"], options=dict(vocabSize=700, minFrequency=2, initialAlphabet=BYTES, maxTokenLength=5)),
    "no-room": dict(cut=byte_level, texts=["moby"], options=dict(vocabSize=100, initialAlphabet=BYTES)),
    "characters": dict(cut=metaspace, texts=["moby", "mixed"], options=dict(vocabSize=800, minFrequency=2, specialTokens=[UNKNOWN])),
    "characters-limited": dict(
        cut=whitespace, texts=["moby", "mixed"], options=dict(vocabSize=400, limitAlphabet=57, initialAlphabet=["é", "海"], specialTokens=[UNKNOWN])
    ),
    "special-words": dict(cut=whitespace, texts=["moby"], options=dict(vocabSize=400, minFrequency=2, specialTokens=["the", "in", UNKNOWN, "e"])),
    "suffix": dict(cut=whitespace, texts=["moby"], options=dict(vocabSize=500, minFrequency=2, specialTokens=[UNKNOWN], endOfWordSuffix="</w>")),
    "prefix": dict(
        cut=whitespace, texts=["moby", "mixed"],
        options=dict(vocabSize=700, minFrequency=3, specialTokens=[UNKNOWN], continuingSubwordPrefix="@@", limitAlphabet=76),
    ),
    "prefix-suffix-short": dict(
        cut=whitespace, texts=["moby"],
        options=dict(vocabSize=600, specialTokens=[UNKNOWN], continuingSubwordPrefix="@@", endOfWordSuffix="</w>", maxTokenLength=6),
    ),
    "digits": dict(
        cut=pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level]), texts=["moby", "mixed"],
        normalizer=normalizers.NFC(), options=dict(vocabSize=500, minFrequency=2, initialAlphabet=BYTES),
    ),
}  # fmt: skip
lower, cased = normalizers.BertNormalizer(lowercase=True), normalizers.BertNormalizer(lowercase=False)
WORDPIECE = {
    "uncased": dict(cut=bert, normalizer=lower, texts=["moby"], options=dict(vocabSize=600, minFrequency=2, specialTokens=BERT_SPECIAL)),
    "cased-limited": dict(
        cut=bert, normalizer=cased, texts=["moby", "mixed"], options=dict(vocabSize=600, specialTokens=BERT_SPECIAL, limitAlphabet=70)
    ),
    "mixed": dict(cut=bert, normalizer=lower, texts=["moby", "mixed"], options=dict(vocabSize=1000, minFrequency=2, specialTokens=BERT_SPECIAL)),
}  # fmt: skip
UNIGRAM = {
    "metaspace": dict(cut=metaspace, texts=["moby"], options=dict(vocabSize=500, specialTokens=["<s>", "</s>", UNKNOWN], unkToken=UNKNOWN)),
    "unknown-added": dict(cut=metaspace, texts=["moby"], options=dict(vocabSize=300, specialTokens=["<s>"], unkToken=UNKNOWN)),
    "no-unknown": dict(cut=whitespace, texts=["moby"], normalizer=normalizers.NFKC(), options=dict(vocabSize=400)),
    "fast": dict(
        cut=metaspace, texts=["moby"],
        options=dict(vocabSize=400, specialTokens=[UNKNOWN], unkToken=UNKNOWN, shrinkingFactor=0.5, subIterations=1, maxPieceLength=5),
    ),
    "mixed": dict(
        cut=bert, texts=["moby", "mixed"], normalizer=normalizers.NFKC(), options=dict(vocabSize=900, specialTokens=[UNKNOWN], unkToken=UNKNOWN)
    ),
    "initial-alphabet": dict(
        cut=metaspace, texts=["moby"],
        options=dict(vocabSize=450, specialTokens=[UNKNOWN], unkToken=UNKNOWN, initialAlphabet=["海", "鯨", "é", "a"]),
    ),
    "no-pruning": dict(cut=bert, texts=["mixed"], options=dict(vocabSize=900, specialTokens=[UNKNOWN], unkToken=UNKNOWN)),
}  # fmt: skip


def main():
    for name, cases, run in (("bpe", BPE, bpe), ("wordpiece", WORDPIECE, wordpiece), ("unigram", UNIGRAM, unigram)):
        write_json(OUT / f"{name}.json", {"madeBy": made_by(__file__, "tokenizers"), "cases": {key: run(case) for key, case in cases.items()}})


if __name__ == "__main__":
    main()
