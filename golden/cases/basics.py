"""The ops that a GPT needs."""

from itertools import product

import torch
import torch.nn.functional as F

from common import *

UNARY_SHAPES = [(), (3,), (2, 1, 4), (0, 5), (1,)]
UNARY = {
    "neg": (torch.neg, normal),
    "abs": (torch.abs, normal),
    "exp": (torch.exp, normal),
    "log": (torch.log, positive),
    "sqrt": (torch.sqrt, positive),
    "rsqrt": (torch.rsqrt, positive),
    "reciprocal": (torch.reciprocal, away_from_zero),
    "tanh": (torch.tanh, normal),
    "erf": (torch.erf, normal),
    "sigmoid": (torch.sigmoid, normal),
    "sin": (torch.sin, normal),
    "cos": (torch.cos, normal),
    "relu": (torch.relu, normal),
    "gelu": (F.gelu, normal),
    "geluTanh": (lambda x: F.gelu(x, approximate="tanh"), normal),
    "silu": (F.silu, normal),
}

BINARY_SHAPES = [((3,), (3,)), ((2, 3), (3,)), ((2, 1, 4), (3, 1)), ((), (2, 2)), ((0, 3), (3,))]
BINARY = {
    "add": (torch.add, normal, normal),
    "sub": (torch.sub, normal, normal),
    "mul": (torch.mul, normal, normal),
    "div": (torch.div, normal, away_from_zero),
    "pow": (torch.pow, positive, normal),
    "maximum": (torch.maximum, normal, normal),
    "minimum": (torch.minimum, normal, normal),
    "equal": (torch.eq, integers, integers),
    "less": (torch.lt, integers, integers),
    "greater": (torch.gt, integers, integers),
}


def matmul_cases():
    for a, b in [((2, 3), (3, 4)), ((2, 2, 3), (3, 4)), ((2, 1, 3, 4), (5, 4, 2)), ((3, 4), (2, 4, 5))]:
        yield case(torch.matmul, [normal(*a), normal(*b)])
    batches = [((), ()), ((2,), (2,)), ((2, 1), (3,))]
    for (batch_a, batch_b), ta, tb in product(batches, [False, True], [False, True]):
        a = normal(*batch_a, *((3, 2) if ta else (2, 3)))
        b = normal(*batch_b, *((4, 3) if tb else (3, 4)))
        yield case(
            lambda a, b: 0.5 * torch.matmul(a.mT if ta else a, b.mT if tb else b),
            [a, b],
            {"transposeA": ta, "transposeB": tb, "scale": 0.5},
        )


def linear_cases():
    yield case(lambda x, w, b: x @ w + b, [normal(2, 3, 4), normal(4, 5), normal(5)])
    yield case(F.linear, [normal(2, 3, 4), normal(5, 4), normal(5)], {"transposeB": True})


def reduce_cases(fn, choices):
    for (shape, axes), keep in product(choices, [False, True]):
        yield case(lambda x: fn(x, axes, keep), [normal(*shape)], {"axes": axes, "keepDims": keep})


REDUCTIONS = [((5,), [0]), ((2, 3, 4), [0]), ((2, 3, 4), [1]), ((2, 3, 4), [-1]), ((2, 3, 4), [0, 1, 2])]
SEVERAL = [((2, 3, 4), [0, 2]), ((2, 3, 4), [-1, -2]), ((0, 5), [1])]


def softmax_cases(fn):
    for shape, axis in [((4,), -1), ((2, 3, 4), -1), ((2, 3, 4), 0), ((2, 3, 4), 1)]:
        yield case(lambda x: fn(x, axis), [normal(*shape)], {"axis": axis})


def layer_norm_cases():
    for shape in [(2, 3, 8), (4, 5)]:
        n = shape[-1]
        yield case(
            lambda x, w, b: F.layer_norm(x, (n,), w, b, 1e-5),
            [normal(*shape), normal(n), normal(n)],
            {"epsilon": 1e-5},
        )


def reshape_cases():
    for old, new in [((2, 3, 4), [6, 4]), ((6,), [2, 3]), ((), [1, 1]), ((1,), []), ((0, 5), [5, 0, 2])]:
        yield case(lambda x: x.reshape(new), [normal(*old)], {"shape": new})


def transpose_cases():
    for shape, order in [((2, 3), [1, 0]), ((2, 3, 4), [2, 0, 1]), ((2, 3, 1, 4), [0, 2, 1, 3]), ((0, 5), [1, 0])]:
        yield case(lambda x: x.permute(order), [normal(*shape)], {"permutation": order})


def broadcast_to_cases():
    for old, new in [((), [2, 2]), ((3,), [2, 3]), ((2, 1, 4), [2, 3, 4]), ((3, 1), [2, 3, 4]), ((3,), [0, 3])]:
        yield case(lambda x: x.broadcast_to(new), [normal(*old)], {"shape": new})


def concat_cases():
    for shapes, axis in [
        ([(2,), (3,)], 0),
        ([(2, 3), (2, 2)], 1),
        ([(2, 1, 4), (2, 3, 4)], -2),
        ([(1, 3), (2, 3), (3, 3)], 0),
        ([(2, 3), (2, 0), (2, 1)], -1),
    ]:
        yield case(lambda *xs: torch.cat(xs, axis), [normal(*s) for s in shapes], {"axis": axis})


def slice_cases():
    for shape, axis, start, end, step in [
        ((6,), 0, 1, 4, 1),
        ((7,), 0, 0, 7, 2),
        ((7,), 0, 1, 7, 3),
        ((7,), 0, -5, -1, 1),
        ((2, 7), 1, -6, 6, 2),
        ((5, 2, 3), 0, 1, -1, 3),
        ((2, 3, 4), -1, 1, 4, 2),
        ((2, 3), 1, 2, 2, 1),
    ]:

        def cut(x):
            index = [slice(None)] * x.dim()
            index[axis] = slice(start, end, step)
            return x[tuple(index)]

        yield case(cut, [normal(*shape)], {"axis": axis, "start": start, "end": end, "step": step})


def split_cases():
    for shape, parts, axis in [((6,), 3, 0), ((4, 3), 2, 0), ((2, 6), 3, -1), ((2, 4, 3), 2, 1), ((2, 3), 1, 0)]:
        yield case(
            lambda x: x.split(shape[axis] // parts, axis),
            [normal(*shape)],
            {"parts": parts, "axis": axis},
        )


def gather_cases():
    for shape, indices, axis in [
        ((5,), [3, 0, 3], 0),
        ((5, 3), [[1, 4], [1, 1], [0, 4]], 0),
        ((5, 3), 2, 0),
        ((2, 4, 3), [3, 3, 1], 1),
        ((2, 4, 3), [[0, 2], [2, 2]], -1),
        ((4, 3), [], 0),
    ]:

        def take(x, index):
            at = axis % x.dim()
            picked = x.index_select(at, index.reshape(-1))
            return picked.reshape(x.shape[:at] + index.shape + x.shape[at + 1 :])

        yield case(take, [normal(*shape), i32(indices)], {"axis": axis})


def take_along_cases():
    for shape, indices, axis in [
        ((4,), [2, 0, 2], 0),
        ((3, 4), [[1], [3], [0]], 1),
        ((3, 4), [[2, 0, 1, 2], [2, 2, 0, 0]], 0),
        ((2, 2, 3), [[[0, 0], [2, 1]], [[1, 1], [2, 0]]], -1),
    ]:
        yield case(
            lambda x, index: torch.take_along_dim(x, index.long(), axis),
            [normal(*shape), i32(indices)],
            {"axis": axis},
        )


def where_cases():
    for c, a, b in [
        ((3,), (3,), (3,)),
        ((2, 3), (3,), ()),
        ((3, 1), (2, 1, 4), (4,)),
        ((), (2, 2), (2, 1)),
        ((0, 3), (3,), (1, 3)),
    ]:
        yield case(torch.where, [normal(*c) > 0, normal(*a), normal(*b)])


def cross_entropy_cases():
    for targets in [[0, 6, 3, 3, 1], [2, -100, 5, -100, 0]]:
        yield case(
            lambda x, t: F.cross_entropy(x, t.long(), ignore_index=-100),
            [normal(5, 7), i32(targets)],
            {"ignoreIndex": -100},
        )


def attention_cases():
    for causal in [False, True]:
        yield case(
            lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal),
            [normal(2, 3, 8, 4) for _ in range(3)],
            {"isCausal": causal},
        )


BASICS = {
    **{
        name: lambda fn=fn, make=make: (case(fn, [make(*s)]) for s in UNARY_SHAPES)
        for name, (fn, make) in UNARY.items()
    },
    **{
        name: lambda fn=fn, l=left, r=right: (case(fn, [l(*a), r(*b)]) for a, b in BINARY_SHAPES)
        for name, (fn, left, right) in BINARY.items()
    },
    "matmul": matmul_cases,
    "linear": linear_cases,
    "sum": lambda: reduce_cases(torch.sum, REDUCTIONS + SEVERAL + [((0, 5), [0])]),
    "mean": lambda: reduce_cases(torch.mean, REDUCTIONS + SEVERAL[:2]),
    "max": lambda: reduce_cases(torch.amax, REDUCTIONS),
    "softmax": lambda: softmax_cases(F.softmax),
    "logSoftmax": lambda: softmax_cases(F.log_softmax),
    "layerNorm": layer_norm_cases,
    "reshape": reshape_cases,
    "transpose": transpose_cases,
    "broadcastTo": broadcast_to_cases,
    "concat": concat_cases,
    "slice": slice_cases,
    "split": split_cases,
    "gather": gather_cases,
    "takeAlong": take_along_cases,
    "where": where_cases,
    "crossEntropy": cross_entropy_cases,
    "attention": attention_cases,
}


for name, make_cases in BASICS.items():
    op(name, make_cases)
