"""Makes golden/train/stored.json: steps of torch.optim.SGD on parameters that are kept in 16 bits.

The rate and the gradient, the constant c of the loss sum(w c), are numbers that the dtype has: PyTorch, whose gradients
are in the parameter's dtype and which rounds the rate to it, then rounds nothing but the updated parameter.

    python golden/make_stored.py
"""

import torch

from common import GOLDEN, floats, made_by, write_json

SIZE, STEPS, RATE, SEED = 64, 5, 0.01171875, 11


def run(dtype):
    torch.manual_seed(SEED)
    start = torch.randn(SIZE).to(dtype)
    gradient = torch.randn(SIZE).to(dtype)
    parameter = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.SGD([parameter], lr=RATE, foreach=False)
    values = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        (parameter * gradient).sum().backward()
        assert torch.equal(parameter.grad, gradient)
        optimizer.step()
        values.append(floats(parameter.detach().float()))
    return dict(start=floats(start.float()), gradient=floats(gradient.float()), values=values)


def main():
    cases = {name: run(dtype) for name, dtype in [("bf16", torch.bfloat16), ("f16", torch.float16)]}
    write_json(GOLDEN / "train" / "stored.json", {"madeBy": made_by(__file__), "learningRate": RATE, **cases})


if __name__ == "__main__":
    main()
