"""Makes golden/train/optimizers.json.gz and golden/train/schedules.json.

optimizers.json.gz: 30 steps of every optimizer and set of options on a fixed problem. Each parameter w has its targets b
and curvatures a, and a linear term that changes from step to step as the noise of batches does:

    loss_t = sum over parameters of sum(a (w - b)^2) / 2 + sum(c_t w)

so that its gradients are elementwise and differences are those of the optimizer. All numbers are
((i * 7919 + seed * 104729) mod 1009 - 504) / 512, exact in f32. What torch has is torch's; Lion, 8-bit states, SAM and
Lookahead are their papers' formulas.

schedules.json: the rates of the first steps by torch.optim.lr_scheduler and transformers' get_scheduler.

    python golden/make_optimizers.py
"""

import gzip
import json
import warnings

import torch
import transformers
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn

from common import GOLDEN, floats, made_by, write_json

STEPS, NOISES = 30, 5
SHAPES = {"tall": [6, 5], "wide": [4, 8], "bias": [7], "kernel": [3, 2, 3, 3]}
LARGE = {"table": [65, 70], "bias": [7]}  # 4550 numbers: 17 blocks of 256, and a part of one
MATRICES = ("tall", "wide")


def numbers(seed, shape):
    i = torch.arange(torch.Size(shape).numel(), dtype=torch.int64)
    return (((i * 7919 + seed * 104729) % 1009 - 504).float() / 512).reshape(shape)


class Problem:
    def __init__(self, shapes):
        self.parameters = {
            name: torch.nn.Parameter(numbers(10 * place, shape)) for place, (name, shape) in enumerate(shapes.items())
        }
        self.targets = [numbers(10 * place + 1, shape) for place, shape in enumerate(shapes.values())]
        self.curvatures = [numbers(10 * place + 2, shape).abs() + 0.5 for place, shape in enumerate(shapes.values())]
        self.noises = [
            [numbers(10 * place + 3 + t, shape) / 2 for t in range(NOISES)] for place, shape in enumerate(shapes.values())
        ]

    def loss(self, step):
        total = 0
        for place, w in enumerate(self.parameters.values()):
            away = w - self.targets[place]
            total = total + (self.curvatures[place] * away * away).sum() * 0.5
            total = total + (self.noises[place][step % NOISES] * w).sum()
        return total


def trace(optimize, shapes=SHAPES):
    """`optimize(problem)` -> a function of (step, the problem) that has gradients and changes the parameters."""
    problem = Problem(shapes)
    advance = optimize(problem)
    losses, first = [], None
    for step in range(STEPS):
        for w in problem.parameters.values():
            w.grad = None
        loss = problem.loss(step)
        loss.backward()
        losses.append(float(str(loss.detach().numpy())))
        advance(step)
        if step == 0:
            first = values(problem.parameters)
    return dict(losses=losses, first=first, last=values(problem.parameters))


def values(parameters):
    """All numbers of small parameters; every 37th of large ones."""
    return {
        name: floats(w.detach().flatten()[:: 37 if w.numel() > 1000 else 1]) for name, w in parameters.items()
    }


def torch_case(make):
    def optimize(problem):
        optimizer = make(problem)
        return lambda step: optimizer.step()

    return optimize


def plain(name, **options):
    return torch_case(
        lambda problem: getattr(torch.optim, name)(list(problem.parameters.values()), foreach=False, **options)
    )


@torch.no_grad()
def lion(problem, lr, betas, weight_decay, momenta):
    """arXiv:2302.06675, algorithm 2."""
    for name, w in problem.parameters.items():
        m = momenta.setdefault(name, torch.zeros_like(w))
        update = torch.sign(betas[0] * m + (1 - betas[0]) * w.grad)
        momenta[name] = betas[1] * m + (1 - betas[1]) * w.grad
        w.copy_(w * (1 - lr * weight_decay) - lr * update)


def lion_case(lr, betas=(0.9, 0.99), weight_decay=0.0):
    def optimize(problem):
        momenta = {}
        return lambda step: lion(problem, lr, betas, weight_decay, momenta)

    return optimize


def dynamic_map(is_unsigned):
    """arXiv:2110.02861, section 1.3: the numbers of 8 bits, rising."""
    numbers = [0.0, 1.0]
    for exponent in range(7):
        parts = 2 ** (exponent + is_unsigned)
        ends = torch.linspace(0.1, 1, parts + 1, dtype=torch.float64)
        middles = ((ends[1:] + ends[:-1]) / 2 * 10.0 ** (exponent - 6)).tolist()
        numbers += middles if is_unsigned else middles + [-x for x in middles]
    return torch.tensor(sorted(numbers), dtype=torch.float64).float()


class EightBits:
    BLOCK = 256

    def __init__(self, shape, is_unsigned):
        self.shape, self.map = shape, dynamic_map(is_unsigned)
        self.middles = (self.map[1:] + self.map[:-1]) / 2
        self.write(torch.zeros(shape))

    def write(self, x):
        flat = torch.nn.functional.pad(x.flatten(), (0, -x.numel() % self.BLOCK)).reshape(-1, self.BLOCK)
        self.scales = flat.abs().amax(1, keepdim=True)
        shares = flat / torch.where(self.scales > 0, self.scales, 1.0)
        self.codes = torch.searchsorted(self.middles, shares.contiguous()).to(torch.uint8)

    def read(self):
        x = self.map[self.codes.long()] * self.scales
        return x.flatten()[: torch.Size(self.shape).numel()].reshape(self.shape)


def adam_8bit(lr, betas=(0.9, 0.999), eps=1e-8):
    """Adam whose moments of 4096 numbers and more are kept in 8 bits; the update uses them before they are rounded."""

    def optimize(problem):
        state = {
            name: [EightBits(w.shape, unsigned) if w.numel() >= 4096 else None for unsigned in (False, True)]
            for name, w in problem.parameters.items()
        }
        small = {name: [torch.zeros_like(w), torch.zeros_like(w)] for name, w in problem.parameters.items()}

        @torch.no_grad()
        def advance(step):
            t = step + 1
            for name, w in problem.parameters.items():
                m, v = [s.read() if s else small[name][i] for i, s in enumerate(state[name])]
                m = betas[0] * m + (1 - betas[0]) * w.grad
                v = betas[1] * v + (1 - betas[1]) * w.grad**2
                root = (v / (1 - betas[1] ** t)).sqrt() + eps
                w.copy_(w - lr / (1 - betas[0] ** t) * m / root)
                for i, x in enumerate((m, v)):
                    if state[name][i]:
                        state[name][i].write(x)
                    else:
                        small[name][i] = x

        return advance

    return optimize


def sam(rho, adaptive, **options):
    """arXiv:2010.01412, and adaptive arXiv:2102.11600, around torch.optim.SGD."""

    def optimize(problem):
        parameters = list(problem.parameters.values())
        inner = torch.optim.SGD(parameters, foreach=False, **options)

        def advance(step):
            with torch.no_grad():
                weighed = [(w.abs() if adaptive else 1) * w.grad for w in parameters]
                length = rho / (torch.stack([x.norm() for x in weighed]).norm() + 1e-12)
                old = [w.clone() for w in parameters]
                for w in parameters:
                    w.add_((w.square() if adaptive else 1) * w.grad * length)
            inner.zero_grad()
            problem.loss(step).backward()
            with torch.no_grad():
                for w, value in zip(parameters, old):
                    w.copy_(value)
            inner.step()

        return advance

    return optimize


def lookahead(k, alpha, **options):
    """arXiv:1907.08610, algorithm 1, around torch.optim.SGD."""

    def optimize(problem):
        parameters = list(problem.parameters.values())
        inner = torch.optim.SGD(parameters, foreach=False, **options)
        slow = [w.detach().clone() for w in parameters]

        @torch.no_grad()
        def advance(step):
            inner.step()
            if (step + 1) % k == 0:
                for s, w in zip(slow, parameters):
                    s.add_(alpha * (w - s))
                    w.copy_(s)

        return advance

    return optimize


def groups(problem):
    """A group with its own rate, decay and betas; biases without decay."""
    p = problem.parameters
    return torch.optim.AdamW(
        [
            {"params": [p["kernel"]], "lr": 0.03 * 0.5, "weight_decay": 0.3, "betas": (0.8, 0.95)},
            {"params": [p["bias"]], "weight_decay": 0.0},
            {"params": [p["tall"], p["wide"]]},
        ],
        lr=0.03,
        weight_decay=0.1,
        foreach=False,
    )


def muon(**options):
    """Muon for matrices, AdamW for the others with a third of the rate."""

    def optimize(problem):
        matrices = [w for name, w in problem.parameters.items() if name in MATRICES]
        others = [w for name, w in problem.parameters.items() if name not in MATRICES]
        parts = [
            torch.optim.Muon(matrices, lr=0.03, **options),
            torch.optim.AdamW(others, lr=0.03 * 0.3, weight_decay=0, foreach=False),
        ]
        return lambda step: [part.step() for part in parts]

    return optimize


def averaged(make_average, start, interval):
    """Averages of weights beside torch.optim.SGD: the weights of the trace are the averaged ones."""

    def optimize(problem):
        module = torch.nn.Module()
        for name, w in problem.parameters.items():
            module.register_parameter(name, w)
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1, foreach=False)
        average = AveragedModel(module, multi_avg_fn=make_average())

        def advance(step):
            optimizer.step()
            if step >= start and (step - start) % interval == 0:
                average.update_parameters(module)
            if step == STEPS - 1:
                problem.parameters = dict(average.module.named_parameters())

        return advance

    return optimize


CASES = {
    "sgd": plain("SGD", lr=0.1),
    "sgd-momentum": plain("SGD", lr=0.05, momentum=0.9, weight_decay=0.1),
    "sgd-dampening": plain("SGD", lr=0.05, momentum=0.8, dampening=0.4),
    "sgd-nesterov": plain("SGD", lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adagrad": plain("Adagrad", lr=0.1),
    "adagrad-options": plain("Adagrad", lr=0.1, lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.2, eps=1e-6),
    "adadelta": plain("Adadelta", lr=1.0),
    "adadelta-options": plain("Adadelta", lr=0.7, rho=0.8, eps=1e-3, weight_decay=0.1),
    "rmsprop": plain("RMSprop", lr=0.02),
    "rmsprop-momentum": plain("RMSprop", lr=0.01, alpha=0.9, momentum=0.8, weight_decay=0.1),
    "rmsprop-centered": plain("RMSprop", lr=0.02, alpha=0.9, eps=1e-3, centered=True, momentum=0.5),
    "adam": plain("Adam", lr=0.03),
    "adam-l2": plain("Adam", lr=0.03, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1),
    "adam-amsgrad": plain("Adam", lr=0.03, betas=(0.9, 0.9), amsgrad=True),
    "adamw": plain("AdamW", lr=0.03, weight_decay=0.1),
    "adamw-amsgrad": plain("AdamW", lr=0.03, betas=(0.9, 0.9), amsgrad=True, weight_decay=0.1),
    "adamw-groups": torch_case(groups),
    "nadam": plain("NAdam", lr=0.03),
    "nadam-options": plain("NAdam", lr=0.03, betas=(0.8, 0.95), momentum_decay=0.01, weight_decay=0.1),
    "nadam-decoupled": plain("NAdam", lr=0.03, weight_decay=0.1, decoupled_weight_decay=True),
    "radam": plain("RAdam", lr=0.03),
    "radam-options": plain("RAdam", lr=0.03, betas=(0.8, 0.9), weight_decay=0.1),
    "radam-decoupled": plain("RAdam", lr=0.03, weight_decay=0.1, decoupled_weight_decay=True),
    "adamax": plain("Adamax", lr=0.03),
    "adamax-options": plain("Adamax", lr=0.03, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1),
    "lion": lion_case(lr=0.01),
    "lion-options": lion_case(lr=0.01, betas=(0.95, 0.98), weight_decay=0.3),
    "adafactor": plain("Adafactor", lr=0.05),
    "adafactor-options": plain("Adafactor", lr=0.5, beta2_decay=-0.5, eps=(1e-4, 1e-2), d=1.5, weight_decay=0.1),
    "muon": muon(),
    "muon-plain": muon(nesterov=False, momentum=0.8, weight_decay=0, adjust_lr_fn="match_rms_adamw"),
    "sam": sam(0.5, False, lr=0.05, momentum=0.9),
    "sam-adaptive": sam(2.0, True, lr=0.05),
    "lookahead": lookahead(5, 0.5, lr=0.1, momentum=0.5),
    "lookahead-options": lookahead(7, 0.8, lr=0.1),
    "ema": averaged(lambda: get_ema_multi_avg_fn(0.9), 0, 1),
    "swa": averaged(get_swa_multi_avg_fn, 10, 3),
}


def rates_of(make, steps=100):
    """Rates by step of a scheduler of an optimizer whose rate is 0.3."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(float(f"{optimizer.param_groups[0]['lr']:.12g}"))
        optimizer.step()
        scheduler.step()
    return rates


def hf(name, **options):
    specific = options.pop("specific", {})
    return lambda optimizer: transformers.get_scheduler(name, optimizer, scheduler_specific_kwargs=specific, **options)


def warm_then(then, start_factor, steps):
    def make(optimizer):
        first = lr_scheduler.LinearLR(optimizer, start_factor=start_factor, total_iters=steps)
        return lr_scheduler.SequentialLR(optimizer, [first, then(optimizer)], [steps])

    return make


SCHEDULES = {
    "constant": hf("constant"),
    "constant-warm": hf("constant_with_warmup", num_warmup_steps=12),
    "step": lambda o: lr_scheduler.StepLR(o, 15, gamma=0.5),
    "multi-step": lambda o: lr_scheduler.MultiStepLR(o, [10, 35, 35, 80], gamma=0.4),
    "exponential": lambda o: lr_scheduler.ExponentialLR(o, 0.95),
    "polynomial": lambda o: lr_scheduler.PolynomialLR(o, total_iters=70, power=2.0),
    "polynomial-warm": hf(
        "polynomial", num_warmup_steps=10, num_training_steps=80, specific=dict(lr_end=0.01, power=1.5)
    ),
    "linear": lambda o: lr_scheduler.LinearLR(o, start_factor=1.0, end_factor=0.25, total_iters=60),
    "linear-warm": hf("linear", num_warmup_steps=10, num_training_steps=80),
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=99, eta_min=0.02),
    "cosine-warm": hf("cosine", num_warmup_steps=10, num_training_steps=105),
    "restarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=10, T_mult=2, eta_min=0.02),
    "restarts-warm": hf(
        "cosine_with_restarts", num_warmup_steps=10, num_training_steps=90, specific=dict(num_cycles=3)
    ),
    "one-cycle": lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.3, total_steps=101, cycle_momentum=False),
    "one-cycle-three": lambda o: lr_scheduler.OneCycleLR(
        o,
        max_lr=0.3,
        total_steps=101,
        pct_start=0.25,
        anneal_strategy="linear",
        div_factor=10,
        final_div_factor=100,
        three_phase=True,
        cycle_momentum=False,
    ),
    "inverse-square-root": hf("inverse_sqrt", num_warmup_steps=16),
    "stable-decay": hf(
        "warmup_stable_decay",
        num_warmup_steps=10,
        num_training_steps=90,
        specific=dict(num_decay_steps=30, min_lr_ratio=0.1),
    ),
    "stable-decay-linear": hf(
        "warmup_stable_decay",
        num_warmup_steps=0,
        num_training_steps=90,
        specific=dict(num_decay_steps=50, decay_type="linear"),
    ),
    "stable-decay-sqrt": hf(
        "warmup_stable_decay",
        num_warmup_steps=10,
        num_training_steps=90,
        specific=dict(num_decay_steps=30, decay_type="1-sqrt"),
    ),
    "linear-warm-then-exponential": warm_then(lambda o: lr_scheduler.ExponentialLR(o, 0.95), 0.25, 8),
}


def plateau(**options):
    """Values that fall, stay and fall again, and the rate after each."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, **options)
    observed, rates = [], []
    for i in range(100):
        value = round(3 / (1 + (i if i < 20 else 20 + (i - 20) // 9)) + (i * 37 % 11) / 500, 6)
        value = -value if options.get("mode") == "max" else value
        scheduler.step(value)
        observed.append(value)
        rates.append(float(f"{optimizer.param_groups[0]['lr']:.12g}"))
    return dict(values=observed, rates=rates)


PLATEAUS = {
    "plateau": dict(patience=3, factor=0.5),
    "plateau-options": dict(
        mode="max", patience=2, factor=0.3, threshold=0.01, threshold_mode="abs", cooldown=4, min_lr=0.001
    ),
    "plateau-relative": dict(patience=0, factor=0.9, threshold=0.05, cooldown=1, eps=0.02),
}


def main():
    traces = {name: trace(case) for name, case in CASES.items()}
    traces["adam-8bit"] = trace(adam_8bit(lr=0.03), shapes=LARGE)
    traces["adam-32bit"] = trace(plain("Adam", lr=0.03), shapes=LARGE)
    maps = {name: floats(dynamic_map(name == "unsigned")) for name in ("signed", "unsigned")}
    text = json.dumps({"madeBy": made_by(__file__), "traces": traces, "dynamicMaps": maps}, separators=(",", ":"))
    path = GOLDEN / "train" / "optimizers.json.gz"
    path.write_bytes(gzip.compress(text.encode(), mtime=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SequentialLR asks its schedulers by a deprecated call
        schedules = {name: rates_of(make) for name, make in SCHEDULES.items()}
    plateaus = {name: plateau(**options) for name, options in PLATEAUS.items()}
    write_json(
        GOLDEN / "train" / "schedules.json",
        {"madeBy": made_by(__file__), "schedules": schedules, "plateaus": plateaus},
    )


if __name__ == "__main__":
    main()
