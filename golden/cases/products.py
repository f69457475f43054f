"""Einstein summation, decompositions, Fourier transforms."""

import torch
import torch.nn.functional as F

from common import *

EQ = [
    ("ij,jk->ik", [(2, 3), (3, 4)]),
    ("bij,bjk->bik", [(2, 2, 3), (2, 3, 2)]),
    ("ii->i", [(3, 3)]),
    ("ii->", [(3, 3)]),
    ("ij->ji", [(2, 3)]),
    ("i,j->ij", [(2,), (3,)]),
    ("bhqd,bhkd->bhqk", [(2, 2, 3, 2), (2, 2, 4, 2)]),
    ("...ij,...jk->...ik", [(2, 1, 2, 3), (2, 3, 2)]),
    ("bn,anm,bm->ba", [(2, 3), (4, 3, 2), (2, 2)]),
    ("ij,jk", [(2, 3), (3, 4)]),
    ("ijk->j", [(2, 3, 4)]),
    ("ij,ij->", [(2, 3), (2, 3)]),
    ("...d,d->...", [(2, 3, 4), (4,)]),
    ("bij,bij->bij", [(2, 2, 2), (2, 2, 2)]),
    ("ij,j->i", [(2, 3), (3,)]),
    ("i->", [(3,)]),
    ("bic,bjc->bij", [(1, 2, 3), (2, 4, 3)]),
    ("iij->ij", [(2, 2, 3)]),
    ("ab,bc,cd->ad", [(2, 3), (3, 2), (2, 2)]),
]
op("einsum", lambda: [case(lambda *x: torch.einsum(e, *x), [normal(*s) for s in ss], {"equation": e}) for e, ss in EQ])
spd = lambda x: x @ x.mT + x.shape[-1] * torch.eye(x.shape[-1])
op(
    "cholesky",
    lambda: [case(lambda x: torch.linalg.cholesky(spd(x)), [normal(*s)]) for s in [(1, 1), (3, 3), (2, 2, 2)]],
)


def qrn(x):
    q, r = torch.linalg.qr(x)
    s = torch.sign(torch.diagonal(r, dim1=-2, dim2=-1))
    return [q * s[..., None, :], r * s[..., :, None]]


op("qr", lambda: [case(qrn, [normal(*s)]) for s in [(3, 3), (4, 2), (2, 3, 3), (2, 4)]])


def svdn(x):
    u, s, v = torch.linalg.svd(x, full_matrices=False)
    return [s, (u * s.square()[..., None, :]) @ v]


op("svd", lambda: [case(svdn, [normal(*s)]) for s in [(3, 3), (4, 2), (2, 4), (2, 3, 2)]])


def eighn(x):
    x = (x + x.mT) / 2
    w, v = torch.linalg.eigh(x)
    return [w, (v * w.square()[..., None, :]) @ v.mT]


op("eigh", lambda: [case(eighn, [normal(*s)]) for s in [(1, 1), (3, 3), (2, 2, 2)]])
wc = lambda *s: normal(*s) + 3 * torch.eye(s[-1])
op(
    "solve",
    lambda: [case(torch.linalg.solve, [wc(*a), normal(*b)]) for a, b in [((3, 3), (3, 2)), ((2, 2, 2), (2, 2, 1))]],
)
op("inverse", lambda: [case(torch.linalg.inv, [wc(*a)]) for a in [(3, 3), (2, 2, 2)]])
op("determinant", lambda: [case(torch.linalg.det, [wc(*a)]) for a in [(3, 3), (2, 2, 2), (1, 1)]])
op("logDeterminant", lambda: [case(lambda x: torch.linalg.slogdet(x)[1], [wc(*a)]) for a in [(3, 3), (2, 2, 2)]])
op(
    "triangularSolve",
    lambda: [
        case(
            lambda a, b: torch.linalg.solve_triangular(
                torch.triu(a) if u else torch.tril(a), b, upper=u, unitriangular=t
            ),
            [wc(*s), normal(*r)],
            {"upper": u, "unitriangular": t},
        )
        for s, r in [((3, 3), (3, 2)), ((2, 2, 2), (2, 2, 1))]
        for u in [False, True]
        for t in [False, True]
    ],
)
op(
    "eigenvalues",
    lambda: [
        case(
            lambda x: torch.linalg.eigvals(x).real.sort().values,
            [torch.diag(torch.arange(1.0, n + 1) * 2) + 0.3 * normal(n, n)],
        )
        for n in [1, 3, 4]
    ],
)
cx = torch.view_as_complex
rl = torch.view_as_real


def ffts():
    for n in [1, 2, 3, 5, 8, 12]:
        yield case(lambda x: rl(torch.fft.fft(cx(x))), [normal(2, n, 2)], {"axis": -1, "norm": "backward"})
    for nm in ["ortho", "forward"]:
        yield case(lambda x: rl(torch.fft.fft(cx(x), dim=0, norm=nm)), [normal(4, 3, 2)], {"axis": 0, "norm": nm})


op("fft", ffts)
op(
    "ifft",
    lambda: [
        case(lambda x: rl(torch.fft.ifft(cx(x), norm=nm)), [normal(n, 2)], {"axis": -1, "norm": nm})
        for n in [1, 4, 5]
        for nm in ["backward", "ortho", "forward"]
    ],
)
op(
    "rfft",
    lambda: [
        case(lambda x: rl(torch.fft.rfft(x, dim=a)), [normal(*s)], {"axis": a, "norm": "backward"})
        for s, a in [((5,), -1), ((8,), 0), ((2, 6), 1), ((4, 3), 0), ((1,), 0)]
    ],
)
op(
    "irfft",
    lambda: [
        case(lambda x: torch.fft.irfft(cx(x), n=n, dim=a), [normal(*s, 2)], {"axis": a, "n": n, "norm": "backward"})
        for s, a, n in [((3,), -1, 4), ((3,), -1, 5), ((2, 4), 1, 6), ((4, 2), 0, 7), ((3,), 0, 8), ((5,), 0, 4)]
    ],
)
