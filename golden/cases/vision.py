"""Convolutions, pooling, resizing, windows, sampling."""

import torch
import torch.nn.functional as F

from common import *


def convs():
    for xs, ws, b, st, pd, dl, g in [
        ((2, 3, 7), (4, 3, 3), True, [1], [[1, 1]], [1], 1),
        ((1, 2, 9), (2, 1, 3), False, [2], [[2, 1]], [2], 2),
        ((2, 2, 5, 6), (3, 2, 3, 2), True, [1, 1], [[0, 0], [0, 0]], [1, 1], 1),
        ((2, 4, 6, 6), (4, 2, 3, 3), False, [2, 2], [[1, 1], [1, 1]], [1, 1], 2),
        ((1, 3, 5, 5), (3, 1, 3, 3), True, [1, 2], [[1, 2], [0, 1]], [1, 1], 3),
        ((1, 2, 7, 7), (2, 2, 2, 2), False, [3, 2], [[0, 0], [1, 0]], [2, 3], 1),
        ((1, 1, 4, 4, 4), (2, 1, 2, 2, 2), True, [1, 1, 1], [[0, 0]] * 3, [1, 1, 1], 1),
        ((1, 2, 4, 4, 4), (2, 1, 3, 2, 2), False, [2, 1, 1], [[1, 1], [0, 1], [0, 0]], [1, 1, 2], 2),
        ((2, 3, 4, 4), (5, 3, 1, 1), True, [1, 1], [[0, 0]] * 2, [1, 1], 1),
        ((1, 2, 8), (2, 2, 2), False, [3], [[0, 0]], [1], 1),
    ]:
        n = len(st)
        f = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[n]
        flat = [v for p in reversed(pd) for v in p]
        ins = [normal(*xs), normal(*ws)] + ([normal(ws[0])] if b else [])
        yield case(
            lambda x, w, bb=None: f(F.pad(x, flat), w, bb, st, 0, dl, g),
            ins,
            {"stride": st, "padding": pd, "dilation": dl, "groups": g},
        )
    yield case(
        lambda x, w: F.conv2d(x.float(), w.float(), None).half(),
        [normal(1, 2, 4, 4).half(), normal(2, 2, 2, 2).half()],
        {"stride": [1, 1], "padding": [[0, 0], [0, 0]], "dilation": [1, 1], "groups": 1},
    )


op("conv", convs)


def convts():
    for xs, ws, b, st, pd, op, dl, g in [
        ((2, 3, 4), (3, 2, 3), True, [1], [0], [0], [1], 1),
        ((1, 2, 5), (2, 1, 3), False, [2], [1], [1], [1], 2),
        ((1, 2, 3, 4), (2, 3, 2, 3), True, [2, 1], [0, 1], [0, 0], [1, 1], 1),
        ((2, 4, 3, 3), (4, 2, 3, 3), False, [2, 2], [1, 1], [1, 1], [1, 1], 2),
        ((1, 1, 3, 3), (1, 2, 2, 2), True, [3, 2], [0, 0], [2, 1], [2, 2], 1),
        ((1, 1, 2, 2, 2), (1, 2, 2, 2, 2), True, [2, 1, 1], [0, 0, 0], [1, 0, 0], [1, 1, 1], 1),
    ]:
        n = len(st)
        f = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}[n]
        ins = [normal(*xs), normal(*ws)] + ([normal(ws[1] * g)] if b else [])
        yield case(
            lambda x, w, bb=None: f(x, w, bb, st, pd, op, g, dl),
            ins,
            {"stride": st, "padding": [[p, p] for p in pd], "outputPadding": op, "dilation": dl, "groups": g},
        )


op("convTranspose", convts)


def pools(kind):
    for xs, k, st, pd, dl, c in [
        ((2, 2, 7), [3], [2], [1], [1], False),
        ((1, 2, 6, 7), [2, 3], [2, 2], [0, 1], [1, 1], False),
        ((1, 2, 7, 7), [3, 3], [2, 2], [1, 1], [1, 1], True),
        ((1, 1, 8), [3], [2], [0], [2], False),
        ((1, 1, 4, 4, 4), [2, 2, 2], [2, 2, 2], [0, 0, 0], [1, 1, 1], False),
        ((1, 1, 5, 6), [2, 2], [3, 2], [0, 0], [1, 1], True),
    ]:
        n = len(k)
        P = [[p, p] for p in pd]
        if kind == "max":
            f = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[n]
            yield case(
                lambda x: f(x, k, st, pd, dl, c),
                [normal(*xs)],
                {"kernelSize": k, "stride": st, "padding": P, "dilation": dl, "ceilMode": c},
            )
        else:
            f = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[n]
            for ci in [True, False]:
                yield case(
                    lambda x: f(x, k, st, pd, c, ci),
                    [normal(*xs)],
                    {"kernelSize": k, "stride": st, "padding": P, "ceilMode": c, "countIncludePad": ci},
                )


op("maxPool", lambda: pools("max"))
op("averagePool", lambda: pools("avg"))
op(
    "adaptiveAveragePool",
    lambda: [
        case(
            lambda x: {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}[len(o)](x, o),
            [normal(*s)],
            {"outputSize": o},
        )
        for s, o in [((2, 2, 7), [3]), ((1, 2, 5, 6), [2, 4]), ((1, 1, 4, 4, 4), [2, 1, 3])]
    ],
)
op(
    "adaptiveMaxPool",
    lambda: [
        case(
            lambda x: {1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d}[len(o)](x, o),
            [normal(*s)],
            {"outputSize": o},
        )
        for s, o in [((2, 2, 7), [3]), ((1, 2, 5, 6), [2, 4]), ((1, 1, 4, 4, 4), [2, 1, 3])]
    ],
)
op(
    "globalAveragePool",
    lambda: [case(lambda x: x.mean(tuple(range(2, x.dim())), True), [normal(*s)]) for s in [(2, 3, 4), (1, 2, 3, 3)]],
)
op(
    "globalMaxPool",
    lambda: [case(lambda x: x.amax(tuple(range(2, x.dim())), True), [normal(*s)]) for s in [(2, 3, 4), (1, 2, 3, 3)]],
)


def interp():
    for s, z, m, ac, aa in [
        ((1, 2, 4), [7], "nearest", None, False),
        ((1, 2, 4), [8], "nearest", None, False),
        ((1, 2, 5), [3], "linear", False, False),
        ((1, 2, 5), [8], "linear", True, False),
        ((1, 2, 4, 5), [6, 3], "bilinear", False, False),
        ((1, 2, 4, 5), [7, 9], "bilinear", True, False),
        ((1, 1, 6, 7), [3, 3], "bilinear", False, True),
        ((1, 1, 4, 4), [7, 6], "bicubic", False, False),
        ((1, 1, 5, 5), [3, 8], "bicubic", True, False),
        ((1, 1, 7, 7), [3, 4], "bicubic", False, True),
        ((1, 1, 3, 3, 3), [4, 5, 2], "trilinear", False, False),
        ((1, 2, 5, 6), [2, 4], "area", None, False),
        ((1, 2, 5, 6), [7, 4], "nearest-exact", None, False),
        ((1, 1, 3, 3), [6, 6], "nearest", None, False),
    ]:
        yield case(
            lambda x: F.interpolate(x, size=z, mode=m, align_corners=ac, antialias=aa),
            [normal(*s)],
            {
                "size": z,
                "mode": m,
                **({"alignCorners": ac} if ac is not None else {}),
                **({"antialias": True} if aa else {}),
            },
        )
    for s, f, m in [
        ((1, 2, 5), [1.7], "linear"),
        ((1, 1, 4, 4), [2.0, 1.5], "bilinear"),
        ((1, 1, 5, 5), [0.6, 1.4], "nearest"),
    ]:
        yield case(lambda x: F.interpolate(x, scale_factor=f, mode=m), [normal(*s)], {"scaleFactor": f, "mode": m})


op("interpolate", interp)
op(
    "pixelShuffle",
    lambda: [
        case(lambda x: F.pixel_shuffle(x, r), [normal(*s)], {"upscaleFactor": r})
        for s, r in [((1, 4, 2, 3), 2), ((2, 9, 1, 2), 3)]
    ],
)
op(
    "pixelUnshuffle",
    lambda: [
        case(lambda x: F.pixel_unshuffle(x, r), [normal(*s)], {"downscaleFactor": r})
        for s, r in [((1, 2, 4, 6), 2), ((1, 1, 3, 6), 3)]
    ],
)
UF = [
    ((1, 2, 4, 5), [2, 3], [1, 1], [0, 0], [1, 1]),
    ((2, 1, 5, 5), [3, 3], [2, 2], [1, 1], [1, 1]),
    ((1, 1, 6, 6), [2, 2], [2, 1], [0, 1], [2, 3]),
]
op(
    "unfold",
    lambda: [
        case(
            lambda x: F.unfold(x, k, d, p, st),
            [normal(*s)],
            {"kernelSize": k, "stride": st, "padding": p, "dilation": d},
        )
        for s, k, st, p, d in UF
    ],
)


def folds():
    for s, k, st, p, d in UF:
        u = F.unfold(normal(*s), k, d, p, st)
        yield case(
            lambda x: F.fold(x, s[2:], k, d, p, st),
            [normal(*u.shape)],
            {"outputSize": list(s[2:]), "kernelSize": k, "stride": st, "padding": p, "dilation": d},
        )


op("fold", folds)
op(
    "gridSample",
    lambda: [
        case(
            lambda x, g: F.grid_sample(x, g, m, pm, ac),
            [normal(1, 2, 4, 5), torch.rand(1, 3, 2, 2) * 2.6 - 1.3],
            {"mode": m, "paddingMode": pm, "alignCorners": ac},
            without_gradient=(1,) if m == "nearest" else (),
        )
        for m in ["bilinear", "nearest", "bicubic"]
        for pm in ["zeros", "border", "reflection"]
        for ac in [False, True]
    ],
)
