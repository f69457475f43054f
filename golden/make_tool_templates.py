"""Makes golden/chat-templates/tools.json.gz: conversations with tools, as transformers renders them with the templates
of real models that ship in PyPI's trl (Apache-2.0), and with those of this folder.

The file has the texts, the templates stay in the wheel, which the tests fetch. A case is a template, a conversation in
OpenAI's form, where arguments are JSON as text, and the text that the template makes of it when it is given what it
takes: arguments as objects, or as they are ("arguments": "text"), one call in a message ("several": false), the role
system for developer.

    python golden/make_tool_templates.py [FOLDER_WITH_OTHER_TEMPLATES EXPECTED.json.gz]
"""

import copy
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from make_chat_templates import BOS_EOS, FOLDER, NOW, FixedDate, assistant, call, function, result, system, user
from tokenizer_common import made_by, write_json_gz
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

WHEEL = {"name": "trl", "version": "1.16.0"}
NAMES = [
    "qwen2_5", "qwen3", "qwen3_instruct_2507", "qwen3_vl", "qwen3_5_think", "qwen3_5_nothink", "qwen3_6", "qwen3_8", "llama3_1", "llama3_2",
    "deepseekv3", "deepseekv3_training", "glm4moe", "gptoss", "lfm2_2_5", "lfm2_v2", "nemotron_3_nano", "nemotron_3_super", "gemma4", "gemma4_v5",
]  # fmt: skip
OURS = ["qwen2", "llama3", "mistral", "deepseek"]
ENDS = ("<bos>", "<eos>")

TOOLS = [
    function(
        "get_weather", "The weather at a place.",
        place={"type": "string", "description": "The city, e.g. 北京"}, days={"type": "integer", "description": "How many."},
    ),
    function("add", "Adds numbers.", numbers={"type": "array", "items": {"type": "number"}, "description": "Some."}),
]  # fmt: skip


def calling(*calls, content=None, **rest):
    return assistant(content, tool_calls=[call(name, json.dumps(arguments, ensure_ascii=False), id) for name, arguments, id in calls], **rest)


WEATHER = ("get_weather", {"place": 'Paris "x"\n北京', "days": 2}, "abcdefghi")
ADD = ("add", {"numbers": [1, 2.5]}, "123456789")
CONVERSATIONS = {
    "asked": [system("Be brief."), user("What is the weather in 北京?")],
    "developer": [{"role": "developer", "content": "Be brief."}, user("Hi")],
    "called": [user("Weather?"), calling(WEATHER)],
    "answered": [user("Weather?"), calling(WEATHER), result('{"degrees": 12.5}'), assistant("It is 12.5 degrees."), user("Thanks")],
    "to answer": [system("S"), user("Weather?"), calling(WEATHER), result("sunny ☀️")],
    "two": [user("Both."), calling(WEATHER, ADD), result("sunny"), result("3.5", "123456789")],
    "thought": [user("Add."), calling(ADD, reasoning_content="I should add."), result("3.5", "123456789")],
    "said": [user("Add."), calling(ADD, content="I add."), result("3.5", "123456789")],
}  # fmt: skip


def tokenizer_for(template, ends):
    special = {key: value for key, value in zip(("bos_token", "eos_token"), ends) if value}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>")), **special)
    tokenizer.chat_template = template
    return tokenizer, special


def one_by_one(messages):
    """Each call in a message by itself, with its result after it."""
    out, done = [], set()
    for index, message in enumerate(messages):
        calls = message.get("tool_calls") or []
        if index in done:
            continue
        if len(calls) < 2:
            out.append(message)
            continue
        for number, each in enumerate(calls):
            rest = {key: value for key, value in message.items() if key != "reasoning_content"}
            first = {"reasoning_content": message["reasoning_content"]} if number == 0 and "reasoning_content" in message else {}
            out.append({**rest, **first, "content": message["content"] if number == 0 else "", "tool_calls": [each]})
            for later in range(index + 1, len(messages)):
                if messages[later].get("tool_call_id") == each["id"]:
                    out.append(messages[later])
                    done.add(later)
    return out


def prepared(conversation, as_text, several, knows_developers):
    messages = copy.deepcopy(conversation)
    names = {each["id"]: each["function"]["name"] for message in messages for each in message.get("tool_calls") or []}
    for message in messages:
        if message["role"] == "developer" and not knows_developers:
            message["role"] = "system"
        if message["role"] == "tool":
            message["name"] = names[message["tool_call_id"]]
        if message["content"] is None:
            message["content"] = ""
        if "reasoning_content" in message:
            message["thinking"] = message["reasoning_content"]
        for each in message.get("tool_calls") or []:
            if not as_text:
                each["function"]["arguments"] = json.loads(each["function"]["arguments"])
    messages = messages if several else one_by_one(messages)
    for message in messages:
        if "reasoning_content" not in message:
            message.pop("thinking", None)
    return messages


def render(tokenizer, messages, options):
    try:
        return {"text": tokenizer.apply_chat_template(copy.deepcopy(messages), tokenize=False, tools=TOOLS, **options)}
    except Exception as error:
        return {"error": str(error)}


def traits(tokenizer):
    """Which form of arguments a template takes, and whether it takes several calls: what it shows of them."""
    for as_text in (False, True):
        text = render(tokenizer, prepared(CONVERSATIONS["answered"], as_text, True, False), {}).get("text", "")
        if "北京" in text and "'place': " not in text and ("\\\\n" not in text if as_text else True):
            both = render(tokenizer, prepared(CONVERSATIONS["two"], as_text, True, False), {}).get("text", "")
            return as_text, "2.5" in both
    return False, True


def cases(name, template, ends):
    tokenizer, special = tokenizer_for(template, ends)
    as_text, several = traits(tokenizer)
    rendered = []
    for conversation, messages in CONVERSATIONS.items():
        ready = prepared(messages, as_text, several, "developer" in template)
        for generates in (True, False):
            answer = render(tokenizer, ready, {"add_generation_prompt": generates})
            rendered.append({"conversation": conversation, "generates": generates, **answer})
    return {"special": special, "arguments": "text" if as_text else "object", "several": several, "cases": rendered}


def main():
    chat_template_utils.datetime = FixedDate
    templates = {}
    with tempfile.TemporaryDirectory() as folder:
        if len(sys.argv) > 1:
            sources = {path.stem: path.read_text(encoding="utf-8") for path in sorted(Path(sys.argv[1]).glob("*.jinja"))}
            sha256, names = "", []
        else:
            wanted = f"{WHEEL['name']}=={WHEEL['version']}"
            subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, wanted], check=True)
            [wheel] = Path(folder).glob("*.whl")
            sha256, names = hashlib.sha256(wheel.read_bytes()).hexdigest(), NAMES
            with zipfile.ZipFile(wheel) as archive:
                sources = {name: archive.read(f"trl/chat_templates/{name}.jinja").decode() for name in names}
    for name, template in sources.items():
        templates[name] = {"source": "trl", **cases(name, template, ENDS)}
    for name in OURS if names else []:
        template = (FOLDER / f"{name}.jinja").read_text(encoding="utf-8")
        templates[name] = {"source": "here", **cases(name, template, BOS_EOS.get(name, ("<s>", "</s>")))}
    path = Path(sys.argv[2]) if len(sys.argv) > 2 else FOLDER / "tools.json.gz"
    write_json_gz(path, {
        "madeBy": made_by(__file__, "transformers", "jinja2"),
        "wheel": {**WHEEL, "sha256": sha256},
        "now": NOW.isoformat(),
        "tools": TOOLS,
        "conversations": CONVERSATIONS,
        "templates": templates,
    })  # fmt: skip
    for name, entry in templates.items():
        errors = [case["error"] for case in entry["cases"] if "error" in case]
        print(name, entry["arguments"], "several" if entry["several"] else "one", len(entry["cases"]), len(errors), errors[:1])


if __name__ == "__main__":
    main()
