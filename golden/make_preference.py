"""Makes golden/preference.json: losses, metrics and gradients of trl's preference trainers on one batch, and 5 steps of
DPO with LoRA. The models are those of golden/peft/. No trainer is run: their methods are called on a batch.

    python golden/make_preference.py
"""

import os
import warnings
from collections import defaultdict
from types import SimpleNamespace

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import torch.nn.functional as F
import trl
from accelerate import Accelerator
from peft import PeftModel
from transformers import BertConfig, BertForSequenceClassification, GPT2LMHeadModel, LlamaForCausalLM
from trl.experimental.cpo import CPOTrainer
from trl.experimental.orpo import ORPOTrainer
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.kto_trainer import KTOTrainer
from trl.trainer.reward_trainer import RewardTrainer
from trl.trainer.utils import add_fused_lm_head

from common import GOLDEN, floats, made_by, tensor_json, write_json

PEFT = GOLDEN / "peft"
PAIRS, PROMPT, LONGEST, VOCABULARY, RATE, STEPS = 3, 4, 7, 43, 1e-2, 5
GRADIENTS = {
    "llama": ["layers.1.self_attn.v_proj.lora_B", "layers.0.mlp.down_proj.lora_A"],
    "gpt2": ["transformer.ln_f.weight", "transformer.h.0.attn.c_attn.bias"],
}
OUTPUTS = ("log_probs", "entropy", "mean_logits", "is_top1")
ACCELERATOR = Accelerator(cpu=True)


def pairs(generator, count=PAIRS):
    """Rows of ids: prompts of several lengths, each with two completions; all are padded at the right."""
    draw = lambda least, most: torch.randint(least, most, (1,), generator=generator).item()
    ids = lambda length: torch.randint(3, VOCABULARY, (length,), generator=generator).tolist()
    prompts = [ids(draw(2, PROMPT + 1)) for _ in range(count)]
    return [(prompt, ids(draw(1, LONGEST))) for _ in range(2) for prompt in prompts]


def padded(rows):
    """trl's batch of rows of (prompt, completion)."""
    width = max(len(prompt) + len(completion) for prompt, completion in rows)
    fill = lambda values: values + [0] * (width - len(values))
    return {
        "input_ids": torch.tensor([fill(prompt + completion) for prompt, completion in rows]),
        "attention_mask": torch.tensor([fill([1] * len(prompt + completion)) for prompt, completion in rows]),
        "completion_mask": torch.tensor([fill([0] * len(prompt) + [1] * len(completion)) for prompt, completion in rows]),
    }


def trainer_of(cls, model, **fields):
    """A trainer with what its loss looks at, and nothing else."""
    trainer = object.__new__(cls)
    defaults = dict(
        model=model, ref_model=None, accelerator=ACCELERATOR, aux_loss_enabled=False, is_encoder_decoder=False,
        pad_token_id=0, padding_value=0, ld_alpha=None, use_weighting=False, f_divergence_type="reverse_kl",
        precompute_ref_logps=False, loss_weights=[1.0], label_smoothing=0.0, alpha=0.0, calculate_KL=True,
        args=SimpleNamespace(gradient_checkpointing_kwargs=None, gradient_checkpointing=False, center_rewards_coefficient=None),
        _total_train_tokens=0, _tp_size=1, _metrics={"train": defaultdict(list), "eval": defaultdict(list)},
    )
    for name, value in {**defaults, **fields}.items():
        object.__setattr__(trainer, name, value)
    return trainer


def result(trainer, model, batch, names):
    """Loss, metrics and some gradients."""
    model.zero_grad()
    loss = trainer._compute_loss(model, batch, False)
    metrics = {name: values[-1] for name, values in trainer._metrics["eval"].items()}
    return recorded(model, loss, metrics, names)


def recorded(model, loss, metrics, names):
    loss.backward()
    gradients = {}
    for name, parameter in model.named_parameters():
        if any(part in name for part in names):
            gradients[name.replace(".default", "")] = tensor_json(parameter.grad)
    kept = {name: value for name, value in metrics.items() if name not in LEFT_OUT}
    return {"loss": loss.item(), "metrics": kept, "gradients": gradients}


LEFT_OUT = {"entropy", "num_tokens", "mean_token_accuracy", "logits/chosen", "logits/rejected"}


def dpo_cases(model, batch, names, extra):
    """DPO and what is computed of the same numbers."""
    cases = {}
    settings = {
        "sigmoid": dict(loss_types=["sigmoid"], beta=0.1),
        "sigmoid-nll": dict(loss_types=["sigmoid", "sft"], loss_weights=[1.0, 0.4], beta=0.3),
        "ipo": dict(loss_types=["ipo"], beta=0.2),
        "hinge": dict(loss_types=["hinge"], beta=0.5),
        "robust": dict(loss_types=["robust"], beta=0.3, label_smoothing=0.2),
    }
    for name, fields in settings.items():
        trainer = trainer_of(DPOTrainer, model, **fields, **extra)
        cases[name] = result(trainer, model, batch, names)
    return cases


def smoothed(model, batch, names, reference):
    """cDPO, which trl has no more: the formula of Mitchell's note. beta 0.3, label smoothing 0.2."""
    model.zero_grad()
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)
    logps = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels, fused_lm_head=True).log_probs.sum(1)
    chosen, rejected = (logps - reference).chunk(2)
    margin = 0.3 * (chosen - rejected)
    loss = (-0.8 * F.logsigmoid(margin) - 0.2 * F.logsigmoid(-margin)).mean()
    return {"sigmoid-smoothed": recorded(model, loss, {"rewards/margins": margin.mean().item()}, names)}


def without_reference(model, rows, names):
    """ORPO, SimPO and CPO."""
    half = len(rows) // 2
    batch = {}
    for side, part in [("chosen", rows[:half]), ("rejected", rows[half:])]:
        one = padded(part)
        batch[f"{side}_input_ids"], batch[f"{side}_attention_mask"] = one["input_ids"], one["attention_mask"]
        batch[f"{side}_labels"] = one["input_ids"].masked_fill(one["completion_mask"] == 0, -100)
    settings = {
        "orpo": (ORPOTrainer, dict(beta=0.25)),
        "simpo": (CPOTrainer, dict(loss_type="simpo", beta=2.0, simpo_gamma=0.7, cpo_alpha=0.0)),
        "cpo": (CPOTrainer, dict(loss_type="sigmoid", beta=0.2, cpo_alpha=0.6, label_smoothing=0.1)),
    }
    cases = {}
    for name, (cls, fields) in settings.items():
        model.zero_grad()
        loss, metrics = trainer_of(cls, model, **fields).get_batch_loss_metrics(model, batch, "train")
        cases[name] = recorded(model, loss, metrics, names)
    return cases


def kto_case(model, rows, names, extra):
    """Rated completions; the mismatched ones are those of the row before."""
    labels = [True, False, True, True, False, False]
    batch = {**padded(rows), "label": torch.tensor(labels)}
    mismatched = [(prompt, rows[i - 1][1]) for i, (prompt, _) in enumerate(rows)]
    batch.update({f"KL_{name}": value for name, value in padded(mismatched).items()})
    batch.update(extra)
    fields = dict(loss_type="kto", beta=0.3, desirable_weight=1.0, undesirable_weight=1.5, precompute_ref_logps=bool(extra))
    return {"labels": labels, **result(trainer_of(KTOTrainer, model, **fields), model, batch, names)}


def reward_case(rows):
    """The BERT of golden/peft/ with a head of one class."""
    torch.manual_seed(77)
    config = BertConfig.from_pretrained(PEFT / "bert", num_labels=1)
    model = BertForSequenceClassification.from_pretrained(PEFT / "bert", config=config, ignore_mismatched_sizes=True).eval()
    with torch.no_grad():
        model.classifier.weight.normal_(0, 0.5)
        model.classifier.bias.normal_(0, 0.5)
    head = {"weight": tensor_json(model.classifier.weight), "bias": tensor_json(model.classifier.bias)}
    batch = {name: value for name, value in padded(rows).items() if name != "completion_mask"}
    margins = torch.tensor([0.5, 0.0, 1.25])
    cases = {}
    for name, margin, centering in [("plain", None, None), ("margin", margins, None), ("centred", margins, 0.1)]:
        args = SimpleNamespace(center_rewards_coefficient=centering)
        trainer = trainer_of(RewardTrainer, model, args=args)
        inputs = {**batch, **({} if margin is None else {"margin": margin})}
        model.zero_grad()
        original = model.forward
        model.forward = lambda use_cache=None, margin=None, **rest: original(**rest)  # a decoder's would pass them over
        loss = RewardTrainer.compute_loss(trainer, model, inputs)
        model.forward = original
        metrics = {key: values[-1] for key, values in trainer._metrics["eval"].items()}
        cases[name] = recorded(model, loss, metrics, ["classifier.weight", "pooler.dense.bias"])
    return {"head": head, "margins": margins.tolist(), "cases": cases}


def trace(generator):
    """Losses of 5 steps of DPO with LoRA, each on a batch of its own."""
    model = adapted()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.01)
    batches, losses = [], []
    for _ in range(STEPS):
        rows = pairs(generator)
        batches.append(rows)
        trainer = trainer_of(DPOTrainer, model, loss_types=["sigmoid"], beta=0.1)
        loss = trainer._compute_loss(model, padded(rows), False)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"rows": batches, "losses": losses, "learningRate": RATE}


def adapted():
    """The Llama with an adapter that changes what it says; without it, it is the reference."""
    base = LlamaForCausalLM.from_pretrained(PEFT / "llama", attn_implementation="eager")
    add_fused_lm_head(base, outputs=OUTPUTS)
    return PeftModel.from_pretrained(base, PEFT / "llama" / "train-lora", is_trainable=True).eval()


def main():
    generator = torch.Generator().manual_seed(2305)
    rows = pairs(generator)
    batch = padded(rows)
    llama = adapted()
    gpt2 = GPT2LMHeadModel.from_pretrained(PEFT / "gpt2", attn_implementation="eager").eval()
    add_fused_lm_head(gpt2, outputs=OUTPUTS)
    reference = -3.5 * batch["completion_mask"].sum(1).float() + torch.randn(2 * PAIRS, generator=generator)
    mismatched = reference + torch.randn(2 * PAIRS, generator=generator)
    chosen, rejected = reference.chunk(2)
    known = {**batch, "ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
    of_gpt2 = {
        **dpo_cases(gpt2, known, GRADIENTS["gpt2"], dict(precompute_ref_logps=True)),
        **smoothed(gpt2, batch, GRADIENTS["gpt2"], reference),
        **without_reference(gpt2, rows, GRADIENTS["gpt2"]),
    }
    of_llama = {**dpo_cases(llama, batch, GRADIENTS["llama"], {}), **without_reference(llama, rows, GRADIENTS["llama"])}
    expected = {
        "madeBy": f"{made_by(__file__)}, trl {trl.__version__}",
        "rows": rows,
        "reference": floats(reference),
        "mismatchedReference": floats(mismatched),
        "cases": {"gpt2": of_gpt2, "llama": of_llama},
        "kto": {
            "gpt2": kto_case(gpt2, rows, GRADIENTS["gpt2"], {"ref_logps": reference, "ref_KL_logps": mismatched}),
            "llama": kto_case(llama, rows, GRADIENTS["llama"], {}),
        },
        "reward": reward_case(rows),
        "trace": trace(generator),
    }
    write_json(GOLDEN / "preference.json", expected)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main()
