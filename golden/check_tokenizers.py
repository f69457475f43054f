"""Opens tokenizers that Kindling saved with transformers' AutoTokenizer, and compares ids and decoded texts.

DIR has a folder for each tokenizer, as `tokenizer.save(folder)` writes it, each with an answers.json of Kindling's: {texts, ids, decoded}.

    python golden/check_tokenizers.py DIR
"""

import json
import os
import sys
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

from transformers import AutoTokenizer


def differences(folder):
    answers = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for text, ids, decoded in zip(answers["texts"], answers["ids"], answers["decoded"]):
        theirs = tokenizer(text)["input_ids"]
        if theirs != ids:
            yield f"{text!r}: {ids[:12]} here, {theirs[:12]} there"
        elif tokenizer.decode(ids, skip_special_tokens=True) != decoded:
            yield f"{text!r}: decoded {decoded!r} here, {tokenizer.decode(ids, skip_special_tokens=True)!r} there"
    if tokenizer.special_tokens_map != answers["special"] or (tokenizer.chat_template or None) != answers["chatTemplate"]:
        yield f"{tokenizer.special_tokens_map} or the template, not {answers['special']}"


def main(root):
    count = 0
    for folder in sorted(path for path in Path(root).iterdir() if path.is_dir()):
        found = list(differences(folder))
        count += len(found)
        print(f"{folder.name}: {'same' if not found else f'{len(found)} differ, such as {found[0]}'}")
    sys.exit(1 if count else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
