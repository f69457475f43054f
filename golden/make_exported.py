"""Makes golden/models-onnx/: golden models as PyTorch's exporter writes them to ONNX, beside their config.json.

    python golden/make_exported.py

The exporter keeps the names of most weights; those of linear layers it turns round and numbers.
"""

import shutil
import warnings

import torch
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification, T5EncoderModel

from common import GOLDEN

OUT = GOLDEN / "models-onnx"
ids = torch.tensor([[5, 6, 7, 8, 9, 10]])
CASES = {
    "bert-masked-lm": (AutoModelForMaskedLM, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}),
    "t5-encoder": (T5EncoderModel, {"input_ids": ids}),
    "electra-sequence-classification": (AutoModelForSequenceClassification, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}),
}

warnings.simplefilter("ignore")
for name, (auto, inputs) in CASES.items():
    model = auto.from_pretrained(GOLDEN / "models" / name, attn_implementation="eager").eval()
    folder = OUT / name
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    shutil.copy(GOLDEN / "models" / name / "config.json", folder)
    torch.onnx.export(model, (), folder / "onnx" / "model.onnx", kwargs=inputs, input_names=list(inputs), dynamo=False, opset_version=18)
