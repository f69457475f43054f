"""Makes golden/pipelines/sentence-embeddings.json and reranking.json, and the folders of models in the layout of sentence-transformers.

The numbers are computed here with plain torch by the rules of sentence-transformers 5.7 (pooling.py, dense.py, normalize.py
of sentence_transformer/modules, predict and rank of cross_encoder/model.py).

sentence-embeddings.json has "cases": "model", "texts" and "calls" with "options" and "embeddings" [texts, D]. The options are
those of SentenceTransformer.encode; "pooling" stands for another 1_Pooling/config.json, after which nothing is normalized.
reranking.json has "cases" with calls of CrossEncoder.predict (pairs to "scores") and rank ("query", "documents" to "ranking").

    python golden/make_sentence_embeddings.py
"""

import json

import torch
import transformers
from safetensors.torch import save_file
from torch.nn.functional import normalize
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer, BertForSequenceClassification, BertModel

import pipeline_models
from common import floats, made_by, write_json
from pipeline_common import FOLDER, INN, LONG, NIGHT, SAILOR, plain

MODELS = pipeline_models.FOLDER
WIDTH, DENSE = pipeline_models.SMALL["hidden_size"], 5
MAX_LENGTH = 20
PROMPTS = {"query": "Who is: ", "passage": "passage - "}
LEGACY = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "mean_sqrt_len_tokens": "mean_sqrt_len_tokens", "weightedmean": "weightedmean_tokens", "lasttoken": "lasttoken"}
VERSIONS = {"sentence_transformers": "2.7.0", "transformers": "4.40.0", "pytorch": "2.3.0"}


def legacy_pooling(*modes, **more):
    """A config.json of sentence-transformers before 5.4."""
    return {"word_embedding_dimension": WIDTH, **{f"pooling_mode_{key}": mode in modes for mode, key in LEGACY.items()}, **more}


def pooling(*modes, include_prompt=True):
    return {"embedding_dimension": WIDTH, "pooling_mode": modes[0] if len(modes) == 1 else list(modes), "include_prompt": include_prompt}


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8", newline="\n")


def modules(folder, **parts):
    """modules.json with the folder of each part; the first is the model itself."""
    rows = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    for index, name in enumerate(parts, start=1):
        rows.append({"idx": index, "name": str(index), "path": f"{index}_{name}", "type": f"sentence_transformers.models.{name}"})
        if parts[name] is not None:  # Normalize has no file
            write(folder / f"{index}_{name}" / "config.json", parts[name])
    write(folder / "modules.json", rows)
    write(folder / "sentence_bert_config.json", {"max_seq_length": MAX_LENGTH, "do_lower_case": False})


def make_folders():
    bert = pipeline_models.bert
    plain_model = bert(BertModel, {"model_max_length": 64})
    pipeline_models.MODELS |= {
        "sentence-bert": (plain_model, 1, 0.4),
        "sentence-dense": (plain_model, 2, 0.4),
        "cross-encoder": (bert(BertForSequenceClassification, {"model_max_length": 32}, num_labels=1), 3, 0.6),
    }
    for name in ["sentence-bert", "sentence-dense", "cross-encoder"]:
        pipeline_models.make(name)
    first, second = MODELS / "sentence-bert", MODELS / "sentence-dense"
    modules(first, Pooling=legacy_pooling("mean"), Normalize=None)
    write(first / "config_sentence_transformers.json", {"__version__": VERSIONS, "prompts": PROMPTS, "default_prompt_name": None, "similarity_fn_name": "cosine"})
    dense = {"in_features": 2 * WIDTH, "out_features": DENSE, "bias": True, "activation_function": "torch.nn.modules.activation.Tanh"}
    modules(second, Pooling=pooling("cls", "mean"), Dense=dense)
    write(second / "config_sentence_transformers.json", {"__version__": VERSIONS, "prompts": {"start": "It is "}, "default_prompt_name": "start", "similarity_fn_name": "dot"})
    torch.manual_seed(5)
    weights = {"linear.weight": torch.randn(DENSE, 2 * WIDTH) * 0.3, "linear.bias": torch.randn(DENSE) * 0.3}
    save_file(weights, second / "2_Dense" / "model.safetensors")
    config = json.loads((MODELS / "cross-encoder" / "config.json").read_text())
    write(MODELS / "cross-encoder" / "config.json", config | {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity", "version": "4.0.1"}})


def pool(mode, hidden, mask):
    """hidden: [B, T, D], mask: [B, T] -> [B, D]."""
    wide = mask[..., None].float()
    if mode == "cls":  # the first token that counts
        return hidden[torch.arange(len(hidden)), mask.argmax(1)]
    if mode == "max":
        return hidden.masked_fill(wide == 0, -torch.inf).amax(1)
    if mode == "lasttoken":
        last = mask.shape[1] - 1 - mask.flip(1).argmax(1)
        return hidden[torch.arange(len(hidden)), last]
    if mode == "weightedmean":  # the first token of the row, padding or not, weighs 1, the next 2, ...
        wide = wide * torch.arange(1, mask.shape[1] + 1)[:, None]
    total, count = (hidden * wide).sum(1), wide.sum(1).clamp(min=1e-9)
    return total / (count.sqrt() if mode == "mean_sqrt_len_tokens" else count)


def modes_of(config):
    if "pooling_mode" not in config:  # in this order, whatever the order in the file
        order = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
        return [mode for mode in order if config.get(f"pooling_mode_{LEGACY[mode]}")] or ["mean"]
    return config["pooling_mode"] if isinstance(config["pooling_mode"], list) else [config["pooling_mode"]]


@torch.no_grad()
def encode(folder, texts, prompt=None, prompt_name=None, pooling=None, truncate_dim=None, normalize_embeddings=False):
    settings = json.loads((folder / "config_sentence_transformers.json").read_text())
    if prompt is None:
        prompt = settings["prompts"].get(prompt_name or settings["default_prompt_name"], "")
    model, tokenizer = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer([prompt + text for text in texts], padding=True, truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
    hidden, mask = model(**inputs).last_hidden_state, inputs["attention_mask"]
    config = pooling or json.loads((folder / "1_Pooling" / "config.json").read_text())
    if prompt and not config.get("include_prompt", True):
        count = len(tokenizer(prompt)["input_ids"]) - 1  # with [CLS], without [SEP]
        mask = mask.clone()
        mask[:, :count] = 0
    found = torch.cat([pool(mode, hidden, mask) for mode in modes_of(config)], dim=1)
    for module in [] if pooling else json.loads((folder / "modules.json").read_text())[2:]:
        if module["type"].endswith("Normalize"):
            found = normalize(found, dim=1)
        else:
            weights = transformers.modeling_utils.load_state_dict(folder / module["path"] / "model.safetensors")
            found = torch.tanh(found @ weights["linear.weight"].T + weights["linear.bias"])
    if truncate_dim:
        found = found[:, :truncate_dim]
    return normalize(found, dim=1) if normalize_embeddings else found


TEXTS = [SAILOR, NIGHT, "Ishmael", LONG]
FIRST = [
    {},
    {"prompt_name": "query"},
    {"prompt": "About: "},
    {"truncate_dim": 4},
    {"truncate_dim": 4, "normalize_embeddings": True},
    *({"pooling": legacy_pooling(mode)} for mode in LEGACY),
    {"pooling": pooling("mean")},
    {"pooling": legacy_pooling("mean", "max", "cls")},
    {"pooling": pooling("lasttoken", "cls")},
    {"pooling": pooling("mean", include_prompt=False), "prompt_name": "query"},
    {"pooling": pooling("cls", include_prompt=False), "prompt_name": "passage"},
    {"pooling": legacy_pooling("max", include_prompt=False)},
]
SECOND = [{}, {"prompt": ""}, {"normalize_embeddings": True}]


def embeddings(name, calls):
    folder, written = MODELS / name, []
    for options in calls:
        found = encode(folder, TEXTS, **options)
        written.append({"options": options, "embeddings": [floats(row) for row in found]})
    similarity = json.loads((folder / "config_sentence_transformers.json").read_text())["similarity_fn_name"]
    first = encode(folder, TEXTS)
    unit = normalize(first, dim=1) if similarity == "cosine" else first
    return {"model": f"pipelines/models/{name}", "texts": TEXTS, "calls": written, "similarity": [floats(row) for row in unit @ unit.T]}


@torch.no_grad()
def logits(folder, pairs):
    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    return model(**tokenizer(pairs, padding=True, truncation="longest_first", return_tensors="pt")).logits


def reranking():
    query, documents = "Who sailed from Nantucket?", [NIGHT, SAILOR, INN, f"{NIGHT} {INN}", "Ishmael"]
    pairs = [[query, document] for document in documents]
    scores = logits(MODELS / "cross-encoder", pairs).squeeze(-1)
    order = scores.argsort(descending=True).tolist()
    ranking = [{"corpus_id": index, "score": scores[index].item(), "text": documents[index]} for index in order]
    three = logits(MODELS / "bert-nli", pairs)
    return [
        {
            "model": "pipelines/models/cross-encoder",
            "calls": [
                {"pairs": pairs, "options": {}, "scores": scores},
                {"pairs": pairs, "options": {"activation_fn": "torch.nn.modules.activation.Sigmoid"}, "scores": scores.sigmoid()},
                {"query": query, "documents": documents, "options": {"return_documents": True}, "ranking": ranking},
                {"query": query, "documents": documents, "options": {"top_k": 2}, "ranking": [{key: row[key] for key in ["corpus_id", "score"]} for row in ranking[:2]]},
            ],
        },
        {
            "model": "pipelines/models/bert-nli",
            "calls": [{"pairs": pairs, "options": {}, "scores": three}, {"pairs": pairs, "options": {"apply_softmax": True}, "scores": three.softmax(1)}],
        },
    ]


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    make_folders()
    cases = [embeddings("sentence-bert", FIRST), embeddings("sentence-dense", SECOND)]
    write_json(FOLDER / "sentence-embeddings.json", {"madeBy": made_by(__file__), "cases": cases})
    write_json(FOLDER / "reranking.json", {"madeBy": made_by(__file__), "cases": plain(reranking())})
