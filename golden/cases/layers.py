"""Normalisation, attention, losses, quantized numbers."""

import torch
import torch.nn.functional as F

from common import *

op(
    "rmsNorm",
    lambda: [
        case(lambda x, w: F.rms_norm(x, (x.shape[-1],), w, 1e-5), [normal(*s), normal(s[-1])], {"epsilon": 1e-5})
        for s in [(2, 3, 8), (4, 5)]
    ]
    + [
        case(
            lambda x, w: F.rms_norm(x.float(), (4,), w.float(), 1e-5).half(),
            [normal(3, 4).half(), normal(4).half()],
            {"epsilon": 1e-5},
        )
    ],
)


def bn():
    for s, t in [((4, 3), True), ((2, 3, 4), True), ((2, 3, 2, 2), True), ((2, 3, 2, 2), False)]:

        def f(x, w, b, m, v):
            m, v = m.clone(), v.clone()
            y = F.batch_norm(x, m, v, w, b, t, 0.1, 1e-5)
            return [y, m, v]

        yield case(
            f,
            [normal(*s), normal(3), normal(3), normal(3), positive(3)],
            {"training": t, "momentum": 0.1, "epsilon": 1e-5},
            without_gradient=(3, 4),
        )


op("batchNorm", bn)
op(
    "groupNorm",
    lambda: [
        case(
            lambda x, w, b: F.group_norm(x, g, w, b, 1e-5),
            [normal(*s), normal(s[1]), normal(s[1])],
            {"numGroups": g, "epsilon": 1e-5},
        )
        for s, g in [((2, 4, 3), 2), ((2, 6, 2, 2), 3), ((1, 4), 1)]
    ],
)
op(
    "instanceNorm",
    lambda: [
        case(
            lambda x, w, b: F.instance_norm(x, None, None, w, b, True, 0.1, 1e-5),
            [normal(*s), normal(s[1]), normal(s[1])],
            {"epsilon": 1e-5},
        )
        for s in [(2, 3, 4), (1, 2, 3, 3)]
    ],
)
op(
    "l2Normalize",
    lambda: [
        case(lambda x: F.normalize(x, 2, a, 1e-12), [normal(*s)], {"axis": a, "epsilon": 1e-12})
        for s, a in [((3,), 0), ((2, 3, 4), 1), ((2, 3), -1)]
    ],
)
op(
    "localResponseNorm",
    lambda: [
        case(
            lambda x: F.local_response_norm(x, n, 0.1, 0.75, 2.0),
            [normal(*s)],
            {"size": n, "alpha": 0.1, "beta": 0.75, "k": 2.0},
        )
        for s, n in [((2, 5, 3), 3), ((1, 4, 2, 2), 2)]
    ],
)


def att():
    for H, K, T, S, c, w, cap, mask, bias, sc in [
        (2, 2, 4, 4, True, None, None, None, False, None),
        (4, 2, 3, 5, False, None, None, None, False, 0.3),
        (4, 1, 3, 5, True, None, None, None, False, None),
        (2, 2, 6, 6, True, 3, None, None, False, None),
        (2, 2, 4, 4, False, None, 5.0, None, False, None),
        (2, 1, 5, 5, True, 2, 3.0, None, False, None),
        (2, 2, 3, 4, False, None, None, (1, 1, 3, 4), False, None),
        (2, 2, 3, 4, False, None, None, (2, 1, 1, 4), False, None),
        (2, 2, 3, 4, False, None, None, (1, 2, 3, 4), True, None),
    ]:
        q, k, v = normal(2, H, T, 4), normal(2, K, S, 4), normal(2, K, S, 4)
        ins = [q, k, v]
        if mask:
            if bias:
                ins.append(normal(*mask))
            else:
                m = torch.rand(mask) > 0.3
                m[..., 0] = True
                ins.append(m)

        def f(q, k, v, m=None):
            k = k.repeat_interleave(H // K, 1)
            v = v.repeat_interleave(H // K, 1)
            s = (q @ k.mT) * (sc if sc else 0.5)
            if cap:
                s = cap * torch.tanh(s / cap)
            t = torch.arange(T)[:, None] + S - T
            j = torch.arange(S)[None]
            if c:
                s = s.masked_fill(j > t, -65504.0)
            if w:
                s = s.masked_fill(j <= t - w, -65504.0)
            if m is not None:
                s = s + m if bias else s.masked_fill(~m, -65504.0)
            return s.softmax(-1) @ v

        a = {"isCausal": c}
        if w:
            a["slidingWindow"] = w
        if cap:
            a["softCap"] = cap
        if sc:
            a["scale"] = sc
        if bias:
            a["hasBias"] = True
        yield case(f, ins, a)


op("attentionOptions", att)


def rotary(x, angles, interleaved):
    half_ = angles.shape[-1]

    def f(x, c, s):
        r = x[..., : 2 * half_]
        rest = x[..., 2 * half_ :]
        if interleaved:
            a, b = r[..., 0::2], r[..., 1::2]
            y = torch.stack([a * c - b * s, b * c + a * s], -1).flatten(-2)
        else:
            a, b = r[..., :half_], r[..., half_:]
            y = torch.cat([a * c - b * s, b * c + a * s], -1)
        return torch.cat([y, rest], -1)

    return case(f, [x, angles.cos(), angles.sin()], {"interleaved": interleaved})


def rot():
    for il in [False, True]:
        for hd, half_ in [(4, 2), (6, 2)]:
            yield rotary(normal(1, 2, 3, hd), normal(3, half_), il)


op("rotaryEmbedding", rot)


def rotary_heads():
    """Heads side by side, [B, T, H, Dh], with angles that the rows of a batch share or have for themselves."""
    for rows, hd, half_, il in [(2, 8, 4, False), (1, 6, 2, True), (1, 6, 2, False), (2, 8, 4, True), (1, 8, 4, False), (2, 6, 2, False)]:
        yield rotary(normal(2, 3, 2, hd), normal(rows, 3, 1, half_), il)


op("rotaryHeads", rotary_heads)
op(
    "crossEntropyOptions",
    lambda: [
        case(
            lambda x, t, *w: F.cross_entropy(x, t.long(), *w, label_smoothing=ls, ignore_index=-100),
            [normal(5, 7), i32(t)] + ([positive(7)] if w else []),
            {"labelSmoothing": ls, "ignoreIndex": -100},
            without_gradient=(2,),
        )
        for t in [[0, 6, 3, 3, 1], [2, -100, 5, -100, 0]]
        for ls in [0.0, 0.1]
        for w in [False, True]
    ],
)


def ctc():
    for red in ["none", "mean", "sum"]:
        for bl in [0, 2]:
            lp = normal(6, 3, 4)
            tg = i32([[1, 1, 3], [3, 1, 0], [1, 3, 1]]) if bl == 0 else i32([[1, 1, 3], [3, 1, 0], [0, 3, 1]])
            yield case(
                lambda l, t, a, b: F.ctc_loss(l.log_softmax(-1), t, a.long(), b.long(), bl, red),
                [lp, tg, i32([6, 5, 6]), i32([3, 1, 0])],
                {"blank": bl, "reduction": red},
            )


op("ctcLoss", ctc)


def quant():
    yield case(
        lambda x: torch.quantize_per_tensor(x, 0.1, 3, torch.quint8).int_repr(),
        [normal(3, 4)],
        {"scale": 0.1, "zeroPoint": 3, "dtype": "u8"},
    )
    yield case(
        lambda x: torch.quantize_per_tensor(x, 0.02, 0, torch.qint8).int_repr(),
        [normal(3, 4)],
        {"scale": 0.02, "zeroPoint": 0, "dtype": "i8"},
    )
    yield case(
        lambda x: torch.quantize_per_channel(
            x, torch.tensor([0.1, 0.05, 0.2]), torch.tensor([0, 1, 2]), 0, torch.qint8
        ).int_repr(),
        [normal(3, 4)],
        {"scale": [0.1, 0.05, 0.2], "zeroPoint": [0, 1, 2], "axis": 0, "dtype": "i8"},
    )


op("quantizeLinear", quant)


def dq():
    for q, a in [
        (torch.randint(0, 255, (3, 4), dtype=torch.uint8), {"scale": 0.1, "zeroPoint": 3}),
        (
            torch.randint(-128, 127, (3, 4), dtype=torch.int8),
            {"scale": [0.1, 0.05, 0.2], "zeroPoint": [0, 1, 2], "axis": 0},
        ),
    ]:
        s = torch.tensor(a["scale"]).reshape(-1, 1) if isinstance(a["scale"], list) else a["scale"]
        z = torch.tensor(a["zeroPoint"]).reshape(-1, 1) if isinstance(a["zeroPoint"], list) else a["zeroPoint"]
        yield case(lambda x: (x.float() - z) * s, [q], a)


op("dequantizeLinear", dq)
op(
    "fakeQuantize",
    lambda: [
        case(
            lambda x: torch.fake_quantize_per_tensor_affine(x, sc, z, lo, hi),
            [normal(3, 4)],
            {"scale": sc, "zeroPoint": z, "quantMin": lo, "quantMax": hi},
        )
        for sc, z, lo, hi in [(0.1, 0, -128, 127), (0.1, 3, -8, 7), (0.05, 10, 0, 15)]
    ],
)


def blocks():
    for bits, bs, zp in [(4, 16, False), (4, 32, True), (8, 16, True), (4, 16, True)]:
        K = 3 * bs if bits == 4 and zp else 2 * bs
        N = 3
        nb = K // bs
        q = torch.randint(0, 2**bits, (N, nb, bs), dtype=torch.int32)
        sc = positive(N, nb) * 0.1
        z = torch.randint(0, 2**bits, (N, nb), dtype=torch.uint8)
        packed = q.to(torch.uint8) if bits == 8 else (q[..., 0::2] | (q[..., 1::2] << 4)).to(torch.uint8)
        zz = z.int() if zp else torch.full((N, nb), 8 if bits == 4 else 128)
        W = ((q - zz[..., None]) * sc[..., None]).reshape(N, K)
        yield case(
            lambda x, *r: x @ W.T,
            [normal(2, K), packed, sc] + ([z] if zp else []),
            {"bits": bits, "blockSize": bs},
            without_gradient=(2,),
        )


op("blockMatmul", blocks)

# as bitsandbytes has them; Dettmers et al. 2023, arXiv:2305.14314, appendix E
FLOAT4 = {
    "nf4": "-1 -0.6961928009986877 -0.5250730514526367 -0.39491748809814453 -0.28444138169288635 -0.18477343022823334"
    " -0.09105003625154495 0 0.07958029955625534 0.16093020141124725 0.24611230194568634 0.33791524171829224"
    " 0.44070982933044434 0.5626170039176941 0.7229568362236023 1",
    "fp4": "0 0.0052083334885537624 0.6666666865348816 1 0.3333333432674408 0.5 0.1666666716337204 0.25"
    " 0 -0.0052083334885537624 -0.6666666865348816 -1 -0.3333333432674408 -0.5 -0.1666666716337204 -0.25",
}


def float4():
    for kind, bs, K, leading in [("nf4", 64, 128, (2,)), ("fp4", 32, 32, (2, 2)), ("nf4", 16, 48, (1,))]:
        levels = torch.tensor([float(text) for text in FLOAT4[kind].split()])
        q = torch.randint(0, 16, (3, K // bs, bs))
        packed = (q[..., 0::2] << 4 | q[..., 1::2]).to(torch.uint8)
        absmax = positive(3, K // bs) * 0.1
        W = (levels[q] * absmax[..., None]).reshape(3, K)
        yield case(
            lambda x, *r: x @ W.T,
            [normal(*leading, K), packed, absmax],
            {"type": kind, "blockSize": bs},
            without_gradient=(2,),
        )


op("float4Matmul", float4)
