"""Makes golden/tokenizers/sentencepiece/: small SentencePiece models and what sentencepiece says of texts.

<name>.model is a model. expected.json.gz has texts and, for each model, its pieces and settings ("spec") and the normalized
text, the ids and the decoded text of each text. <name>.<class>.tokenizer.json is what a tokenizer class of transformers makes
of the model, and "converted" has its ids of the same texts. They differ from those of sentencepiece in places.

    python golden/make_sentencepiece.py
"""

import io
import json
import shutil
import tempfile
from pathlib import Path

import sentencepiece
import transformers
from sentencepiece import sentencepiece_model_pb2
from sentencepiece_rules import write_rules
from tokenizer_common import FOLDER, TEXTS, made_by, write_json, write_json_gz
from tokenizer_kinds import LINES, MOBY

OUT = FOLDER / "sentencepiece"

UNKNOWN_FIRST = dict(unk_id=0, bos_id=1, eos_id=2, pad_id=-1)
SYMBOLS = dict(user_defined_symbols=["<sep>", "[INST]", "海の"], control_symbols=["<ctrl>"])
# name: (training options, whether the normalization rules are ours, classes of transformers that take such a model)
MODELS = {
    "unigram": (dict(model_type="unigram", vocab_size=400, **UNKNOWN_FIRST, **SYMBOLS), True, ["XLMRobertaTokenizer"]),
    "unigram-t5": (
        dict(model_type="unigram", vocab_size=400, pad_id=0, eos_id=1, unk_id=2, bos_id=-1), True, ["T5Tokenizer"],
    ),
    "unigram-bytes": (
        dict(
            model_type="unigram", vocab_size=600, byte_fallback=True, split_digits=True, add_dummy_prefix=False, remove_extra_whitespaces=False,
            allow_whitespace_only_pieces=True, pad_id=0, eos_id=1, bos_id=2, unk_id=3,
        ),
        False, ["TokenizersBackend"],
    ),
    "unigram-suffix": (
        dict(model_type="unigram", vocab_size=300, treat_whitespace_as_suffix=True, **UNKNOWN_FIRST), True, [],
    ),
    "bpe": (dict(model_type="bpe", vocab_size=400, **UNKNOWN_FIRST, **SYMBOLS), True, ["TokenizersBackend"]),
    "bpe-llama": (
        dict(
            model_type="bpe", vocab_size=600, byte_fallback=True, split_digits=True, remove_extra_whitespaces=False,
            allow_whitespace_only_pieces=True, **UNKNOWN_FIRST,
        ),
        False, ["LlamaTokenizer", "TokenizersBackend"],
    ),
    "bpe-gemma": (
        dict(
            model_type="bpe", vocab_size=600, byte_fallback=True, split_digits=True, remove_extra_whitespaces=False, add_dummy_prefix=False,
            allow_whitespace_only_pieces=True, pad_id=0, eos_id=1, bos_id=2, unk_id=3,
            user_defined_symbols=["<mask>", "\n\n", "▁▁", "▁▁▁", "<start_of_turn>"],
        ),
        False, ["GemmaTokenizer"],
    ),
}  # fmt: skip
TRAINER_FIELDS = [
    "model_type", "byte_fallback", "unk_id", "bos_id", "eos_id", "pad_id", "unk_piece", "bos_piece", "eos_piece", "pad_piece", "unk_surface",
    "split_digits", "treat_whitespace_as_suffix", "allow_whitespace_only_pieces",
]  # fmt: skip
NORMALIZER_FIELDS = ["name", "add_dummy_prefix", "remove_extra_whitespaces", "escape_whitespaces"]


def train(options, rules_path):
    model = io.BytesIO()
    rules = dict(normalization_rule_tsv=rules_path) if rules_path else dict(normalization_rule_name="identity")
    lines = (MOBY + LINES).replace("\r", "").split("\n")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, character_coverage=0.998, num_threads=1, minloglevel=2, **rules, **options
    )
    proto = sentencepiece_model_pb2.ModelProto.FromString(model.getvalue())
    proto.trainer_spec.ClearField("input")
    proto.normalizer_spec.ClearField("normalization_rule_tsv")  # the path of a temporary file
    for piece in proto.pieces:
        piece.score = float(f"{piece.score:.5f}")
    return proto


def spec(proto):
    return {
        "pieces": [[piece.piece, piece.score, piece.type] for piece in proto.pieces],
        "trainer": {name: getattr(proto.trainer_spec, name) for name in TRAINER_FIELDS},
        "normalizer": {name: getattr(proto.normalizer_spec, name) for name in NORMALIZER_FIELDS},
        "charsmapBytes": len(proto.normalizer_spec.precompiled_charsmap),
    }


def convert(path, name):
    """The tokenizer.json that a class of transformers makes of a model."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(path, Path(folder) / "tokenizer.model")
        options = dict(extra_ids=0) if name == "T5Tokenizer" else {}
        kwargs = getattr(transformers, name).convert_to_native_format(vocab_file=str(Path(folder) / "tokenizer.model"), **options)
        tokenizer = getattr(transformers, name)(**kwargs).backend_tokenizer
    return tokenizer


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    expected = {}
    with tempfile.TemporaryDirectory() as folder:
        rules_path = Path(folder) / "rules.tsv"
        write_rules(rules_path)
        for name, (options, has_rules, classes) in MODELS.items():
            proto = train(options, str(rules_path) if has_rules else None)
            path = OUT / f"{name}.model"
            path.write_bytes(proto.SerializeToString(deterministic=True))
            processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
            ids = [processor.encode(text) for text in TEXTS]
            converted = {}
            for kind in classes:
                tokenizer = convert(path, kind)
                write_json(OUT / f"{name}.{kind}.tokenizer.json", json.loads(tokenizer.to_str()))
                converted[kind] = [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
                different = sum(a != b for a, b in zip(converted[kind], ids))
                print(f"{name}, {kind}: {different} of {len(TEXTS)} texts have other ids than in sentencepiece")
            expected[name] = {
                "spec": spec(proto),
                "normalized": [processor.normalize(text) for text in TEXTS],
                "ids": ids,
                "decoded": [processor.decode(row) for row in ids],
                "converted": converted,
            }
    made = made_by(__file__, "sentencepiece", "transformers", "tokenizers")
    write_json_gz(OUT / "expected.json.gz", {"madeBy": made, "texts": TEXTS, "models": expected})


if __name__ == "__main__":
    main()
