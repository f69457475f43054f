"""Makes golden/methods/assistant-masks.json: which tokens of conversations are the assistant's, as transformers tells by
the generation tags of chat templates (apply_chat_template with return_assistant_tokens_mask).

    python golden/make_assistant_masks.py
"""

import json
from pathlib import Path

from tokenizer_common import made_by
from transformers import PreTrainedTokenizerFast

FOLDER = Path(__file__).parent
CHATML = (
    "{%- for message in messages %}{%- if message.role == 'assistant' %}{{- '<|im_start|>assistant\\n' }}"
    "{%- generation %}{{- message.content + '<|im_end|>' }}{%- endgeneration %}{{- '\\n' }}"
    "{%- else %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
# leaves the thoughts of earlier answers out
THINKING = (
    "{% for message in messages %}{% if message.role == 'assistant' %}[A] {% generation %}"
    "{{ message.content if loop.last else message.content.split('</think>')[-1] }} [E]{% endgeneration %}\n"
    "{% else %}[{{ message.role }}] {{ message.content }} [E]\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}[A] {% endif %}"
)


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


CONVERSATIONS = [
    [user("Call me Ishmael."), assistant("Ishmael it is.")],
    [{"role": "system", "content": "Be brief."}, user("A?"), assistant("B, of course."), user("And?"), assistant("C")],
    [user("x"), assistant("<think>some thoughts</think>the answer"), user("y"), assistant("<think>more</think>another")],
    [assistant("I begin."), user("Do you?"), assistant("Yes.\n\nIndeed. ")],
]

tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(FOLDER / "tokenizers/bpe-600.tokenizer.json"))
tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
cases = []
for name, template in (("chatml", CHATML), ("thinking", THINKING)):
    for messages in CONVERSATIONS:
        result = tokenizer.apply_chat_template(
            messages, chat_template=template, return_dict=True, return_assistant_tokens_mask=True
        )
        cases.append({"template": name, "messages": messages, "ids": result["input_ids"], "mask": result["assistant_masks"]})
target = FOLDER / "methods/assistant-masks.json"
target.parent.mkdir(exist_ok=True)
target.write_text(
    json.dumps({"madeBy": made_by(__file__, "transformers"), "templates": {"chatml": CHATML, "thinking": THINKING}, "cases": cases}, ensure_ascii=False) + "\n"
)
