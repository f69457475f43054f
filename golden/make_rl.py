"""Writes rl.json: losses and gradients of GRPO (TRL's own) and of PPO (by its paper's formulas) on fixed completions of
the tiny Llama, advantages of groups, and generalised advantage estimation by a loop over numpy arrays."""

import json
from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import torch
import trl
from common import GOLDEN, floats, made_by, write_json
from transformers import AutoModelForCausalLM
from trl import GRPOTrainer

MODEL = GOLDEN / "decoders" / "llama"
PROMPTS = [[5, 9, 2], [5, 9, 2], [17, 3, 3, 8, 1], [17, 3, 3, 8, 1]]
LENGTHS = [4, 6, 2, 6]
C = max(LENGTHS)
SHOWN = ["model.norm.weight", "model.layers.0.self_attn.v_proj.weight", "model.layers.1.input_layernorm.weight"]
generator = torch.Generator().manual_seed(5)
config = json.loads((MODEL / "config.json").read_text())
completions = [torch.randint(0, config["vocab_size"], (n,), generator=generator).tolist() for n in LENGTHS]
noise = lambda scale: scale * torch.randn(4, C, generator=generator)
rewards = torch.tensor([1.0, 0.25, 0.5, 2.0])

width = max(map(len, PROMPTS))
prompt_ids = torch.tensor([[0] * (width - len(p)) + p for p in PROMPTS])
prompt_mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in PROMPTS])
completion_ids = torch.tensor([c + [0] * (C - len(c)) for c in completions])
mask = torch.tensor([[1] * n + [0] * (C - n) for n in LENGTHS])


def fresh_model():
    return AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()


def gradients(model):
    named = dict(model.named_parameters())
    norm = torch.sqrt(sum((p.grad**2).sum() for p in named.values() if p.grad is not None))
    return {"gradientNorm": float(norm), "gradients": {name: floats(named[name].grad) for name in SHOWN}}


def trainer(loss_type, beta, low, high, temperature):
    """What of a GRPOTrainer its loss looks at."""
    it = GRPOTrainer.__new__(GRPOTrainer)
    it.model = fresh_model()
    it.beta, it.epsilon_low, it.epsilon_high, it.temperature, it.loss_type = beta, low, high, temperature, loss_type
    it.importance_sampling_level, it.top_entropy_quantile, it.max_completion_length = "token", 1.0, 8
    it.off_policy_mask_threshold, it.use_vllm, it.aux_loss_enabled, it.use_adaptive_entropy = None, False, False, False
    it._entropy_bonus_enabled, it.current_gradient_accumulation_steps, it.model_kwarg_keys = False, 1, set()
    it.args = SimpleNamespace(delta=None, use_bias_correction_kl=False, steps_per_generation=1)
    same = SimpleNamespace(gather=lambda x: x, reduce=lambda x, reduction: x, num_processes=1)
    it.accelerator = same
    # in place of the fused output layer that the trainer puts into its model
    it._get_per_token_logps_and_entropies = lambda model, *_, **__: (*statistics(model, temperature), None)
    it._metrics = defaultdict(lambda: defaultdict(list))
    return it


def statistics(model, temperature):
    logits = model(torch.cat([prompt_ids, completion_ids], 1), torch.cat([prompt_mask, mask], 1)).logits
    logits = logits[:, width - 1 : -1] / temperature
    logs = logits.log_softmax(-1)
    return logs.gather(-1, completion_ids[..., None])[..., 0], -(logs.exp() * logs).sum(-1)


def advantages(scaled):
    groups = rewards.view(2, 2)
    centred = groups - groups.mean(1, keepdim=True)
    return (centred / (groups.std(1, keepdim=True) + 1e-4) if scaled else centred).flatten()


def grpo_case(loss_type, beta, low, high, temperature, scaled):
    it = trainer(loss_type, beta, low, high, temperature)
    with torch.no_grad():
        current, _ = statistics(it.model, temperature)
    inputs = {
        "prompt_ids": prompt_ids,
        "prompt_mask": prompt_mask,
        "completion_ids": completion_ids,
        "completion_mask": mask,
        "advantages": advantages(scaled),
        "old_per_token_logps": current + noise(0.3),
        "ref_per_token_logps": current + noise(0.5),
        "num_items_in_batch": mask.sum(),
    }
    it.model.train()
    loss = it._compute_loss(it.model, inputs)
    loss.backward()
    metrics = {name: float(torch.tensor(values[0])) for name, values in it._metrics["train"].items()}
    return {
        "aggregation": {"grpo": "sequence-mean", "dapo": "token-mean", "dr_grpo": "constant"}[loss_type],
        "beta": beta,
        "clipLow": low,
        "clipHigh": high,
        "temperature": temperature,
        "scaleRewards": scaled,
        "maxNewTokens": it.max_completion_length,
        "advantages": floats(inputs["advantages"]),
        "oldLogprobs": floats(inputs["old_per_token_logps"] * mask),
        "referenceLogprobs": floats(inputs["ref_per_token_logps"] * mask),
        "loss": float(loss),
        "metrics": {
            "entropy": metrics["entropy"],
            "clipShare": metrics["clip_ratio/region_mean"],
            **({"kl": metrics["kl"]} if beta else {}),
        },
        **gradients(it.model),
    }


def gae(rewards, values, gamma, lam):
    """Equation 16 of arXiv:1506.02438, a sum over all later tokens for each one."""
    count = len(rewards)
    deltas = [rewards[t] + gamma * (values[t + 1] if t + 1 < count else 0) - values[t] for t in range(count)]
    return np.array([sum((gamma * lam) ** (l - t) * deltas[l] for l in range(t, count)) for t in range(count)])


def ppo_case(clip, value_clip, value_coefficient, entropy_coefficient, kl_coefficient, gamma, lam):
    model = fresh_model()
    head = 0.1 * torch.randn(config["hidden_size"] + 1, generator=generator)
    weight, bias = head[:-1].clone().requires_grad_(), head[-1].clone().requires_grad_()
    logprobs, entropies = statistics(model, 1.0)
    output = model.model(torch.cat([prompt_ids, completion_ids], 1), torch.cat([prompt_mask, mask], 1))
    values = output.last_hidden_state[:, width - 1 : -1] @ weight + bias
    old, reference = (logprobs + noise(0.3)).detach(), (logprobs + noise(0.5)).detach()
    old_values = (values + noise(0.3)).detach()
    raw, returns = np.zeros((4, C)), np.zeros((4, C))
    for row, n in enumerate(LENGTHS):
        paid = -kl_coefficient * (old - reference)[row, :n].double().numpy()
        paid[-1] += float(rewards[row])
        raw[row, :n] = gae(paid, old_values[row, :n].double().numpy(), gamma, lam)
        returns[row, :n] = raw[row, :n] + old_values[row, :n].double().numpy()
    seen = raw[mask.bool().numpy()]
    white = np.where(mask.bool().numpy(), (raw - seen.mean()) / np.sqrt(seen.var(ddof=1) + 1e-8), 0)
    a, r = torch.tensor(white, dtype=torch.float32), torch.tensor(returns, dtype=torch.float32)
    mean = lambda x: (x * mask).sum() / mask.sum()
    ratio = (logprobs - old).exp()
    policy = mean(torch.maximum(-a * ratio, -a * ratio.clamp(1 - clip, 1 + clip)))
    near = torch.clamp(values, old_values - value_clip, old_values + value_clip)
    value = 0.5 * mean(torch.maximum((values - r) ** 2, (near - r) ** 2))
    loss = policy + value_coefficient * value - entropy_coefficient * mean(entropies)
    loss.backward()
    return {
        "settings": {
            "clip": clip,
            "valueClip": value_clip,
            "valueCoefficient": value_coefficient,
            "entropyCoefficient": entropy_coefficient,
            "klCoefficient": kl_coefficient,
            "gamma": gamma,
            "lambda": lam,
        },
        "head": {"weight": floats(weight), "bias": float(bias)},
        "oldLogprobs": floats(old * mask),
        "referenceLogprobs": floats(reference * mask),
        "oldValues": floats(old_values * mask),
        "advantages": floats(a),
        "returns": floats(r * mask),
        "loss": float(loss),
        "metrics": {"policyLoss": float(policy), "valueLoss": float(value), "entropy": float(mean(entropies))},
        "headGradient": floats(weight.grad),
        **gradients(model),
    }


series = np.random.default_rng(3)
tracks = [(series.normal(size=n), series.normal(size=n)) for n in (1, 2, 7)]
write_json(
    GOLDEN / "rl.json",
    {
        "madeBy": f"{made_by('make_rl.py')}, trl {trl.__version__}",
        "prompts": PROMPTS,
        "completions": completions,
        "rewards": floats(rewards),
        "grpo": [
            grpo_case("grpo", 0.04, 0.2, 0.2, 1.0, True),
            grpo_case("dapo", 0.0, 0.2, 0.28, 0.7, True),
            grpo_case("dr_grpo", 0.1, 0.1, 0.3, 1.3, False),
        ],
        "ppo": [ppo_case(0.2, 0.2, 0.1, 0.0, 0.05, 1.0, 0.95), ppo_case(0.1, 0.3, 0.5, 0.02, 0.2, 0.9, 0.8)],
        "gae": [
            {"rewards": r.tolist(), "values": v.tolist(), "gamma": g, "lambda": l, "advantages": gae(r, v, g, l).tolist()}
            for r, v in tracks
            for g, l in ((1.0, 0.95), (0.9, 0.5))
        ],
    },
)
