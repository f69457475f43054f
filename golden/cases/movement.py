"""Shapes, parts and positions."""

import numpy as np
import torch
import torch.nn.functional as F

from common import *

op(
    "squeeze",
    lambda: [
        case(lambda x: x.squeeze(), [normal(2, 1, 3, 1)]),
        case(lambda x: x.squeeze(1), [normal(2, 1, 3)], {"axes": [1]}),
        case(lambda x: x.squeeze(-1), [normal(0, 1)], {"axes": [-1]}),
    ],
)
op(
    "unsqueeze",
    lambda: [
        case(lambda x: x[:, None], [normal(2, 3)], {"axes": [1]}),
        case(lambda x: x[None, ..., None], [normal(2)], {"axes": [0, -1]}),
    ],
)
op(
    "stack",
    lambda: [
        case(lambda *x: torch.stack(x, a), [normal(2, 3) for _ in range(n)], {"axis": a})
        for a, n in [(0, 2), (1, 3), (-1, 2)]
    ],
)
op(
    "splitSizes",
    lambda: [
        case(lambda x: x.split(z, a), [normal(*s)], {"sizes": z, "axis": a})
        for s, z, a in [((6,), [1, 2, 3], 0), ((2, 5), [5, 0], -1), ((2, 5), [2, 3], 1)]
    ],
)


def neg_slice():
    for s, a, st, e, p in [
        ((7,), 0, None, None, -1),
        ((7,), 0, 5, 1, -2),
        ((2, 7), 1, -2, None, -3),
        ((7,), 0, 1, 5, -1),
        ((2, 7), -1, 6, -6, -2),
    ]:

        def f(x):
            n = x.shape[a]
            idx = list(range(n))[slice(st, e, p)]
            return x.index_select(a % x.dim(), torch.tensor(idx, dtype=torch.long))

        yield case(f, [normal(*s)], {"axis": a, "start": st, "end": e, "step": p})


op("sliceNegative", neg_slice)
op(
    "flip",
    lambda: [
        case(lambda x: x.flip(a), [normal(*s)], {"axes": a})
        for s, a in [((5,), [0]), ((2, 3, 4), [0, 2]), ((2, 3), [-1]), ((0, 2), [0])]
    ],
)
op(
    "roll",
    lambda: [
        case(lambda x: x.roll(sh_, a), [normal(*s)], {"shifts": sh_, "axes": a})
        for s, sh_, a in [((5,), [2], [0]), ((2, 3), [1, -1], [0, 1]), ((2, 5), [-7], [-1])]
    ],
)


def pads():
    for mode in ["constant", "reflect", "replicate", "circular"]:
        for s, p in [((2, 5), [[0, 0], [2, 1]]), ((1, 2, 4, 5), [[0, 0], [0, 0], [1, 2], [2, 0]])]:
            if mode != "constant" and len(s) == 2:
                pass
            flat = [v for pair in reversed(p) for v in pair]
            n = len(p) - next(i for i, q in enumerate(p) if q != [0, 0])
            use = flat[: 2 * n]
            yield case(
                lambda x: F.pad(x, use, mode, **({"value": 1.5} if mode == "constant" else {})),
                [normal(*s)],
                {"padding": p, "mode": mode, **({"value": 1.5} if mode == "constant" else {})},
            )


op("pad", pads)
op(
    "tile",
    lambda: [
        case(lambda x: x.tile(r), [normal(*s)], {"repeats": r})
        for s, r in [((3,), [2]), ((2, 3), [2, 1]), ((3,), [2, 2]), ((2, 3), [2])]
    ],
)
op(
    "repeatInterleave",
    lambda: [
        case(lambda x: x.repeat_interleave(r, a), [normal(*s)], {"repeats": r, "axis": a})
        for s, r, a in [((3,), 2, 0), ((2, 3), 3, -1), ((2, 3), 2, 0)]
    ],
)
for n, f in [("tril", torch.tril), ("triu", torch.triu)]:
    op(
        n,
        lambda f=f: [
            case(lambda x: f(x, d), [normal(*s)], {"diagonal": d})
            for s, d in [((3, 3), 0), ((2, 3, 4), 1), ((4, 3), -1)]
        ],
    )
op(
    "diagonal",
    lambda: [
        case(lambda x: x.diagonal(o, a, b), [normal(*s)], {"offset": o, "axis1": a, "axis2": b})
        for s, o, a, b in [((3, 3), 0, 0, 1), ((2, 3, 4), 1, -2, -1), ((4, 3, 2), -1, 0, 2)]
    ],
)
op(
    "maskedFill",
    lambda: [
        case(lambda x, m: x.masked_fill(m, -7.0), [normal(2, 3), booleans(*s)], {"value": -7.0}) for s in [(2, 3), (3,)]
    ],
)
op(
    "oneHot",
    lambda: [
        case(lambda i: F.one_hot(i.long(), 4).float(), [i32(v)], {"depth": 4}) for v in [[0, 3, 1], [[1], [2]], 2]
    ],
)
op(
    "moveAxis",
    lambda: [
        case(lambda x: x.movedim(a, b), [normal(2, 3, 4)], {"source": a, "destination": b})
        for a, b in [(0, 2), (-1, 0), (1, 1)]
    ],
)
SC = [((4,), [2, 0], 0), ((3, 4), [[1], [3], [0]], 1), ((3, 4), [[2, 0, 1, 2], [0, 2, 0, 0]], 0)]
op(
    "scatter",
    lambda: [
        case(lambda x, i, u: x.scatter(a, i.long(), u), [normal(*s), i32(i), normal(*np.shape(i))], {"axis": a})
        for s, i, a in SC
    ],
)
op(
    "scatterAdd",
    lambda: [
        case(lambda x, i, u: x.scatter_add(a, i.long(), u), [normal(*s), i32(i), normal(*np.shape(i))], {"axis": a})
        for s, i, a in [((4,), [2, 2, 0], 0), ((3, 4), [[1, 1], [3, 3], [0, 0]], 1)]
    ],
)
op(
    "embedding",
    lambda: [
        case(
            lambda w, i: F.embedding(i.long(), w, padding_idx=p),
            [normal(4, 3), i32(v)],
            {} if p is None else {"paddingIndex": p},
        )
        for v, p in [([0, 3, 3], None), ([[1, 1], [2, 0]], 1)]
    ],
)
op(
    "indexAdd",
    lambda: [case(lambda b, i, u: b.index_add(0, i.long(), u), [normal(4, 3), i32([0, 3, 3]), normal(3, 3)])],
)
