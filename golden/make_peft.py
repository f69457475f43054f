"""Makes golden/peft/<base>/ and golden/peft/<base>/<adapter>/: tiny random models, adapters of peft, and what they answer.

expected.json has the logits of the base and of each adapter on one batch.

    python golden/make_peft.py [BASE...]
"""

import copy
import os
import sys
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"

import peft
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from common import GOLDEN, made_by, tensor_json, write_json

SIZES = dict(vocab_size=43, hidden_size=16, intermediate_size=28, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64)
LAST = r".*layers\.1.*(?P<kind>q_proj|down_proj)"
BASES = {
    "llama": (LlamaForCausalLM, LlamaConfig(**SIZES, num_key_value_heads=2, tie_word_embeddings=False)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**SIZES, num_key_value_heads=2, tie_word_embeddings=True)),
    "gpt2": (GPT2LMHeadModel, GPT2Config(vocab_size=43, n_embd=16, n_layer=2, n_head=2, n_positions=64)),
    "bert": (BertForSequenceClassification, BertConfig(**SIZES, num_labels=3)),
}
ADAPTERS = {
    "llama": {
        "lora": LoraConfig(r=3, lora_alpha=6, target_modules=["q_proj", "v_proj"], lora_dropout=0.1, task_type="CAUSAL_LM"),
        "rslora": LoraConfig(r=4, lora_alpha=3, use_rslora=True, target_modules="all-linear"),
        "dora": LoraConfig(r=2, lora_alpha=4, use_dora=True, target_modules=["k_proj", "o_proj", "up_proj"]),
        "patterns": LoraConfig(
            r=2, lora_alpha=2, target_modules=["q_proj", "k_proj", "gate_proj"], exclude_modules=["layers.0.self_attn.k_proj"],
            rank_pattern={"q_proj": 4, r"layers\.1\.mlp\.gate_proj": 1}, alpha_pattern={r".*gate_proj": 5},
        ),
        "layers": LoraConfig(target_modules=["q_proj", "lm_head"], layers_to_transform=[1], layers_pattern="layers", r=2),
        "regex": LoraConfig(target_modules=LAST, r=2, lora_bias=True),
        "embedding": LoraConfig(target_modules=["embed_tokens", "lm_head", "v_proj"], r=2),
        "saved": LoraConfig(target_modules=["v_proj"], r=2, modules_to_save=["lm_head", "input_layernorm"]),
    },
    "qwen2": {
        "bias-all": LoraConfig(target_modules=["q_proj", "o_proj"], r=2, bias="all"),
        "bias-lora": LoraConfig(target_modules=["q_proj", "o_proj"], r=2, bias="lora_only"),
        "dora": LoraConfig(target_modules="all-linear", r=2, use_dora=True, use_rslora=True),
    },
    "gpt2": {
        "lora": LoraConfig(target_modules=["c_attn"], r=3, fan_in_fan_out=True),
        "dora": LoraConfig(target_modules="all-linear", r=2, use_dora=True, fan_in_fan_out=True),
        "bias-all": LoraConfig(target_modules=["c_attn", "mlp.c_proj"], r=2, fan_in_fan_out=True, bias="all", modules_to_save=["ln_f"]),
    },
    "bert": {
        "lora": LoraConfig(target_modules=["query", "value"], r=2, task_type="SEQ_CLS"),
        "linear": LoraConfig(target_modules="all-linear", r=2, task_type="SEQ_CLS"),
    },
}


def redraw(module, std):
    """Other numbers than those of the beginning, where B is 0; what starts at 1 stays near it."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.dtype != torch.float32 or not std(name):
                continue
            ones = parameter.dim() == 1 and bool((parameter == 1).all())
            parameter.copy_(parameter * (1 + 0.3 * torch.rand_like(parameter)) if "magnitude" in name else torch.randn_like(parameter) * std(name) + ones)


def make(base):
    cls, config = BASES[base]
    torch.manual_seed(7000 + list(BASES).index(base))
    config.bos_token_id = config.eos_token_id = None
    config.pad_token_id = 0 if base == "bert" else None
    config._attn_implementation = "eager"
    model = cls(config).eval()
    redraw(model, lambda _: 0.3)
    folder = GOLDEN / "peft" / base
    model.save_pretrained(folder)
    ids = torch.randint(3, 43, (2, 9))
    ask = lambda model: tensor_json(model(input_ids=ids).logits.detach())
    expected = {"madeBy": f"{made_by(__file__)}, peft {peft.__version__}", "inputIds": ids.tolist(), "logits": ask(model), "adapters": {}}
    for name, adapter in ADAPTERS[base].items():
        adapted = get_peft_model(copy.deepcopy(model), copy.deepcopy(adapter)).eval()
        biases = {"none": "lora_bias", "all": ".bias", "lora_only": "base_layer.bias"}[adapter.bias]
        is_new = lambda key: 0.3 if "lora_" in key or "modules_to_save" in key or key.endswith(biases) else 0
        redraw(adapted, is_new)
        if adapter.target_modules == "all-linear" and name == "rslora":
            adapted.peft_config["default"].target_modules = "all-linear"  # as some write it
        adapted.save_pretrained(folder / name)
        (folder / name / "README.md").unlink(missing_ok=True)
        if name == "layers":  # the names that a state_dict has, with the adapter's
            path = folder / name / "adapter_model.safetensors"
            tensors = load_file(path)
            save_file({key.replace(".weight", ".default.weight") if "lora_" in key else key: value for key, value in tensors.items()}, path)
        expected["adapters"][name] = ask(adapted)
    write_json(folder / "expected.json", expected)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    for name in sys.argv[1:] or BASES:
        make(name)
