"""Reductions, orders and cumulative functions."""

import numpy as np
import torch
import torch.nn.functional as F

from common import *

AXES = [((5,), [0]), ((2, 3, 4), [1]), ((2, 3, 4), [-1]), ((2, 3, 4), [0, 2]), ((2, 3, 4), [0, 1, 2])]


def reduction(name, fn, make=normal, extra={}, choices=AXES):
    def make_cases():
        for shape, axes in choices:
            for keep in [False, True]:
                yield case(lambda x: fn(x, axes, keep), [make(*shape)], {"axes": axes, "keepDims": keep, **extra})

    op(name, make_cases)


def prod(x, a, k):
    for i in sorted([d % x.dim() for d in a], reverse=True):
        x = x.prod(i, k)
    return x


reduction("prod", prod)
op("prod", lambda: (case(lambda x: x.prod(0), [m(5)], {"axes": [0], "keepDims": False}) for m in (one_zero, two_zeros)))
reduction("min", torch.amin)
for c in [0, 1]:
    reduction("variance", lambda x, a, k, c=c: torch.var(x, a, correction=c, keepdim=k), extra={"correction": c})
    reduction(
        "standardDeviation", lambda x, a, k, c=c: torch.std(x, a, correction=c, keepdim=k), extra={"correction": c}
    )
reduction("logSumExp", torch.logsumexp)
for p in [1, 2, 3, 0.5, "inf", "-inf"]:
    reduction(
        "norm",
        lambda x, a, k, p=p: torch.linalg.vector_norm(x, float(p), a, k),
        away_from_zero,
        extra={"p": p},
        choices=AXES[:3] + AXES[4:],
    )
for name, fn in [("any", torch.any), ("all", torch.all)]:
    op(
        name,
        lambda fn=fn: (
            case(lambda x: fn(x, axis, keep), [booleans(*shape)], {"axes": [axis], "keepDims": keep})
            for shape, axis, keep in [((5,), 0, False), ((2, 3), 1, True), ((2, 3), -1, False)]
        ),
    )
for name, fn in [("argmax", torch.argmax), ("argmin", torch.argmin)]:
    op(
        name,
        lambda fn=fn: (
            case(lambda x: fn(x, a, k), [normal(*s)], {"axis": a, "keepDims": k})
            for s, a, k in [((5,), 0, False), ((2, 3), 1, True), ((2, 3, 4), -2, False)]
        ),
    )


def cs(x, a, e, r):
    if r:
        x = x.flip(a)
    y = x.cumsum(a)
    if e:
        y = y - x
    return y.flip(a) if r else y


op(
    "cumsum",
    lambda: (
        case(lambda x: cs(x, a, e, r), [normal(*s)], {"axis": a, "exclusive": e, "reverse": r})
        for s, a in [((5,), 0), ((2, 3, 4), 1), ((2, 3), -1), ((0, 3), 1)]
        for e in [False, True]
        for r in [False, True]
    ),
)
op(
    "cumprod",
    lambda: (
        case(lambda x: x.cumprod(a), [m(*s)], {"axis": a})
        for s, a in [((5,), 0), ((2, 3, 4), 1), ((2, 3), -1), ((1,), 0)]
        for m in (normal, one_zero)
        if not (m is one_zero and s == (1,))
    ),
)
op(
    "sort",
    lambda: (
        case(
            lambda x: list(torch.sort(x, dim=a, descending=d, stable=True)), [normal(*s)], {"axis": a, "descending": d}
        )
        for s, a in [((5,), 0), ((2, 3, 4), 1), ((2, 1), -1)]
        for d in [False, True]
    ),
)
op(
    "topk",
    lambda: (
        case(lambda x: list(torch.topk(x, k, a, l)), [normal(*s)], {"k": k, "axis": a, "largest": l})
        for s, a, k in [((5,), 0, 2), ((2, 3, 4), 1, 3), ((2, 5), -1, 1)]
        for l in [False, True]
    ),
)


def assignment(cost, valid):
    """The column of each row; scipy sees the columns that are valid."""
    from scipy.optimize import linear_sum_assignment

    out = torch.full(cost.shape[:-1], -1, dtype=torch.int32)
    for place in np.ndindex(*cost.shape[:-2]):
        columns = torch.nonzero(valid[place])[:, 0]
        rows, found = linear_sum_assignment(cost[place][:, columns].detach().double().numpy())
        out[place][rows] = columns[found].int()
    return out


op(
    "linearSumAssignment",
    lambda: (
        case(assignment, [normal(*shape), torch.rand(shape[:-2] + shape[-1:]) < share], {})
        for shape, share in [((6, 4), 1.1), ((4, 9), 1.1), ((3, 12, 8), 0.6), ((2, 2, 7, 7), 1.1), ((2, 5, 3), 0.0), ((40, 30), 0.9)]
    ),
)
