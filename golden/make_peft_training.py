"""Makes golden/peft/<base>/training.json and golden/peft/<base>/<case>/: adapters as they are before training, what the
models answer with them, and 30 steps of AdamW with peft; for llama also two adapters and what they are combined to.

    python golden/make_peft_training.py [BASE...]
"""

import copy
import os
import sys
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import peft
import torch
from peft import IA3Config, LoraConfig, PrefixTuningConfig, PromptTuningConfig, get_peft_model
from peft.utils import get_peft_model_state_dict

from common import GOLDEN, made_by, tensor_json, write_json
from make_peft import BASES, redraw

STEPS, BATCHES, RATE = 30, 4, 1e-2
CAUSAL = dict(task_type="CAUSAL_LM")
CASES = {
    "llama": {
        "train-lora": LoraConfig(r=3, lora_alpha=6, target_modules=["q_proj", "v_proj", "down_proj"], **CAUSAL),
        "train-rslora": LoraConfig(r=4, lora_alpha=3, use_rslora=True, target_modules=["k_proj", "o_proj"], **CAUSAL),
        "train-dora": LoraConfig(r=2, lora_alpha=4, use_dora=True, target_modules=["q_proj", "up_proj"], **CAUSAL),
        "train-f16": LoraConfig(r=3, lora_alpha=6, target_modules=["q_proj", "v_proj"], **CAUSAL),
        "train-saved": LoraConfig(r=2, target_modules=["v_proj"], modules_to_save=["lm_head", "norm"], **CAUSAL),
        "train-ia3": IA3Config(target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"], **CAUSAL),
        "train-prompt": PromptTuningConfig(num_virtual_tokens=3, **CAUSAL),
        "train-prefix": PrefixTuningConfig(num_virtual_tokens=3, **CAUSAL),
    },
    "qwen2": {"train-bias": LoraConfig(r=2, target_modules=["q_proj", "o_proj"], bias="all", **CAUSAL)},
    "gpt2": {
        "train-ia3": IA3Config(target_modules=["c_attn", "mlp.c_proj"], feedforward_modules=["mlp.c_proj"], fan_in_fan_out=True, **CAUSAL),
        "train-prompt": PromptTuningConfig(num_virtual_tokens=2, **CAUSAL),
        "train-prefix": PrefixTuningConfig(num_virtual_tokens=4, **CAUSAL),
    },
    "bert": {"train-ia3": IA3Config(target_modules=["query", "value", "output.dense"], feedforward_modules=["output.dense"], task_type="SEQ_CLS")},
}


def save(model, folder, **options):
    """Saves adapters for a base by its name, not by its place on this machine."""
    for config in model.peft_config.values():
        config.base_model_name_or_path = Path(config.base_model_name_or_path or folder).name
    model.save_pretrained(folder, **options)
    (folder / "README.md").unlink(missing_ok=True)


def train(model, ids, labels, case):
    """Losses of the steps, and the adapter after them. Everything is as in evaluation: nothing is dropped."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.01)
    losses = []
    for step in range(STEPS):
        loss = model(input_ids=ids[step % BATCHES], labels=labels[step % BATCHES]).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    state = get_peft_model_state_dict(model)
    if "prompt" in case or "prefix" in case:
        state = {"prompt_embeddings": model.prompt_encoder["default"].embedding.weight}
    return losses, {name: tensor_json(tensor.detach().float()) for name, tensor in state.items() if "original_module" not in name}


def combined(model, ids, folder):
    """Two adapters of one rank, and the answers of what add_weighted_adapter makes of them."""
    two = {
        "mix-a": LoraConfig(r=2, lora_alpha=3, target_modules=["q_proj", "v_proj"]),
        "mix-b": LoraConfig(r=2, lora_alpha=5, target_modules=["v_proj", "o_proj"]),
    }
    adapted = get_peft_model(copy.deepcopy(model), two["mix-a"], adapter_name="mix-a")
    adapted.add_adapter("mix-b", two["mix-b"])
    redraw(adapted, lambda name: 0.3 if "lora_" in name else 0)
    answers = {}
    for kind in ["linear", "cat"]:
        adapted.add_weighted_adapter(["mix-a", "mix-b"], [0.7, -0.4], kind, combination_type=kind)
        adapted.set_adapter(kind)
        answers[kind] = tensor_json(adapted.eval()(input_ids=ids[0]).logits.detach())
    save(adapted, folder, selected_adapters=list(two))
    return answers


def make(base):
    cls, _ = BASES[base]
    folder = GOLDEN / "peft" / base
    torch.manual_seed(8000 + list(BASES).index(base))
    model = cls.from_pretrained(folder, attn_implementation="eager").eval()
    ids = torch.randint(3, 43, (BATCHES, 2, 9))
    labels = torch.randint(0, 3, (BATCHES, 2)) if base == "bert" else ids
    expected = {"madeBy": f"{made_by(__file__)}, peft {peft.__version__}", "inputIds": ids.tolist(), "labels": labels.tolist(), "learningRate": RATE, "cases": {}}
    for name, config in CASES[base].items():
        start = copy.deepcopy(model)
        if name == "train-f16":
            for parameter in start.parameters():  # not the buffers: those of positions stay exact
                parameter.data = parameter.data.half().float()
        adapted = get_peft_model(start, copy.deepcopy(config)).eval()
        is_new = lambda key: 0.3 if any(part in key for part in ["lora_", "ia3_l", "prompt_encoder"]) else 0
        redraw(adapted, is_new)
        save(adapted, folder / name)
        logits = adapted(input_ids=ids[0]).logits.detach()
        if name == "train-prompt":
            logits = logits[:, config.num_virtual_tokens :]
        losses, final = train(adapted, ids, labels, name)
        expected["cases"][name] = {"logits": tensor_json(logits.contiguous()), "losses": losses, "final": final}
    if base == "llama":
        expected["combined"] = combined(model, ids, folder)
    write_json(folder / "training.json", expected)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    for name in sys.argv[1:] or CASES:
        make(name)
