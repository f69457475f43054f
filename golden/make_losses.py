"""Makes golden/losses.json.gz: values and gradients of losses as PyTorch has them, in the form of the files in golden/ops/.

Each case has a "loss" of kindling/losses, its options in "attrs", and its tensors in order in "inputs". What PyTorch has no
function for is written out here from the paper that the loss names.

    python golden/make_losses.py
"""

import gzip
import json
import sys
from pathlib import Path

import torch
from torch.nn import functional as F

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "cases"))
from common import i32, normal, positive, run_case  # noqa: E402

REDUCTIONS = ["mean", "sum", "none"]
CASES = []


def add(loss, fn, inputs, attrs=None, without_gradient=()):
    CASES.append({"loss": loss, **run_case(fn, inputs, attrs or {}, without_gradient)})


def each_reduction(loss, fn, inputs, attrs=None, without_gradient=()):
    """fn(*inputs, reduction=...)"""
    for reduction in REDUCTIONS:
        add(loss, lambda *xs: fn(*xs, reduction=reduction), inputs, {**(attrs or {}), "reduction": reduction}, without_gradient)


def reduced(losses, reduction):
    return losses if reduction == "none" else losses.sum() if reduction == "sum" else losses.mean()


def signs(*shape):
    return torch.where(torch.randn(shape) > 0, 1.0, -1.0)


def with_ties(x, y):
    """The first two numbers of x are those of y."""
    x = x.clone()
    x.reshape(-1)[:2] = y.reshape(-1)[:2]
    return x


def regression():
    for shape in [(5,), (2, 3, 2)]:
        y = normal(*shape)
        x = with_ties(normal(*shape), y)
        each_reduction("mseLoss", F.mse_loss, [x, y])
        each_reduction("l1Loss", F.l1_loss, [x, y])
        each_reduction("huberLoss", F.huber_loss, [x, y])
        each_reduction("smoothL1Loss", F.smooth_l1_loss, [x, y])
    each_reduction("mseLoss", F.mse_loss, [torch.tensor(1.5), torch.tensor(-0.25)])
    bend = [torch.tensor([0.5, -0.5, 3.0, 0.0]), torch.zeros(4)]  # differences equal to the bend too
    each_reduction("huberLoss", lambda x, y, reduction: F.huber_loss(x, y, reduction, 0.5), bend, {"delta": 0.5})
    each_reduction("smoothL1Loss", lambda x, y, reduction: F.smooth_l1_loss(x, y, reduction=reduction, beta=0.5), bend, {"beta": 0.5})
    each_reduction("smoothL1Loss", lambda x, y, reduction: F.smooth_l1_loss(x, y, reduction=reduction, beta=0.0), bend, {"beta": 0})


def binary():
    p, y = torch.rand(2, 3), torch.rand(2, 3)
    each_reduction("binaryCrossEntropy", F.binary_cross_entropy, [p, y])
    each_reduction("binaryCrossEntropy", F.binary_cross_entropy, [p, y, positive(2, 3)], {}, (2,))
    edge = [torch.tensor([0.0, 1.0, 0.0, 1.0, 1e-30]), torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0])]
    each_reduction("binaryCrossEntropy", F.binary_cross_entropy, edge, {}, (1,))
    x = torch.tensor([[0.3, -2.0, 40.0], [-40.0, 0.0, 5.0]])
    logits = F.binary_cross_entropy_with_logits
    each_reduction("binaryCrossEntropyWithLogits", logits, [x, y])
    each_reduction("binaryCrossEntropyWithLogits", logits, [x, y, positive(2, 3)], {}, (2,))
    each_reduction(
        "binaryCrossEntropyWithLogits",
        lambda x, y, w, pw, reduction: logits(x, y, w, pos_weight=pw, reduction=reduction),
        [x, y, positive(3), positive(3)],
        {},
        (2, 3),
    )


def likelihood():
    x = normal(5, 7).log_softmax(1)
    for t in [[0, 6, 3, 3, 1], [2, -100, 5, -100, 0]]:
        nll = lambda x, t, w=None, reduction=None: F.nll_loss(x, t.long(), w, reduction=reduction)
        each_reduction("nllLoss", nll, [x, i32(t)])
        each_reduction("nllLoss", nll, [x, i32(t), positive(7)], {}, (2,))
        for smoothing in [0.0, 0.1]:
            for weight in [[], [positive(7)]]:
                entropy = lambda x, t, w=None, reduction=None: F.cross_entropy(
                    x, t.long(), w, label_smoothing=smoothing, reduction=reduction
                )
                each_reduction("crossEntropy", entropy, [normal(5, 7), i32(t), *weight], {"labelSmoothing": smoothing}, (2,))
    every = i32([-100, -100])
    for reduction in ["sum", "none"]:  # the mean of none is NaN
        for loss, f in [("nllLoss", F.nll_loss), ("crossEntropy", F.cross_entropy)]:
            add(loss, lambda x, t: f(x, t.long(), reduction=reduction), [normal(2, 3), every], {"reduction": reduction})
    for smoothing in [0.0, 0.1]:
        for weight in [[], [positive(4)]]:
            soft = lambda x, t, w=None, reduction=None: F.cross_entropy(x, t, w, label_smoothing=smoothing, reduction=reduction)
            inputs = [normal(3, 4), normal(3, 4).softmax(1), *weight]
            each_reduction("crossEntropy", soft, inputs, {"labelSmoothing": smoothing}, (2,))
    target = normal(3, 4).softmax(1)
    outputs = normal(3, 4).log_softmax(1)
    certain = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])
    for reduction, name in [("mean", "mean"), ("sum", "sum"), ("none", "none"), ("batchmean", "batchMean")]:
        kl = lambda x, t, log=False: F.kl_div(x, t, reduction=reduction, log_target=log)
        add("klDivergence", kl, [outputs, target], {"reduction": name})
        add("klDivergence", kl, [outputs, certain], {"reduction": name}, (1,))
        add("klDivergence", lambda x, t: kl(x, t, True), [outputs, target.log()], {"reduction": name, "logTarget": True})


def margins():
    x, y = normal(2, 3), signs(2, 3)
    for margin, squared in [(1.0, False), (0.5, True)]:
        hinge = lambda x, y, reduction: reduced((margin - x * y).clamp_min(0) ** (2 if squared else 1), reduction)
        each_reduction("hingeLoss", hinge, [x, y], {"margin": margin, "squared": squared}, (1,))
    tied = torch.tensor([1.0, -1.0, 0.5, 1.0, 0.5, -3.0])
    side = torch.tensor([1.0, -1.0, 1.0, -1.0, -1.0, 1.0])
    each_reduction("hingeLoss", lambda x, y, reduction: reduced((1 - x * y).clamp_min(0), reduction), [tied, side], {}, (1,))
    for margin in [1.0, 0.5]:
        for inputs in [[x, y], [tied, side]]:
            embedding = lambda x, y, reduction: F.hinge_embedding_loss(x, y, margin, reduction=reduction)
            each_reduction("hingeEmbeddingLoss", embedding, inputs, {"margin": margin}, (1,))
    for margin in [0.0, 0.5]:
        ranking = lambda a, b, y, reduction: F.margin_ranking_loss(a, b, y, margin, reduction=reduction)
        a, b, t = normal(5), normal(5), signs(5)
        each_reduction("marginRankingLoss", ranking, [with_ties(a, b), b, t], {"margin": margin}, (2,))
    each_reduction("softMarginLoss", F.soft_margin_loss, [x, y], {}, (1,))
    scores = normal(4, 3)
    scores[0] = torch.tensor([1.0, 0.0, 0.5])  # at the margin
    for p in [1, 2]:
        for weight in [[], [positive(3)]]:
            multi = lambda x, t, w=None, reduction=None: F.multi_margin_loss(x, t.long(), p=p, margin=1, weight=w, reduction=reduction)
            each_reduction("multiMarginLoss", multi, [scores, i32([0, 2, 1, 0]), *weight], {"p": p}, (2,))


def embeddings():
    a, b, c = normal(4, 3), normal(4, 3), normal(4, 3)
    b[1] = a[1]
    side = torch.tensor([1.0, 1.0, -1.0, -1.0])
    for margin in [0.0, 0.3]:
        cosine = lambda a, b, y, reduction: F.cosine_embedding_loss(a, b, y, margin, reduction=reduction)
        each_reduction("cosineEmbeddingLoss", cosine, [a, b, side], {"margin": margin}, (2,))
    zero = a.clone()
    zero[0] = 0
    zero[2] = 0
    each_reduction("cosineEmbeddingLoss", F.cosine_embedding_loss, [zero, b, side], {}, (2,))
    for p in [1, 2, 3]:
        for swap in [False, True]:
            triplet = lambda a, b, c, reduction: F.triplet_margin_loss(a, b, c, 1.0, p, swap=swap, reduction=reduction)
            each_reduction("tripletMarginLoss", triplet, [a, b, c], {"p": p, "swap": swap})
    far = lambda a, b: 1 - F.cosine_similarity(a, b)
    for swap in [False, True]:
        by_cosine = lambda a, b, c, reduction: F.triplet_margin_with_distance_loss(
            a, b, c, distance_function=far, margin=0.5, swap=swap, reduction=reduction
        )
        each_reduction("tripletMarginWithDistanceLoss", by_cosine, [a, b, c], {"swap": swap, "margin": 0.5})

    def contrastive(a, b, y, reduction):
        d = F.pairwise_distance(a, b)
        return reduced(0.5 * torch.where(y == 1, d**2, (1.5 - d).clamp_min(0) ** 2), reduction)

    each_reduction("contrastiveLoss", contrastive, [a, b, torch.tensor([1.0, 1.0, 0.0, 0.0])], {"margin": 1.5}, (2,))


def in_batch():
    q, k, more = normal(4, 3), normal(4, 3), normal(5, 3)
    unit = lambda x: F.normalize(x, dim=-1)

    def info(q, k, *more, temperature=0.07, normalize=True, symmetric=False, reduction="mean"):
        q, k, *more = [unit(x) if normalize else x for x in (q, k, *more)]
        find = lambda a, b: F.cross_entropy(a @ b.T / temperature, torch.arange(len(a)), reduction=reduction)
        forth = find(q, torch.cat([k, *more]))
        return (forth + find(k, q)) / 2 if symmetric else forth

    for attrs in [{}, {"temperature": 0.5, "symmetric": True}, {"temperature": 1.0, "normalize": False}]:
        each_reduction("infoNceLoss", lambda *xs, reduction: info(*xs, **attrs, reduction=reduction), [q, k], attrs)
        each_reduction("infoNceLoss", lambda *xs, reduction: info(*xs, **attrs, reduction=reduction), [q, k, more], attrs)

    def clip(images, texts, scale):
        logits = unit(images) @ unit(texts).T * scale.exp().reshape(())
        pairs = torch.arange(len(logits))
        return (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2

    add("clipLoss", clip, [q, k, torch.tensor(1.3)])
    add("clipLoss", clip, [q, k, torch.tensor([2.0])])


def focal():
    def sigmoid_focal(x, y, alpha, gamma, reduction):
        """torchvision.ops.sigmoid_focal_loss"""
        p = torch.sigmoid(x)
        ce = F.binary_cross_entropy_with_logits(x, y, reduction="none")
        p_t = p * y + (1 - p) * (1 - y)
        loss = ce * (1 - p_t) ** gamma
        if alpha is not None:
            loss = (alpha * y + (1 - alpha) * (1 - y)) * loss
        return reduced(loss, reduction)

    x, y = normal(2, 4), (torch.randn(2, 4) > 0).float()
    for alpha, gamma in [(0.25, 2.0), (None, 2.0), (0.6, 1.5), (None, 0.0)]:
        attrs = {"alpha": alpha, "gamma": gamma}
        each_reduction("sigmoidFocalLoss", lambda x, y, reduction: sigmoid_focal(x, y, alpha, gamma, reduction), [x, y], attrs, (1,))

    def softmax_focal(x, t, w=None, gamma=2.0, reduction="mean"):
        ce = F.cross_entropy(x, t.long(), reduction="none")
        counted = (t != -100).float() * (1 if w is None else w[t.long().clamp_min(0)])
        loss = counted * ce * (1 - (-ce).exp()) ** gamma
        return loss.sum() / counted.sum() if reduction == "mean" else reduced(loss, reduction)

    for gamma in [2.0, 1.5, 0.0]:
        for weight in [[], [positive(5)]]:
            each_reduction(
                "softmaxFocalLoss",
                lambda *xs, reduction: softmax_focal(*xs, gamma=gamma, reduction=reduction),
                [normal(4, 5), i32([0, 4, -100 if gamma == 2.0 else 1, 2]), *weight],
                {"gamma": gamma},
                (2,),
            )


def dice():
    def overlap(p, y, smooth, squared, axes):
        size = (lambda x: (x * x).sum(axes)) if squared else (lambda x: x.sum(axes))
        return 1 - (2 * (p * y).sum(axes) + smooth) / (size(p) + size(y) + smooth)

    p, y = torch.rand(2, 3, 2), (torch.randn(2, 3, 2) > 0).float()
    classes = i32([[[0, 1], [2, 2]], [[1, 1], [0, 1]]])
    for smooth, squared in [(1.0, False), (0.5, True)]:
        attrs = {"smooth": smooth, "squared": squared}
        soft = lambda p, y, reduction: reduced(overlap(p, y, smooth, squared, (1, 2)), reduction)
        each_reduction("diceLoss", soft, [p, y], attrs)

        def several(x, t, reduction):
            one_hot = F.one_hot(t.long(), x.shape[1]).movedim(-1, 1).float()
            return reduced(overlap(x.softmax(1), one_hot, smooth, squared, (2, 3)), reduction)

        each_reduction("multiClassDiceLoss", several, [normal(2, 3, 2, 2), classes], attrs)


def masked(losses, mask, reduction):
    if mask is None:
        return reduced(losses, reduction)
    counts = mask.bool().reshape(*mask.shape, *[1] * (losses.dim() - mask.dim())).expand(losses.shape)
    kept = torch.where(counts, losses, 0.0)
    return kept.sum() / counts.sum() if reduction == "mean" else reduced(kept, reduction)


def distillation():
    mask = i32([[1, 1, 0], [1, 0, 1]])
    student, teacher = normal(2, 3, 5), normal(2, 3, 5)
    for temperature in [1.0, 4.0]:
        for masks in [[], [mask]]:

            def soft(s, t, mask=None, reduction=None):
                s, t = (s / temperature).log_softmax(-1), (t / temperature).log_softmax(-1)
                losses = F.kl_div(s, t, reduction="none", log_target=True).sum(-1) * temperature**2
                return masked(losses, mask, reduction)

            each_reduction("distillationLoss", soft, [student, teacher, *masks], {"temperature": temperature}, (1,))
    for masks in [[], [mask]]:
        states = lambda s, t, mask=None, reduction=None: masked((s - t) ** 2, mask, reduction)
        each_reduction("hiddenStateLoss", states, [student, teacher, *masks], {}, (1,))
        project = lambda s, t, w, mask=None, reduction=None: masked((s @ w - t) ** 2, mask, reduction)
        each_reduction("hiddenStateLoss projected", project, [normal(2, 3, 2), teacher, normal(2, 5), *masks], {}, (1,))
    s, t = normal(2, 3, 3).softmax(-1), normal(2, 3, 3).softmax(-1)
    for masks in [[], [mask]]:
        squared = lambda s, t, mask=None, reduction=None: masked((s - t) ** 2, mask, reduction)
        each_reduction("attentionLoss", squared, [s, t, *masks], {}, (1,))

        def divergence(s, t, mask=None, reduction=None):
            return masked((t * (t.log() - s.log())).sum(-1), mask, reduction)

        each_reduction("attentionLoss", divergence, [s, t, *masks], {"kind": "divergence"}, (1,))


def linear_cross_entropy():
    for bias in [[], [normal(11)]]:
        for smoothing, scale, cap in [(0.0, 1.0, None), (0.1, 0.5, None), (0.0, 2.0, 1.5), (0.1, 1.0, 1.5)]:

            def entropy(h, w, t, b=None, reduction=None):
                logits = F.linear(h, w, b) * scale
                logits = logits if cap is None else cap * torch.tanh(logits / cap)
                return F.cross_entropy(logits, t.long(), label_smoothing=smoothing, reduction=reduction)

            attrs = {"labelSmoothing": smoothing, "logitScale": scale, **({} if cap is None else {"logitSoftCap": cap})}
            inputs = [normal(4, 3), normal(11, 3), i32([10, -100, 0, 5]), *bias]
            each_reduction("linearCrossEntropy", entropy, inputs, attrs)


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for make in [regression, binary, likelihood, margins, embeddings, in_batch, focal, dice, distillation, linear_cross_entropy]:
        make()
    version = torch.__version__.split("+")[0]
    head = json.dumps({"madeBy": f"golden/make_losses.py, torch {version}"}, separators=(",", ":"))
    text = ",\n".join(json.dumps(case, separators=(",", ":"), allow_nan=False) for case in CASES)
    packed = gzip.compress(f'{head[:-1]},"cases":[\n{text}\n]}}\n'.encode(), mtime=0)
    (HERE / "losses.json.gz").write_bytes(packed)


if __name__ == "__main__":
    main()
