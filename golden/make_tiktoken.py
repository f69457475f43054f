"""Makes golden/tokenizers/tiktoken/: a small rank file in tiktoken's format and what tiktoken says of texts.

ranks.tiktoken has one line a token: its bytes in base64 and its rank. expected.json.gz has, for three patterns that real
encodings use, the ids of each text; "converted" has those of transformers' TikTokenConverter, and
tiktoken.tokenizer.json is what it makes of the file.

    python golden/make_tiktoken.py
"""

import base64
import json

import tiktoken
import tiktoken_ext.openai_public
from tokenizer_common import FOLDER, TEXTS, made_by, write_json, write_json_gz
from tokenizer_kinds import LINES, LLAMA3_SPLIT, MOBY, split_then_bytes, train_bpe
from tokenizers import pre_tokenizers
from transformers.convert_slow_tokenizer import TikTokenConverter, bytes_to_unicode

OUT = FOLDER / "tiktoken"
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CL100K = r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"""
PATTERNS = {"r50k": tiktoken_ext.openai_public.r50k_pat_str, "cl100k": CL100K, "llama3": LLAMA3_SPLIT}
DECODED = [[], [0xE6], [0xE6, 0x9C], [0xF0, 0x9F, 0x98, 0x80], [0xFF, 0x41, 0xFE]]  # bytes; the ranks of single bytes are in their order


def ranks():
    """The 256 bytes, then the tokens of a byte-level BPE in the order of its merges."""
    _, merges = train_bpe(split_then_bytes(LLAMA3_SPLIT), 700, texts=(MOBY, LINES), initial=pre_tokenizers.ByteLevel.alphabet())
    to_byte = {character: byte for byte, character in bytes_to_unicode().items()}
    tokens = [bytes([byte]) for byte in range(256)]
    tokens += [bytes(to_byte[character] for character in left + right) for left, right in merges]
    assert len(set(tokens)) == len(tokens)
    return {token: rank for rank, token in enumerate(tokens)}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    table = ranks()
    path = OUT / "ranks.tiktoken"
    path.write_text("".join(f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in table.items()), encoding="ascii", newline="\n")
    special = {name: len(table) + index for index, name in enumerate(SPECIAL)}
    expected = {}
    for name, pattern in PATTERNS.items():
        encoding = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=table, special_tokens=special)
        converted = TikTokenConverter(str(path), pattern=pattern, extra_special_tokens=SPECIAL).converted()
        if name == "llama3":
            write_json(OUT / "tiktoken.tokenizer.json", json.loads(converted.to_str()))
        ids = [encoding.encode(text, allowed_special="all") for text in TEXTS]
        expected[name] = {
            "pattern": pattern,
            "ids": ids,
            "ordinaryIds": [encoding.encode_ordinary(text) for text in TEXTS],
            "converted": [converted.encode(text).ids for text in TEXTS],
            "decoded": [[row, encoding.decode(row)] for row in [[table[bytes([byte])] for byte in row] for row in DECODED]],
        }
        different = sum(a != b for a, b in zip(expected[name]["converted"], ids))
        print(f"{name}: {different} of {len(TEXTS)} texts have other ids after TikTokenConverter")
    write_json_gz(OUT / "expected.json.gz", {
        "madeBy": made_by(__file__, "tiktoken", "transformers", "tokenizers"), "specialTokens": special, "texts": TEXTS, "patterns": expected,
    })  # fmt: skip


if __name__ == "__main__":
    main()
