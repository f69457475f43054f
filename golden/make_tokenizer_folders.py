"""Makes golden/tokenizers/folders.json.gz: folders that a reader of plain byte-level BPE alone would read wrongly, and transformers' answers.

Added tokens with lstrip, rstrip, single_word or without "special", tokens around a text, suffixes, unknown tokens with few bytes, other decoders,
vocabularies with "__proto__", and vocab.json with merges.txt in place of tokenizer.json. The folders' files are in the result itself: run again, this
script keeps them and computes the answers anew.

    python golden/make_tokenizer_folders.py
"""

import gzip
import json
import os
import tempfile
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

from tokenizer_common import FOLDER, made_by, write_json_gz
from transformers import AutoTokenizer

PATH = FOLDER / "folders.json.gz"


def answers(files, texts):
    with tempfile.TemporaryDirectory() as name:
        for file, content in files.items():
            (Path(name) / file).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        tokenizer = AutoTokenizer.from_pretrained(name)
    rows = [tokenizer(text)["input_ids"] for text in texts]
    return [{"text": text, "ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=True)} for text, ids in zip(texts, rows)]


def main():
    folders = json.loads(gzip.decompress(PATH.read_bytes()))["folders"]
    made = {name: {"files": folder["files"], "cases": answers(folder["files"], [case["text"] for case in folder["cases"]])} for name, folder in folders.items()}
    write_json_gz(PATH, {"madeBy": made_by(__file__, "transformers", "tokenizers"), "folders": made})


if __name__ == "__main__":
    main()
