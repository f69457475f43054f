"""Makes golden/train/retrieval.json: losses and gradients of sentence-transformers and of distillation on tiny models.

"embeddings", "crossEncoders" and "distillation" are lists of cases: "model" (a folder of golden/pipelines/models), "loss" and
its "options", the loss as "value", the norm of the gradient of each weight as "norms", and the whole gradient of one of them as
"gradient". Texts are as in "texts" or of the case. "trace" has the losses of 10 steps of AdamW, of in-batch negatives on
"batches" of pairs. Nothing is dropped.

    python golden/make_retrieval.py
"""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import sentence_transformers
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.cross_encoder import losses as pair_losses
from sentence_transformers.sentence_transformer import losses
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from common import GOLDEN, floats, made_by, write_json

MODELS = GOLDEN / "pipelines" / "models"
ANCHORS = ["Who sailed?", "What was the night like?", "Where is the inn?", "The whale is white"]
POSITIVES = ["Ishmael sailed.", "It was a dark and stormy night.", "The landlord of the inn knows.", "a white whale"]
NEGATIVES = ["The inn was dark.", "Call me Ishmael.", "A sailor on the sea", "stormy weather"]
OTHERS = ["nobody at all", "the landlord", "whales sail", "It was night."]
SCORES = [0.9, 0.2, 0.5, 0.5]
STEPS, RATE = 10, 1e-3


def named_gradients(module):
    """By the names that the folder of the model has."""
    gradients = {}
    for name, parameter in module.named_parameters():
        if parameter.grad is not None:
            gradients[name.replace("0.auto_model.", "").replace("0.model.", "").removeprefix("model.")] = parameter.grad
    return gradients


def gradients_json(module, prefix=""):
    gradients = named_gradients(module)
    key = f"{prefix}encoder.layer.0.attention.self.query.weight"
    return {"norms": {name: float(gradient.norm()) for name, gradient in gradients.items()}, "key": key, "gradient": floats(gradients[key])}


def embedding_case(folder, loss, options, make, texts, labels=None):
    model = SentenceTransformer(str(MODELS / folder), device="cpu").eval()
    features = [model.preprocess(column) for column in texts]
    value = make(model)(features, None if labels is None else torch.tensor(labels))
    value.backward()
    return {"model": folder, "loss": loss, "options": options, "texts": texts, "scores": labels, "value": value.item(), **gradients_json(model)}


def embeddings():
    pairs, triplets, many = [ANCHORS, POSITIVES], [ANCHORS, POSITIVES, NEGATIVES], [ANCHORS, POSITIVES, NEGATIVES, OTHERS]
    ranking = losses.MultipleNegativesRankingLoss
    widths, weights = [12, 8, 4], [1.0, 0.5, 2.0]
    matryoshka = {"matryoshka": widths, "matryoshkaWeights": weights}

    def nested(loss):
        return lambda model: losses.MatryoshkaLoss(model, loss(model), widths, weights)

    yield embedding_case("sentence-bert", "in-batch", {}, ranking, pairs)
    yield embedding_case("sentence-dense", "in-batch", {}, ranking, pairs)
    yield embedding_case("sentence-bert", "in-batch", {"scale": 5}, lambda model: ranking(model, scale=5.0), many)
    yield embedding_case("sentence-dense", "in-batch", {"scale": 3, "similarity": "dot"}, lambda model: ranking(model, scale=3.0, similarity_fct=sentence_transformers.util.dot_score), triplets)
    yield embedding_case("sentence-bert", "in-batch", {"symmetric": True}, losses.MultipleNegativesSymmetricRankingLoss, pairs)
    yield embedding_case("sentence-bert", "in-batch", matryoshka, nested(ranking), triplets)
    yield embedding_case("sentence-bert", "triplet", {}, losses.TripletLoss, triplets)
    cosine = losses.TripletDistanceMetric.COSINE
    yield embedding_case("sentence-bert", "triplet", {"distance": "cosine", "margin": 0.5}, lambda model: losses.TripletLoss(model, distance_metric=cosine, triplet_margin=0.5), triplets)
    yield embedding_case("sentence-bert", "cosine", {}, losses.CosineSimilarityLoss, pairs, SCORES)
    yield embedding_case("sentence-bert", "cosent", {}, losses.CoSENTLoss, pairs, SCORES)
    yield embedding_case("sentence-bert", "cosent", matryoshka, nested(losses.CoSENTLoss), pairs, SCORES)


def pair_case(folder, loss, make, texts, labels):
    model = CrossEncoder(str(MODELS / folder), device="cpu").eval()
    value = make(model)(texts, labels)
    value.backward()
    whole = [label.tolist() for label in labels] if isinstance(labels, list) else labels.tolist()
    return {"model": folder, "loss": loss, "texts": texts, "labels": whole, "value": value.item(), **gradients_json(model, "bert.")}


def cross_encoders():
    pairs = [ANCHORS, POSITIVES]
    yield pair_case("cross-encoder", "bce", pair_losses.BinaryCrossEntropyLoss, pairs, torch.tensor([1.0, 0.0, 1.0, 0.3]))
    yield pair_case("cross-encoder", "mse", pair_losses.MSELoss, pairs, torch.tensor(SCORES))
    yield pair_case("bert-nli", "cross-entropy", pair_losses.CrossEntropyLoss, pairs, torch.tensor([0, 2, 1, 2]))
    lists = [list(documents) for documents in zip(POSITIVES, NEGATIVES, OTHERS)]
    labels = [torch.tensor([1.0, 0.0, 0.0]) for _ in lists]
    yield pair_case("cross-encoder", "list-net", pair_losses.ListNetLoss, [ANCHORS, lists], labels)


def softened(student, teacher, temperature):
    """transformers' distillation examples: loss_ce, with reduction "batchmean"."""
    loss = torch.nn.KLDivLoss(reduction="batchmean")
    return loss(F.log_softmax(student / temperature, dim=-1), F.softmax(teacher / temperature, dim=-1)) * temperature**2


def distillation():
    """The student has the teacher's first layer alone."""
    folder, temperature, hard = MODELS / "bert-nli", 2.0, 0.5
    teacher = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    student = AutoModelForSequenceClassification.from_pretrained(folder, num_hidden_layers=1).eval()
    inputs = AutoTokenizer.from_pretrained(folder)(ANCHORS, padding=True, return_tensors="pt")
    labels = [0, 2, 1, 2]
    ours = student(**inputs, output_hidden_states=True)
    with torch.no_grad():
        theirs = teacher(**inputs, output_hidden_states=True)
    soft = softened(ours.logits, theirs.logits, temperature)
    mask = inputs["attention_mask"].bool()
    hidden = sum(F.mse_loss(ours.hidden_states[i][mask], theirs.hidden_states[2 * i][mask]) for i in (0, 1)) / 2
    value = soft + hard * F.cross_entropy(ours.logits, torch.tensor(labels)) + 0.25 * hidden
    value.backward()
    parts = {"soft": soft.item(), "hidden": hidden.item()}
    yield {"model": "bert-nli", "texts": ANCHORS, "labels": labels, "weights": {"soft": 1, "hard": hard, "hidden": 0.25}, "temperature": temperature, **parts, "value": value.item(), **gradients_json(student, "bert.")}


def language_distillation():
    folder, temperature = MODELS / "gpt2", 2.0
    teacher = AutoModelForCausalLM.from_pretrained(folder).eval()
    student = AutoModelForCausalLM.from_pretrained(folder, n_layer=1).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [tokenizer(text)["input_ids"] for text in POSITIVES]
    # as run_clm's packed rows: predictions of what follows, padding left out
    picked = [(student(torch.tensor([ids])).logits[0, :-1], teacher(torch.tensor([ids])).logits[0, :-1].detach()) for ids in rows]
    value = softened(torch.cat([ours for ours, _ in picked]), torch.cat([theirs for _, theirs in picked]), temperature)
    value.backward()
    norms = {name: float(parameter.grad.norm()) for name, parameter in student.named_parameters() if parameter.grad is not None}
    return {"model": "gpt2", "ids": rows, "temperature": temperature, "value": value.item(), "norms": norms}


def trace():
    batches = [[ANCHORS, POSITIVES], [NEGATIVES, OTHERS]]
    model = SentenceTransformer(str(MODELS / "sentence-bert"), device="cpu").eval()
    loss_fn = losses.MultipleNegativesRankingLoss(model)
    parameters = [p for name, p in model.named_parameters() if "pooler" not in name]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.01)
    values = []
    for step in range(STEPS):
        value = loss_fn([model.preprocess(column) for column in batches[step % 2]], None)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    return {"model": "sentence-bert", "batches": batches, "learningRate": RATE, "weightDecay": 0.01, "losses": values}


if __name__ == "__main__":
    write_json(
        GOLDEN / "train" / "retrieval.json",
        {
            "madeBy": f"{made_by(__file__)}, sentence-transformers {sentence_transformers.__version__}",
            "embeddings": list(embeddings()),
            "crossEncoders": list(cross_encoders()),
            "distillation": list(distillation()),
            "languageDistillation": language_distillation(),
            "trace": trace(),
        },
    )
