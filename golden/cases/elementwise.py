"""Elementwise functions, comparisons and bits."""

import torch
import torch.nn.functional as F

from common import *

SHAPES = [(), (3,), (2, 1, 4), (0, 5)]
PAIRS = [((3,), (3,)), ((2, 3), (3,)), ((2, 1, 4), (3, 1)), ((), (2, 2)), ((0, 3), (3,))]


def inside_one(*shape):
    return torch.rand(shape) * 1.6 - 0.8


def above_one(*shape):
    return torch.rand(shape) * 2 + 1.2


def fractions(*shape):
    return torch.randn(shape) * 3 + 0.013


def shift_counts(*shape):
    return torch.randint(0, 6, shape, dtype=torch.int32)


def unary(name, fn, make=normal, shapes=SHAPES, attrs=None):
    op(name, lambda: (case(fn, [make(*shape)], attrs) for shape in shapes))


def binary(name, fn, left=normal, right=normal):
    op(name, lambda: (case(fn, [left(*a), right(*b)]) for a, b in PAIRS))


for name, fn, make in [
    ("floor", torch.floor, fractions),
    ("ceil", torch.ceil, fractions),
    ("round", torch.round, fractions),
    ("trunc", torch.trunc, fractions),
    ("sign", torch.sign, away_from_zero),
    ("log1p", torch.log1p, lambda *s: torch.rand(s) * 2 - 0.5),
    ("expm1", torch.expm1, normal),
    ("log2", torch.log2, positive),
    ("exp2", torch.exp2, normal),
    ("tan", torch.tan, inside_one),
    ("asin", torch.asin, inside_one),
    ("acos", torch.acos, inside_one),
    ("atan", torch.atan, normal),
    ("sinh", torch.sinh, normal),
    ("cosh", torch.cosh, normal),
    ("asinh", torch.asinh, normal),
    ("acosh", torch.acosh, above_one),
    ("atanh", torch.atanh, inside_one),
    ("mish", F.mish, normal),
    ("softplus", F.softplus, normal),
    ("hardswish", F.hardswish, away_from_zero),
    ("hardsigmoid", F.hardsigmoid, away_from_zero),
    ("reluSquared", lambda x: F.relu(x) ** 2, away_from_zero),
    ("selu", F.selu, away_from_zero),
    ("softsign", F.softsign, away_from_zero),
    ("logSigmoid", F.logsigmoid, normal),
    ("relu6", F.relu6, away_from_zero),
]:
    unary(name, fn, make)
unary("softplus", lambda x: F.softplus(x, 2.0, 0.5), normal, [(7,)], {"beta": 2.0, "threshold": 0.5})
unary("leakyRelu", lambda x: F.leaky_relu(x, 0.2), away_from_zero, attrs={"negativeSlope": 0.2})
unary("elu", lambda x: F.elu(x, 1.3), away_from_zero, attrs={"alpha": 1.3})
unary("celu", lambda x: F.celu(x, 1.3), away_from_zero, attrs={"alpha": 1.3})
unary("softshrink", lambda x: F.softshrink(x, 0.4), away_from_zero, attrs={"lambda": 0.4})
unary("hardtanh", lambda x: F.hardtanh(x, -0.7, 1.1), normal, attrs={"min": -0.7, "max": 1.1})
unary("clip", lambda x: x.clamp(-0.5, 0.6), normal, attrs={"min": -0.5, "max": 0.6})
unary("clip", lambda x: x.clamp(min=0.1), normal, attrs={"min": 0.1})
op(
    "prelu",
    lambda: (
        case(F.prelu, [away_from_zero(*s), positive(w)]) for s, w in [((2, 3), 3), ((2, 3, 4), 3), ((2, 3, 4), 1)]
    ),
)
binary("atan2", torch.atan2)
binary("remainder", torch.remainder, fractions, away_from_zero)
binary("floorDivide", lambda a, b: torch.floor(a / b), fractions, away_from_zero)
binary("floorDivide", torch.floor_divide, whole, whole_not_zero)
binary("remainder", torch.remainder, whole, whole_not_zero)
for name, fn in [("notEqual", torch.ne), ("lessEqual", torch.le), ("greaterEqual", torch.ge)]:
    binary(name, fn, integers, integers)
for name, fn in [("logicalAnd", torch.logical_and), ("logicalOr", torch.logical_or), ("logicalXor", torch.logical_xor)]:
    binary(name, fn, booleans, booleans)
op("logicalNot", lambda: (case(torch.logical_not, [booleans(*s)]) for s in [(), (3,), (2, 2)]))
for name, fn in [("bitwiseAnd", torch.bitwise_and), ("bitwiseOr", torch.bitwise_or), ("bitwiseXor", torch.bitwise_xor)]:
    binary(name, fn, whole, whole)
binary("shiftLeft", torch.bitwise_left_shift, whole, shift_counts)
binary("shiftRight", torch.bitwise_right_shift, whole, shift_counts)
op("bitwiseNot", lambda: (case(torch.bitwise_not, [whole(*s)]) for s in [(), (3,)]))
binary("logAddExp", torch.logaddexp)
