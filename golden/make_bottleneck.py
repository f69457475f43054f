"""Makes golden/bottleneck/<base>/<adapter>/: bottleneck adapters as Python's adapters saves them, for the models of
golden/peft and golden/models, and golden/bottleneck/<base>.json: what the models answer with them, and for some 30 steps
of AdamW. Runs in an environment of its own (golden/requirements-adapters.txt).

    python golden/make_bottleneck.py [BASE...]
"""

import copy
import os
import shutil
import sys
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"

import adapters
import torch
from adapters import BnConfig, DoubleSeqBnConfig, SeqBnConfig
from transformers import (
    AlbertForSequenceClassification,
    BertForSequenceClassification,
    DebertaV2ForSequenceClassification,
    DistilBertForSequenceClassification,
    ElectraForSequenceClassification,
    GPT2LMHeadModel,
    LlamaForCausalLM,
    MistralForCausalLM,
    RobertaForSequenceClassification,
)

from common import GOLDEN, made_by, tensor_json, write_json

STEPS, BATCHES, RATE = 30, 4, 1e-2
PFEIFFER, HOULSBY = SeqBnConfig(reduction_factor=4), DoubleSeqBnConfig(reduction_factor=2)
BOTH = {"pfeiffer": PFEIFFER, "houlsby": HOULSBY}
SECOND = {
    # the norm before both, the residual behind it; a factor for each layer; scaled
    "mixed": BnConfig(
        mh_adapter=True, output_adapter=True, original_ln_before=True, residual_before_ln=False, non_linearity="gelu",
        reduction_factor={"0": 8, "default": 3}, scaling=0.5,
    ),
    "last": SeqBnConfig(reduction_factor=64, leave_out=[0], non_linearity="tanh"),
}
BASES = {
    "llama": (LlamaForCausalLM, "peft/llama", BOTH | SECOND),
    "gpt2": (GPT2LMHeadModel, "peft/gpt2", BOTH),
    "bert": (BertForSequenceClassification, "peft/bert", BOTH | SECOND),
    "mistral": (MistralForCausalLM, "decoders/mistral", BOTH),
    "roberta": (RobertaForSequenceClassification, "models/roberta-sequence-classification", BOTH),
    "electra": (ElectraForSequenceClassification, "models/electra-sequence-classification", BOTH),
    "distilbert": (DistilBertForSequenceClassification, "models/distilbert-sequence-classification", BOTH),
    "albert": (AlbertForSequenceClassification, "models/albert-sequence-classification", {"pfeiffer": PFEIFFER}),
    "deberta-v2": (DebertaV2ForSequenceClassification, "models/deberta-v2-sequence-classification", BOTH),
}
TRAINED = ["llama", "gpt2", "bert"]


def train(model, ids, labels):
    """Losses of the steps, and the adapter after them. Everything is as in evaluation: nothing is dropped."""
    parameters = [parameter for name, parameter in model.named_parameters() if "adapters." in name]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.01)
    losses = []
    for step in range(STEPS):
        loss = model(input_ids=ids[step % BATCHES], labels=labels[step % BATCHES]).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    final = {name: tensor_json(parameter.detach()) for name, parameter in model.named_parameters() if "adapters." in name}
    return losses, final


def make(base):
    cls, place, configs = BASES[base]
    torch.manual_seed(9000 + list(BASES).index(base))
    options = {"attn_implementation": "eager"}
    model = cls.from_pretrained(GOLDEN / place, **options).eval()
    vocabulary = model.config.vocab_size
    ids = torch.randint(3, vocabulary, (BATCHES, 2, 9))
    is_causal = "CausalLM" in cls.__name__ or "LMHead" in cls.__name__
    labels = ids if is_causal else torch.randint(0, model.config.num_labels, (BATCHES, 2))
    expected = {
        "madeBy": f"{made_by(__file__)}, adapters {adapters.__version__}", "base": place,
        "inputIds": ids.tolist(), "labels": labels.tolist(), "learningRate": RATE, "adapters": {},
    }
    for name, config in configs.items():
        adapted = copy.deepcopy(model)
        adapters.init(adapted)
        adapted.add_adapter(name, config=config)
        adapted.train_adapter(name)
        adapted.eval()
        with torch.no_grad():
            for key, parameter in adapted.named_parameters():
                if "adapters." in key:
                    parameter.copy_(torch.randn_like(parameter) * 0.3)
        folder = GOLDEN / "bottleneck" / base / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        # some as safetensors, some as torch.save
        adapted.save_adapter(str(folder), name, with_head=False, use_safetensors=name != "houlsby")
        case = {"logits": tensor_json(adapted(input_ids=ids[0]).logits.detach())}
        if base in TRAINED and name in BOTH:
            case["losses"], case["final"] = train(adapted, ids, labels)
        expected["adapters"][name] = case
    write_json(GOLDEN / "bottleneck" / f"{base}.json", expected)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    for name in sys.argv[1:] or BASES:
        make(name)
