"""What the case files share: random inputs, one case, and the table of ops."""

import numpy as np
import torch

DTYPES = {
    torch.float32: "f32",
    torch.float16: "f16",
    torch.int32: "i32",
    torch.int64: "i64",
    torch.int8: "i8",
    torch.uint8: "u8",
    torch.bool: "bool",
}

OPS = {}


def op(name, make_cases):
    """Adds cases of an op; several calls add up."""
    OPS.setdefault(name, []).append(make_cases)


def normal(*shape):
    return torch.randn(shape)


def positive(*shape):
    return torch.randn(shape).abs() + 0.1


def away_from_zero(*shape):
    x = torch.randn(shape)
    return torch.where(x < 0, x - 0.3, x + 0.3)


def integers(*shape):
    """Small whole numbers as floats, so that comparisons meet equal values."""
    return torch.randint(-1, 2, shape).float()


def i32(data):
    return torch.tensor(data, dtype=torch.int32)


def whole(*shape):
    return torch.randint(-9, 10, shape, dtype=torch.int32)


def whole_not_zero(*shape):
    x = whole(*shape)
    return torch.where(x == 0, torch.tensor(2, dtype=torch.int32), x)


def booleans(*shape):
    return torch.randn(shape) > 0


def one_zero(*shape):
    x = torch.randn(shape)
    x.reshape(-1)[1] = 0
    return x


def two_zeros(*shape):
    x = one_zero(*shape)
    x.reshape(-1)[2] = 0
    return x


def encode(x):
    if x is None:
        return None
    flat = x.detach().numpy().reshape(-1)
    if x.is_floating_point():
        assert np.isfinite(flat).all()
        data = [float(v) if x.dtype == torch.float16 else float(str(v)) for v in flat]
    else:
        data = [int(v) for v in flat]
    return {"shape": list(x.shape), "dtype": DTYPES[x.dtype], "data": data}


def encode_all(x):
    return [encode(t) for t in x] if isinstance(x, (list, tuple)) else encode(x)


# the cases of the op being made once more in half precision
AGAIN = []


def case(fn, inputs, attrs=None, without_gradient=()):
    """One case: fn(*inputs), then the gradients of its float inputs for random cotangents."""
    result = run_case(fn, inputs, attrs, without_gradient)
    if any(x.dtype == torch.float32 and x.numel() > 1 for x in inputs):
        state = torch.get_rng_state()
        AGAIN.append(half_case(fn, [x.detach() for x in inputs], attrs, without_gradient))
        torch.set_rng_state(state)
    return result


def half_case(fn, inputs, attrs, without_gradient):
    """The same from float16 inputs: computed in float32 and rounded, since PyTorch's own half kernels add up in half."""

    def narrow(x):
        return x.half() if x.dtype == torch.float32 else x

    def widened(*xs):
        y = fn(*[x.float() if x.dtype == torch.float16 else x for x in xs])
        return [narrow(part) for part in y] if isinstance(y, (list, tuple)) else narrow(y)

    return run_case(widened, [narrow(x) for x in inputs], attrs, without_gradient)


def run_case(fn, inputs, attrs, without_gradient):
    inputs = [
        x.detach().clone().requires_grad_(x.is_floating_point() and i not in without_gradient)
        for i, x in enumerate(inputs)
    ]
    output = fn(*inputs)
    outputs = list(output) if isinstance(output, (list, tuple)) else [output]
    result = {"attrs": attrs or {}, "inputs": encode_all(inputs), "output": encode_all(output)}
    if not any(y.requires_grad for y in outputs):
        return result
    dys = [normal(*y.shape).to(y.dtype) if y.requires_grad else None for y in outputs]
    trained = [x for x in inputs if x.requires_grad]
    found = torch.autograd.grad([y for y in outputs if y.requires_grad], trained, [dy for dy in dys if dy is not None])
    grads = iter(found)
    result["gradOutput"] = encode_all(dys if isinstance(output, (list, tuple)) else dys[0])
    result["gradInputs"] = [encode(next(grads)) if x.requires_grad else None for x in inputs]
    return result
