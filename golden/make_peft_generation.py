"""Makes golden/peft/generation.json: greedy texts that peft writes behind prompts and prefixes, of the adapters of
golden/peft/<base>/train-{prompt,prefix} and of golden/peft/llama/p-tuning, which it makes.

    python golden/make_peft_generation.py
"""

import os
import shutil
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"

import peft
import torch
from peft import PeftModel, PromptEncoderConfig, get_peft_model

from common import GOLDEN, LEAST_LEAD, NEW_TOKENS, made_by, write_json
from make_peft import BASES
from make_peft_training import save

ADAPTERS = {"llama": ["train-prompt", "train-prefix", "p-tuning"], "gpt2": ["train-prompt", "train-prefix"]}


def make_p_tuning():
    torch.manual_seed(8500)
    folder = GOLDEN / "peft" / "llama"
    model = BASES["llama"][0].from_pretrained(folder)
    adapted = get_peft_model(model, PromptEncoderConfig(num_virtual_tokens=3, encoder_hidden_size=8, task_type="CAUSAL_LM"))
    with torch.no_grad():
        for parameter in adapted.prompt_encoder.parameters():
            parameter.copy_(torch.randn_like(parameter))
    shutil.rmtree(folder / "p-tuning", ignore_errors=True)
    save(adapted, folder / "p-tuning")


def open_adapted(base, name):
    folder = GOLDEN / "peft" / base
    model = BASES[base][0].from_pretrained(folder, attn_implementation="eager")
    return PeftModel.from_pretrained(model, folder / name).eval()


@torch.no_grad()
def texts(base, name):
    """Two greedy texts of generate, in which no choice is close."""
    adapted, runs = open_adapted(base, name), []
    while len(runs) < 2:
        prompt = torch.randint(3, 43, (1, 5 + 3 * len(runs)))
        output = adapted.generate(
            input_ids=prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=NEW_TOKENS,
            pad_token_id=0, output_logits=True, return_dict_in_generate=True,
        )
        top = torch.stack(output.logits).topk(2).values
        if (top[..., 0] - top[..., 1]).min() > LEAST_LEAD:
            runs.append({"prompt": prompt[0].tolist(), "ids": output.sequences[0, -NEW_TOKENS:].tolist()})
    return runs


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    make_p_tuning()
    torch.manual_seed(8600)
    expected = {base: {name: texts(base, name) for name in names} for base, names in ADAPTERS.items()}
    write_json(GOLDEN / "peft" / "generation.json", {"madeBy": f"{made_by(__file__)}, peft {peft.__version__}", "texts": expected})
