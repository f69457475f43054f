"""Makes golden/train/attention-matching.json: attention scores of transformers' models, and losses of attention matching.

"scores" has for folders of golden, by their names, the scores of the last layer on "ids" with "mask": what eager attention gives
to its softmax, those of hidden keys as 0. "encoders" and "decoder" are cases of distillation from the teacher's first layer alone,
as in golden/train/retrieval.json: the squared error of scores is that of TinyBERT's code (Jiao et al. 2019, task_distill.py),
which sets scores of at most -100 to 0; of several texts it is the mean over pairs of tokens that see each other, none of padding,
and of one text, or of texts of one length, TinyBERT's as it is. "divergence" is MobileBERT's (Sun et al. 2020, equation 2), by
torch's kl_div. Nothing is dropped.

    python golden/make_attention_matching.py
"""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from torch.nn import functional as F
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from common import GOLDEN, floats, made_by, write_json

MODELS = GOLDEN / "pipelines" / "models"
TEXTS = ["Who sailed?", "What was the night like?", "Where is the inn?", "The whale is white"]
IDS = [[5, 9, 31, 7, 12, 6, 22, 3], [8, 14, 2, 27, 4, 0, 0, 0]]
MASK = [[1] * 8, [1] * 5 + [0] * 3]
ENCODERS = ["bert", "roberta", "xlm-roberta", "distilbert", "electra", "albert", "albert-groups", "deberta-v2", "deberta-v2-absolute", "modernbert"]
DECODERS = ["llama", "qwen3", "gemma2", "gpt-neox", "deepseek-v3"]


def scored(run):
    """What a run gives, and the scores that its layers give to softmax: [B, H, T, S] each."""
    scores, softmax = [], F.softmax

    def seen(x, *args, **options):
        if x.dim() == 4:
            scores.append(x)
        return softmax(x, *args, **options)

    F.softmax = seen
    try:
        return run(), scores
    finally:
        F.softmax = softmax


def eager(kind, folder, **options):
    return kind.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32, **options).eval()


def zeroed(scores):
    """TinyBERT's code, task_distill.py."""
    return torch.where(scores <= -1e2, torch.zeros_like(scores), scores)


@torch.no_grad()
def last_scores(kind, folder):
    model = eager(kind, folder, experts_implementation="eager") if "deepseek" in folder.name else eager(kind, folder)
    _, scores = scored(lambda: model(input_ids=torch.tensor(IDS), attention_mask=torch.tensor(MASK)))
    assert len(scores) >= model.config.num_hidden_layers, (folder, len(scores))
    return floats(zeroed(scores[-1]))


def matched(ours, theirs, mask, kind, is_causal):
    """Of one layer. ours, theirs: [B, H, T, S], mask: [B, T]"""
    queries = mask.unsqueeze(1).expand(ours.shape[:3])
    if kind == "squaredError" and mask.all() and not is_causal:
        return F.mse_loss(zeroed(ours), zeroed(theirs))
    if kind == "squaredError":
        pairs = (mask.unsqueeze(1) & mask.unsqueeze(2)).unsqueeze(1).expand(ours.shape)
        pairs = pairs.tril() if is_causal else pairs
        return F.mse_loss(zeroed(ours)[pairs], zeroed(theirs)[pairs])
    return F.kl_div(ours[queries].log_softmax(-1), theirs[queries].log_softmax(-1), reduction="batchmean", log_target=True)


def case(kind, name, inputs, loss, key, **fewer):
    teacher, student = eager(kind, MODELS / name), eager(kind, MODELS / name, **fewer)
    _, ours = scored(lambda: student(**inputs))
    with torch.no_grad():
        _, theirs = scored(lambda: teacher(**inputs))
    assert (len(ours), len(theirs)) == (1, 2)
    value = matched(ours[0], theirs[1], inputs["attention_mask"].bool(), loss, kind is AutoModelForCausalLM)
    value.backward()
    norms = {n: float(p.grad.norm()) for n, p in student.named_parameters() if p.grad is not None}
    gradient = dict(student.named_parameters())[key].grad
    return {"model": name, "attention": loss, "value": value.item(), "norms": norms, "key": key, "gradient": floats(gradient)}


def encoder_cases():
    tokenizer = AutoTokenizer.from_pretrained(MODELS / "bert-nli")
    for texts, loss in [(TEXTS, "squaredError"), (TEXTS[1:2], "squaredError"), (TEXTS, "divergence")]:
        inputs = tokenizer(texts, padding=True, return_tensors="pt")
        key = "bert.encoder.layer.0.attention.self.query.weight"
        yield {"texts": texts, **case(AutoModelForSequenceClassification, "bert-nli", inputs, loss, key, num_hidden_layers=1)}


def decoder_case():
    rows = [AutoTokenizer.from_pretrained(MODELS / "gpt2")(text)["input_ids"] for text in TEXTS]
    width = max(map(len, rows))
    inputs = {
        "input_ids": torch.tensor([ids + [0] * (width - len(ids)) for ids in rows]),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids in rows]),
    }
    key = "transformer.h.0.attn.c_attn.weight"
    return {"ids": rows, **case(AutoModelForCausalLM, "gpt2", inputs, "squaredError", key, n_layer=1)}


if __name__ == "__main__":
    write_json(
        GOLDEN / "train" / "attention-matching.json",
        {
            "madeBy": made_by(__file__),
            "ids": IDS,
            "mask": MASK,
            "scores": {
                **{f"models/{name}": last_scores(AutoModel, GOLDEN / "models" / name) for name in ENCODERS},
                **{f"decoders/{name}": last_scores(AutoModelForCausalLM, GOLDEN / "decoders" / name) for name in DECODERS},
                "pipelines/models/gpt2": last_scores(AutoModelForCausalLM, MODELS / "gpt2"),
            },
            "encoders": list(encoder_cases()),
            "decoder": decoder_case(),
        },
    )
