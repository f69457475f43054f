"""Makes golden/tokenizers/kinds/: small tokenizer.json files of every kind, and what they give for many texts.

<kind>.tokenizer.json is a tokenizer of one layout. parts.json has one more tokenizer ("base") and the parts to put in it, one
at a time, for the parts that the kinds leave out. expected.json.gz has the texts and the answers; see `answers` for its keys.

    python golden/make_tokenizers.py
"""

import json

from sentencepiece_rules import charsmap
from tokenizer_common import FOLDER, PAIRS, SPECIAL, TEXTS, made_by, write_json, write_json_gz
from tokenizer_kinds import KINDS, METASPACE, sentencepiece_bpe, special
from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.decoders import DecodeStream

OUT = FOLDER / "kinds"

BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
PRE_TOKENIZERS = {
    "none": None,
    "whitespace": pre_tokenizers.Whitespace(),
    "whitespace-split": pre_tokenizers.WhitespaceSplit(),
    "bert": pre_tokenizers.BertPreTokenizer(),
    "digits": pre_tokenizers.Digits(individual_digits=False),
    "digits-individual": pre_tokenizers.Digits(individual_digits=True),
    "unicode-scripts": pre_tokenizers.UnicodeScripts(),
    "char-delimiter": pre_tokenizers.CharDelimiterSplit("|"),
    "fixed-length": pre_tokenizers.FixedLength(length=4),
    "metaspace-first": pre_tokenizers.Metaspace(prepend_scheme="first"),
    "metaspace-never": pre_tokenizers.Metaspace(prepend_scheme="never"),
    "metaspace-whole": pre_tokenizers.Metaspace(prepend_scheme="always", split=False),
    "metaspace-underscore": pre_tokenizers.Metaspace(replacement="_", prepend_scheme="always"),
    "sequence": pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation(), pre_tokenizers.Digits(individual_digits=True),
    ]),
    **{f"punctuation-{behavior}": pre_tokenizers.Punctuation(behavior) for behavior in BEHAVIORS},
    **{f"split-text-{behavior}": pre_tokenizers.Split("-", behavior) for behavior in BEHAVIORS},
    **{f"split-regex-{behavior}": pre_tokenizers.Split(Regex(r"\s+|\d"), behavior) for behavior in BEHAVIORS},
    **{f"split-inverted-{behavior}": pre_tokenizers.Split(Regex(r"\w+|[^\w\s]+"), behavior, invert=True) for behavior in BEHAVIORS},
    "split-regex-lookahead": pre_tokenizers.Split(Regex(r"(?=[A-Z])|(?<=,)"), "isolated"),
    "split-regex-possessive": pre_tokenizers.Split(Regex(r"(?i)[a-e]++|[^\p{Alphabetic}\s]+(?!\n)"), "isolated"),
}  # fmt: skip
NORMALIZERS = {
    "nfc": normalizers.NFC(),
    "nfd": normalizers.NFD(),
    "nfkc": normalizers.NFKC(),
    "nfkd": normalizers.NFKD(),
    "nmt": normalizers.Nmt(),
    "lowercase": normalizers.Lowercase(),
    "strip-accents": normalizers.StripAccents(),
    "nfd-strip-accents": normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()]),
    "strip": normalizers.Strip(),
    "strip-left": normalizers.Strip(left=True, right=False),
    "strip-right": normalizers.Strip(left=False, right=True),
    "replace-text": normalizers.Replace("whale", "🐋"),
    "replace-regex": normalizers.Replace(Regex(r"\s+|(?<=\d)\d"), " "),
    "prepend": normalizers.Prepend("x"),
    "precompiled": normalizers.Precompiled(charsmap()),
    "bert": normalizers.BertNormalizer(),
    "bert-keeps-case": normalizers.BertNormalizer(lowercase=False),
    "bert-keeps-accents": normalizers.BertNormalizer(strip_accents=False),
    "bert-strips-only": normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False),
}
ADDED = {
    "plain": dict(normalized=False),
    "normalized": dict(normalized=True),
    "single-word": dict(single_word=True, normalized=False),
    "single-word-normalized": dict(single_word=True, normalized=True),
    "strips": dict(normalized=False, lstrip=True, rstrip=True),
    "special": dict(normalized=False, special=True),
}
ADDED_CONTENTS = ["Ahab", "Naïve", "AhabAhab", "Ahab!", " of ", "12", "鯨"]


def sides():
    """Tokens that take the blanks on one side or both."""
    return [
        AddedToken("<left>", lstrip=True, normalized=False),
        AddedToken("<right>", rstrip=True, normalized=False),
        AddedToken("<both>", lstrip=True, rstrip=True, normalized=False, special=True),
    ]


def base():
    """BPE of characters; what it lacks becomes <unk>, so that cuts and changed characters can be seen."""
    tokenizer = Tokenizer(sentencepiece_bpe(size=420, specials=("<unk>",), with_bytes=False))
    tokenizer.pre_tokenizer = METASPACE
    tokenizer.add_tokens([special("<unk>"), *sides()])
    return tokenizer


def parts():
    """{name: {key of tokenizer.json: value}}: what replaces a part of the base."""
    cases = {}
    for key, options in (("pre_tokenizer", PRE_TOKENIZERS), ("normalizer", NORMALIZERS)):
        for name, part in options.items():
            saved = Tokenizer(sentencepiece_bpe(size=420, specials=("<unk>",), with_bytes=False))
            if part is not None:
                setattr(saved, key, part)
            cases[f"{key.replace('_', '-')}/{name}"] = {key: json.loads(saved.to_str())[key]}
    for name, options in ADDED.items():
        saved = base()
        saved.add_tokens([AddedToken(content, **options) for content in ADDED_CONTENTS])
        lower = json.loads(normalizers.Lowercase().__getstate__())
        cases[f"added-tokens/{name}"] = {"added_tokens": json.loads(saved.to_str())["added_tokens"], "normalizer": lower}
    return cases


def flat(pairs):
    return [number for pair in pairs for number in pair]


STREAMED = [0, 3, 14, 25, 28, 32, 35, 47, 51, 54, 61, 66, 80, 81, 87, 90, 110, 116, 119, 131]


def streamed(tokenizer, ids):
    """What DecodeStream gives, id by id; the last is "error" where it stops with one."""
    stream, chunks = DecodeStream(skip_special_tokens=True), []
    for id in ids:
        try:
            chunks.append(stream.step(tokenizer, id))
        except Exception:
            return [*chunks, "error"]
    return chunks


def answers(tokenizer):
    """What a tokenizer gives for TEXTS, in their order.

    ids, offsets: with special tokens; offsets are starts and ends in code points, flat
    plainIds: without special tokens
    decoded, decodedAll: of ids, without and with special tokens
    literalIds: of the texts from "specialFrom" on, with special tokens in the text read as plain text, and none added
    pairs: for each of PAIRS, with special tokens
    streamed: for the texts at "streamedTexts", the text that each id of ids adds, or null where it waits for the next
    """
    encodings = [tokenizer.encode(text) for text in TEXTS]
    pairs = [tokenizer.encode(*pair) for pair in PAIRS]
    result = {
        "ids": [encoding.ids for encoding in encodings],
        "offsets": [flat(encoding.offsets) for encoding in encodings],
        "plainIds": [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS],
        "decoded": [tokenizer.decode(encoding.ids) for encoding in encodings],
        "decodedAll": [tokenizer.decode(encoding.ids, skip_special_tokens=False) for encoding in encodings],
        "pairs": [
            {
                "ids": pair.ids,
                "offsets": flat(pair.offsets),
                "typeIds": pair.type_ids,
                "specialTokensMask": pair.special_tokens_mask,
            }
            for pair in pairs
        ],
    }
    result["streamed"] = [streamed(tokenizer, encodings[place].ids) for place in STREAMED]
    tokenizer.encode_special_tokens = True
    result["literalIds"] = [tokenizer.encode(text, add_special_tokens=False).ids for text in SPECIAL]
    tokenizer.encode_special_tokens = False
    return result


SINGLE_SETTINGS = [
    (dict(max_length=8), None),
    (dict(max_length=8, direction="left"), None),
    (dict(max_length=10, stride=3), None),
    (dict(max_length=10, stride=3, direction="left"), None),
    (None, dict()),
    (None, dict(direction="left")),
    (None, dict(length=12)),
    (None, dict(pad_to_multiple_of=8)),
    (dict(max_length=9), dict(direction="left", pad_to_multiple_of=4)),
    (dict(max_length=16), dict(length=16)),
]
PAIR_SETTINGS = [
    (dict(max_length=12, strategy="longest_first"), dict()),
    (dict(max_length=15, strategy="longest_first", direction="left", stride=2), None),
    (dict(max_length=70, strategy="only_first"), dict(direction="left")),
    (dict(max_length=70, strategy="only_second"), None),
    (dict(max_length=3, strategy="only_second"), None),  # too short for the first text: an error
]
PAD = {"gpt2": "<|endoftext|>", "bert-uncased": "[PAD]", "roberta": "<pad>", "llama2": "</s>", "xlm-roberta": "<pad>", "llama3": "<|end_of_text|>"}
BATCH = [0, 1, 15, 26, 31, 49, 52, 73]
PAIR_BATCH = [0, 4, 6, 7, 12]
PAIR_BATCH_SECOND = [0, 4, 6, 7, 11]  # for only_second: the last has the long text second


def batches(tokenizers):
    """Truncated and padded batches: {tokenizer, truncation, padding, texts or pairs (places in the lists), encodings or error}."""
    rows = []
    for name, pad in PAD.items():
        tokenizer = tokenizers[name]
        for settings, pairwise in ((SINGLE_SETTINGS, False), (PAIR_SETTINGS, True)):
            for truncation, padding in settings:
                tokenizer.no_truncation()
                tokenizer.no_padding()
                if truncation is not None:
                    tokenizer.enable_truncation(**truncation)
                if padding is not None:
                    tokenizer.enable_padding(**padding, pad_id=tokenizer.token_to_id(pad), pad_token=pad)
                second = (truncation or {}).get("strategy") == "only_second"
                chosen = (PAIR_BATCH_SECOND if second else PAIR_BATCH) if pairwise else BATCH
                inputs = [(PAIRS if pairwise else TEXTS)[place] for place in chosen]
                saved = json.loads(tokenizer.to_str())
                row = {"tokenizer": name, "truncation": saved["truncation"], "padding": saved["padding"]}
                row["pairs" if pairwise else "texts"] = chosen
                try:
                    row["encodings"] = [
                        {**encoded(encoding), "overflowing": [encoded(piece) for piece in encoding.overflowing]}
                        for encoding in tokenizer.encode_batch(inputs)
                    ]
                except Exception as error:
                    row["error"] = str(error)
                rows.append(row)
        tokenizer.no_truncation()
        tokenizer.no_padding()
    return rows


def encoded(encoding):
    return {
        "ids": encoding.ids,
        "attentionMask": encoding.attention_mask,
        "typeIds": encoding.type_ids,
        "specialTokensMask": encoding.special_tokens_mask,
        "offsets": flat(encoding.offsets),
    }


def main():
    tokenizers = {name: build() for name, build in KINDS.items()}
    for name, tokenizer in tokenizers.items():
        write_json(OUT / f"{name}.tokenizer.json", json.loads(tokenizer.to_str()))
        tokenizers[name] = Tokenizer.from_file(str(OUT / f"{name}.tokenizer.json"))

    saved, cases = json.loads(base().to_str()), parts()
    write_json(OUT / "parts.json", {"madeBy": made_by(__file__, "tokenizers"), "base": saved, "cases": cases})
    built = {name: Tokenizer.from_str(json.dumps({**saved, **case})) for name, case in cases.items()}

    write_json_gz(OUT / "expected.json.gz", {
        "madeBy": made_by(__file__, "tokenizers", "sentencepiece"),
        "texts": TEXTS,
        "pairTexts": PAIRS,
        "streamedTexts": STREAMED,
        "specialFrom": TEXTS.index(SPECIAL[0]),
        "kinds": {name: answers(tokenizer) for name, tokenizer in tokenizers.items()},
        "parts": {name: {key: value for key, value in answers(tokenizer).items() if key in ("ids", "offsets")} for name, tokenizer in built.items()},
        "batches": batches(tokenizers),
    })  # fmt: skip


if __name__ == "__main__":
    main()
