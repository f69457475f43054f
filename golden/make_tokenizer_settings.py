"""Makes golden/tokenizers/settings.json.gz: what the files beside a tokenizer.json change, as transformers' AutoTokenizer reads them.

"keys" are all keys of tokenizer_config.json that transformers' tokenizers take, with the classes that take each, read from its source;
"classTokens", "inputNames" and "paddingSides" are what classes have without the key. "cases" are folders: a tokenizer of kinds/, further files, and the answers.

    python golden/make_tokenizer_settings.py
"""

import copy
import inspect
import json
import os
import re
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

from tokenizer_common import FOLDER, made_by, write_json_gz
from transformers import AutoTokenizer, tokenization_utils_base, tokenization_utils_tokenizers
from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES, tokenizer_class_from_name

TEXTS = [
    "Call me Ishmael.", "the WHALE , isn't it ?", "Ångström é 鯨 <x> a<x>b  <x>  c", "a <image> b<|im_end|>c", "", " leading", "[MASK] <mask> [SEP]</s><|endoftext|>",
]  # fmt: skip
PAIR = ("the whale", "a sea")
CHAT = "{{ bos_token }}|{{ eos_token }}|{{ unk_token }}|{{ image_token }}|{{ messages[0].content }}"
FAST = {"tokenizer_class": "PreTrainedTokenizerFast"}


def token(content, **flags):
    return {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True} | flags


def typed(content, **flags):
    return {"__type": "AddedToken"} | token(content, **flags)


def config(**keys):
    return {"tokenizer_config.json": FAST | keys}


def cases():
    """Name -> (kind, files beside tokenizer.json)."""
    out = {"nothing": ("gpt2", {})}
    for kind in ("gpt2", "bert-uncased", "roberta", "word-level", "t5", "llama2"):
        out[f"{kind}, only a class"] = (kind, config())
    out |= {
        "named tokens as texts": ("gpt2", config(bos_token="<|endoftext|>", eos_token="<|im_end|>", pad_token="<pad>", unk_token="whale")),
        "named tokens as objects": ("gpt2", config(bos_token=typed("<x>", lstrip=True), eos_token=typed("</s>", normalized=True, special=False))),
        "a named token of null": ("gpt2", config(bos_token=None, eos_token="<|endoftext|>")),
        "named tokens that are objects without a type": ("gpt2", config(bos_token=token("<x>"))),
        "tokens of the model's own": ("gpt2", config(image_token="<image>", bos_token="<|endoftext|>")),
        "additional special tokens": ("gpt2", config(additional_special_tokens=["<image>", typed("<x>", rstrip=True)])),
        "additional special tokens of null": ("gpt2", config(additional_special_tokens=None)),
        "extra special tokens": ("gpt2", config(extra_special_tokens=["<image>"])),
        "extra special tokens by name": ("gpt2", config(extra_special_tokens={"image_token": "<image>", "boi_token": "<x>"})),
        "both lists": ("gpt2", config(extra_special_tokens=["<image>"], additional_special_tokens=["<x>"])),
        "added tokens": ("gpt2", config(added_tokens_decoder={"1000": token("<x>", special=False), "1001": token("<image>", lstrip=True)})),
        "added tokens with other flags": ("roberta", config(added_tokens_decoder={"4": token("<mask>", rstrip=True)})),
        "added tokens and names": ("gpt2", config(added_tokens_decoder={"900": token("<x>", lstrip=True)}, bos_token="<x>")),
        "added tokens, one in the vocabulary": ("bert-uncased", config(added_tokens_decoder={"9": token("whale", special=False, normalized=True)})),
        "added tokens that are no objects": ("gpt2", config(added_tokens_decoder={"900": "<x>"})),
        "no clean-up": ("word-level", config(clean_up_tokenization_spaces=False)),
        "clean-up": ("word-level", config(clean_up_tokenization_spaces=True)),
        "clean-up of BPE": ("gpt2", config(clean_up_tokenization_spaces=True)),
        "clean-up of BPE, forced": ("gpt2", config(clean_up_tokenization_spaces=True, clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output=True)),
        "clean-up of WordPiece": ("bert-uncased", config(clean_up_tokenization_spaces=True)),
        "special tokens split": ("gpt2", config(split_special_tokens=True)),
        "special tokens of a frame split": ("bert-uncased", config(split_special_tokens=True)),
        "lengths and sides": ("gpt2", config(model_max_length=12, padding_side="left", truncation_side="left", pad_token="<|endoftext|>")),
        "max_len": ("gpt2", config(max_len=9)),
        "a wrong side": ("gpt2", config(padding_side="middle")),
        "input names": ("bert-uncased", config(model_input_names=["input_ids", "attention_mask"])),
        "input names with types": ("bert-uncased", config(model_input_names=["input_ids", "token_type_ids", "attention_mask"])),
        "beginning and end": ("gpt2", config(add_bos_token=True, add_eos_token=True, bos_token="<|endoftext|>", eos_token="<|endoftext|>")),
        "prefix space of a plain class": ("gpt2", config(add_prefix_space=True)),
        "template as a text": ("gpt2", config(chat_template=CHAT, bos_token="<x>", image_token="<image>")),
        "templates by name": ("gpt2", config(chat_template=[{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D{{ eos_token }}"}], eos_token="e")),
        "templates without a default": ("gpt2", config(chat_template=[{"name": "tool_use", "template": "T"}])),
        "template file": ("gpt2", config(chat_template="C", eos_token="e") | {"chat_template.jinja": "F{{ eos_token }}"}),
        "further template files": ("gpt2", config(chat_template="C") | {"chat_template.jinja": "F", "additional_chat_templates/tool_use.jinja": "T"}),
        "special_tokens_map": ("gpt2", config(eos_token="a") | {"special_tokens_map.json": {"eos_token": token("<x>", lstrip=True), "pad_token": "<pad>", "image_token": "<image>"}}),
        "special_tokens_map beside added tokens": ("gpt2", config(added_tokens_decoder={}, eos_token="a") | {"special_tokens_map.json": {"eos_token": "<x>"}}),
        "special_tokens_map with additional ones": ("gpt2", config() | {"special_tokens_map.json": {"additional_special_tokens": ["<x>", "<image>"], "extra_special_tokens": ["<y>"]}}),
        "added_tokens.json": ("gpt2", config(bos_token="<x>") | {"added_tokens.json": {"<x>": 900, "<image>": 901}}),
        "bert, accents kept": ("bert-uncased", {"tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "strip_accents": False, "tokenize_chinese_chars": False}}),
        "bert, defaults": ("bert-cased", {"tokenizer_config.json": {"tokenizer_class": "BertTokenizerFast"}}),
        "bert, cased": ("bert-cased", {"tokenizer_config.json": {"tokenizer_class": "BertTokenizerFast", "do_lower_case": False}}),
        "bert, by config.json": ("bert-uncased", {"config.json": {"model_type": "bert"}}),
        "bert, by another class": ("bert-uncased", config() | {"config.json": {"model_type": "bert"}}),
        "bert, other names": ("bert-uncased", {"tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "cls_token": "[SEP]", "sep_token": "[CLS]"}}),
        "distilbert": ("bert-uncased", {"tokenizer_config.json": {"tokenizer_class": "DistilBertTokenizer"}}),
        "gpt2 with a prefix": ("gpt2", {"tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True}}),
        "gpt2, the class's tokens": ("gpt2", {"tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer"}}),
        "roberta with a prefix": ("roberta", {"tokenizer_config.json": {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": True}}),
        "roberta without": ("roberta", {"tokenizer_config.json": {"tokenizer_class": "RobertaTokenizerFast"}}),
        "roberta, offsets as they are": ("roberta", {"tokenizer_config.json": {"tokenizer_class": "RobertaTokenizerFast", "trim_offsets": False, "add_prefix_space": True}}),
        "a class that is not known": ("gpt2", {"tokenizer_config.json": {"tokenizer_class": "NobodysTokenizer"}}),
        "keys without effect": ("gpt2", config(errors="strict", use_fast=False, legacy=False, name_or_path="x", sp_model_kwargs={}, unknown_key=[1], processor_class="X", verbose=True)),
        "padding and truncation of the file": ("gpt2", config() | {"tokenizer.json": {
            "truncation": {"direction": "Left", "max_length": 7, "strategy": "LongestFirst", "stride": 1},
            "padding": {"strategy": "BatchLongest", "direction": "Left", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "<|endoftext|>"},
        }}),
        "config is null": ("gpt2", {"tokenizer_config.json": None}),
        "config is cut off": ("gpt2", {"tokenizer_config.json": "{\"eos_token\": \"a"}),
        "config is a list": ("gpt2", {"tokenizer_config.json": []}),
        "a template of null in a list": ("gpt2", config(chat_template=[None])),
        "a token that is a number": ("gpt2", config(eos_token=3)),
        "input names that are a number": ("gpt2", config(model_input_names=3)),
        "a map that is a list": ("gpt2", config() | {"special_tokens_map.json": ["x"]}),
    }  # fmt: skip
    return out


def write_folder(folder, kind, files):
    shutil.copy(FOLDER / "kinds" / f"{kind}.tokenizer.json", folder / "tokenizer.json")
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if name == "tokenizer.json":
            content = json.loads(path.read_text(encoding="utf-8")) | content
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def chat(tokenizer):
    try:
        return tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
    except ValueError as error:
        return {"error": str(error)[:80]}


def answers(kind, files):
    with tempfile.TemporaryDirectory() as name:
        write_folder(Path(name), kind, copy.deepcopy(files))
        try:
            tokenizer = AutoTokenizer.from_pretrained(name)
        except Exception as error:  # noqa: BLE001: whatever it refuses is a case
            return {"error": f"{type(error).__name__}: {str(error).replace(name, '')[:120]}"}
    rows = [tokenizer(text, return_offsets_mapping=True)["input_ids"] for text in TEXTS]
    pair = tokenizer(*PAIR)
    return {
        "class": type(tokenizer).__name__,
        "ids": rows,
        "plainIds": [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS],
        "offsets": tokenizer(TEXTS[0], return_offsets_mapping=True)["offset_mapping"],
        "pair": {"ids": pair["input_ids"], "typeIds": pair.get("token_type_ids")},
        "decoded": [tokenizer.decode(row, skip_special_tokens=True) for row in rows],
        "decodedAll": [tokenizer.decode(row) for row in rows],
        "special": tokenizer.special_tokens_map,
        "extra": tokenizer.extra_special_tokens,
        "maxLength": tokenizer.model_max_length if tokenizer.model_max_length < 1e9 else None,
        "paddingSide": tokenizer.padding_side,
        "truncationSide": tokenizer.truncation_side,
        "vocabSize": len(tokenizer),
        "chat": chat(tokenizer) if tokenizer.chat_template is not None else None,
    }


def classes():
    named = {name for name in TOKENIZER_MAPPING_NAMES.values() if name} | {"ConvBertTokenizer", "DistilBertTokenizer", "CodeLlamaTokenizer"}
    found = {name: tokenizer_class_from_name(name) for name in sorted(named)}
    return {name: kind for name, kind in found.items() if kind is not None and hasattr(kind, "model_input_names")}


def class_tokens(kind):
    """The special tokens that a class names by itself."""
    found = {}
    for base in reversed(kind.__mro__):
        if "__init__" in base.__dict__ and base.__module__.startswith("transformers"):
            for parameter in inspect.signature(base.__init__).parameters.values():
                if parameter.name.endswith("_token") and isinstance(parameter.default, str):
                    found[parameter.name] = parameter.default
    return found


def known_keys(kinds):
    """Keys by the classes that take them; "*" is all."""
    keys = defaultdict(set)
    for module in (tokenization_utils_base, tokenization_utils_tokenizers):
        source = inspect.getsource(module)
        for key in re.findall(r"(?:init_kwargs|kwargs|tokenizer_config|local_kwargs)(?:\.(?:pop|get|setdefault)\(\s*|\[)\"(\w+)\"", source):
            keys[key].add("*")
    for key in tokenization_utils_base.PreTrainedTokenizerBase.SPECIAL_TOKENS_ATTRIBUTES:
        keys[key].add("*")
    for name, kind in kinds.items():
        for base in kind.__mro__:
            if "__init__" in base.__dict__ and base.__module__.startswith("transformers"):
                for parameter in list(inspect.signature(base.__init__).parameters.values())[1:]:
                    if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                        keys[parameter.name].add(name)
    return {key: sorted(names) if "*" not in names else ["*"] for key, names in sorted(keys.items())}


def main():
    kinds = classes()
    write_json_gz(FOLDER / "settings.json.gz", {
        "madeBy": made_by(__file__, "transformers", "tokenizers"),
        "keys": known_keys(kinds),
        "classTokens": {name: class_tokens(kind) for name, kind in kinds.items()},
        "inputNames": {name: kind.model_input_names for name, kind in kinds.items()},
        "paddingSides": {name: kind.padding_side for name, kind in kinds.items()},
        "classes": {model: kinds[name].__name__ for model, name in TOKENIZER_MAPPING_NAMES.items() if name in kinds},
        "texts": TEXTS,
        "pairTexts": PAIR,
        "cases": {name: {"kind": kind, "files": files, "expected": answers(kind, files)} for name, (kind, files) in cases().items()},
    })  # fmt: skip


if __name__ == "__main__":
    main()
