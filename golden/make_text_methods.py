"""Losses of methods on texts by transformers and PyTorch, and how words and questions become tokens.

    python golden/make_text_methods.py
"""

import torch
from torch.nn import functional
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedTokenizerFast,
)
from transformers.trainer_pt_utils import LabelSmoother

from common import GOLDEN, made_by, write_json

MODELS = GOLDEN / "models"
KINDS = GOLDEN / "tokenizers" / "kinds"
SMOOTHING = 0.1
torch.manual_seed(0)


def texts(model, count=4, length=9):
    """Texts of several lengths: ids, the padded ids and the mask."""
    size, padding = model.config.vocab_size, model.config.pad_token_id or 0
    rows = [torch.randint(5, size, (length - row,)).tolist() for row in range(count)]
    padded = torch.tensor([row + [padding] * (length - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])
    return rows, padded, mask


def classification():
    model = AutoModelForSequenceClassification.from_pretrained(MODELS / "bert-sequence-classification").eval()
    rows, ids, mask = texts(model)
    count = model.config.num_labels
    labels = torch.tensor([i % count for i in range(len(rows))])
    weights = torch.linspace(0.5, 2, count)
    logits = model(input_ids=ids, attention_mask=mask).logits
    loss = functional.cross_entropy(logits, labels, weight=weights, label_smoothing=SMOOTHING)
    return {"ids": rows, "labels": labels.tolist(), "weights": weights.tolist(), "loss": loss.item()}


def several():
    model = AutoModelForSequenceClassification.from_pretrained(MODELS / "bert-multi-label").eval()
    rows, ids, mask = texts(model)
    count = model.config.num_labels
    labels = [[c for c in range(count) if (i + c) % 2 == 0] for i in range(len(rows))]
    ones = torch.tensor([[float(c in row) for c in range(count)] for row in labels])
    weights = torch.linspace(0.5, 2, count)
    logits = model(input_ids=ids, attention_mask=mask).logits
    loss = functional.binary_cross_entropy_with_logits(logits, ones, pos_weight=weights)
    return {"ids": rows, "labels": labels, "weights": weights.tolist(), "loss": loss.item()}


def tagging():
    model = AutoModelForTokenClassification.from_pretrained(MODELS / "bert-token-classification").eval()
    rows, ids, mask = texts(model)
    count = model.config.num_labels
    labels = [[-100 if i % 3 == 0 else (i + row) % count for i in range(len(ids))] for row, ids in enumerate(rows)]
    padded = torch.tensor([row + [-100] * (ids.shape[1] - len(row)) for row in labels])
    outputs = model(input_ids=ids, attention_mask=mask)
    loss = LabelSmoother(epsilon=SMOOTHING)(outputs, padded)
    return {"ids": rows, "labels": labels, "loss": loss.item()}


def seq2seq(name):
    model = AutoModelForSeq2SeqLM.from_pretrained(MODELS / name).eval()
    rows, ids, mask = texts(model)
    size, end = model.config.vocab_size, model.config.eos_token_id
    targets = [torch.randint(5, size, (3 + row,)).tolist() + [end] for row in range(4)]
    longest = max(map(len, targets))
    labels = torch.tensor([row + [-100] * (longest - len(row)) for row in targets])
    begun = model.prepare_decoder_input_ids_from_labels(labels)
    outputs = model(input_ids=ids, attention_mask=mask, decoder_input_ids=begun)
    loss = LabelSmoother(epsilon=SMOOTHING)(outputs, labels)
    return {"model": name, "ids": rows, "targets": targets, "loss": loss.item()}


SENTENCES = [
    ["EU", "rejects", "German", "call", "to", "boycott", "British", "lamb", "."],
    ["Unbelievably", "long", "hyphen-ated", "words", "don't", "fit"],
    ["江", "泽", "民", "1", "9", "9", "8", "年"],
    ["\u200b", "whale"],
]


def words(kind):
    """How run_ner.py aligns words: the words of tokens, each sentence cut to 16 tokens."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(KINDS / f"{kind}.tokenizer.json"))
    answers = []
    for sentence in SENTENCES:
        encoding = tokenizer(sentence, is_split_into_words=True, truncation=True, max_length=16)
        of = [-1 if word is None else word for word in encoding.word_ids()]
        answers.append({"words": sentence, "ids": encoding["input_ids"], "of": of})
    return {"tokenizer": kind, "sentences": answers}


CONTEXT = (
    "The Transformer was introduced in 2017 by Vaswani and others. It has an encoder and a decoder, each of six "
    "layers. Attention takes the place of recurrence, which had been used in the networks before."
)
QUESTIONS = [
    ("When was the Transformer introduced?", "2017"),
    ("What takes the place of recurrence?", "Attention"),
    ("How many layers are there?", "six layers"),
    ("Who likes whales?", None),
]


def questions():
    """Features of run_qa.py; the search for the last token of the answer's start ends with the context."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(KINDS / "bert-uncased.tokenizer.json"))
    result = []
    for question, answer in QUESTIONS:
        encoding = tokenizer(
            question,
            CONTEXT,
            truncation="only_second",
            max_length=48,
            stride=12,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        windows = []
        for i, ids in enumerate(encoding["input_ids"]):
            offsets, sequences = encoding["offset_mapping"][i], encoding.sequence_ids(i)
            of = [at for at, sequence in enumerate(sequences) if sequence == 1]
            start = end = 0
            if answer is not None:
                begin = CONTEXT.index(answer)
                finish = begin + len(answer)
                if offsets[of[0]][0] <= begin and offsets[of[-1]][1] >= finish:
                    start = max(at for at in of if offsets[at][0] <= begin)
                    end = min(at for at in of if offsets[at][1] >= finish)
            windows.append({"ids": ids, "start": start, "end": end})
        result.append({"question": question, "answer": answer, "windows": windows})
    return {"context": CONTEXT, "questions": result}


expected = {
    "madeBy": made_by(__file__),
    "smoothing": SMOOTHING,
    "classification": classification(),
    "several": several(),
    "tagging": tagging(),
    "seq2seq": [seq2seq("t5"), seq2seq("bart"), seq2seq("marian")],
    "words": [words("bert-cased"), words("bert-uncased"), words("xlm-roberta")],
    "questions": questions(),
}
write_json(GOLDEN / "text-methods.json", expected)
