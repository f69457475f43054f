"""The normalization rules of the small SentencePiece models; makes nothing when run."""

import io
import tempfile
import unicodedata
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

BLOCKS = [range(0xA0, 0x250), range(0x2000, 0x200B), range(0x2460, 0x2474), range(0xFB00, 0xFB07), range(0xFF01, 0xFF60)]
SINGLE = [0x2026, 0x2122, 0x2153, 0x3000, 0xFDFA]


def rules():
    """[(source, target)]: NFKC of some blocks, a few composed letters, and what SentencePiece does to control characters."""
    pairs = {chr(code): unicodedata.normalize("NFKC", chr(code)) for block in [*BLOCKS, SINGLE] for code in block}
    pairs |= {unicodedata.normalize("NFD", character): character for character in "éèêëáàâäíîïóôöúûüñçÅ"}
    pairs |= {character: " " for character in "\t\n\r\u200b\u2028\ufeff"}
    pairs |= {chr(code): "" for code in [*range(1, 9), 0x0B, *range(0x0E, 0x20), 0x7F, 0xAD]}
    return sorted((source, target) for source, target in pairs.items() if source != target)


def write_rules(path):
    def codes(text):
        return " ".join(f"{ord(character):X}" for character in text)

    path.write_text("".join(f"{codes(source)}\t{codes(target)}\n" for source, target in rules()), encoding="utf-8")


def charsmap():
    """The rules as SentencePiece compiles them: a double-array trie and the targets."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rules.tsv"
        write_rules(path)
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["a b c d e f"]), model_writer=model, vocab_size=10, normalization_rule_tsv=str(path),
            hard_vocab_limit=False, minloglevel=2,
        )  # fmt: skip
    return sentencepiece_model_pb2.ModelProto.FromString(model.getvalue()).normalizer_spec.precompiled_charsmap
