"""Makes golden/methods-vision.json: the losses that transformers' Trainer computes of batches of pictures; and a small
convolutional network in PyTorch, its weights, outputs, loss and gradients in training.

Pictures are read from the file itself, as base64 of PNG, so that both sides decode the same bytes.

    python golden/make_methods_vision.py
"""

import base64
import io
import wave

import numpy as np
import torch
from PIL import Image
from transformers import (
    AutoModelForImageClassification,
    AutoTokenizer,
    CLIPModel,
    Trainer,
    TrainingArguments,
    ViTImageProcessorPil,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

from common import GOLDEN, floats, made_by, write_json

torch.manual_seed(7)
rng = np.random.default_rng(7)


def picture(width, height):
    image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return image, base64.b64encode(buffer.getvalue()).decode()


def trainer_loss(model, inputs, smoothing):
    args = TrainingArguments(output_dir="/tmp/unused", label_smoothing_factor=smoothing, use_cpu=True, report_to=[])
    trainer = Trainer(model=model, args=args)
    model.eval()
    with torch.no_grad():
        return float(trainer.compute_loss(model, dict(inputs)))


cases = []
pictures = [picture(20 + 3 * i, 18 + 2 * i) for i in range(4)]
images = [image for image, _ in pictures]
labels = [2, 0, 1, 2]
for name, size in [("vit-image-classification", 16), ("resnet-basic", 24), ("convnext-image-classification", 20)]:
    model = AutoModelForImageClassification.from_pretrained(GOLDEN / "models" / name)
    side = getattr(model.config, "image_size", size)
    side = size if name != "vit-image-classification" else side
    settings = {"size": {"height": side, "width": side}, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.25, 0.3]}
    processor = ViTImageProcessorPil(**settings)
    inputs = processor(images, return_tensors="pt") | {"labels": torch.tensor(labels)}
    cases.append(
        {
            "model": name,
            "size": side,
            "mean": settings["image_mean"],
            "std": settings["image_std"],
            "labels": labels,
            "loss": trainer_loss(model, inputs, 0.0),
            "smoothed": trainer_loss(model, inputs, 0.1),
        }
    )

clip = CLIPModel.from_pretrained(GOLDEN / "models" / "clip")
side = clip.config.vision_config.image_size
processor = ViTImageProcessorPil(size={"height": side, "width": side}, image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.25, 0.3])
eos = clip.config.text_config.eos_token_id
ids = torch.randint(3, clip.config.text_config.vocab_size - 1, (4, 6))
ids[:, -1] = eos
pixels = processor(images, return_tensors="pt")["pixel_values"]
with torch.no_grad():
    loss = clip.eval()(input_ids=ids, pixel_values=pixels, return_loss=True).loss
contrastive = {"model": "clip", "size": side, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3], "ids": ids.tolist(), "loss": float(loss)}



def speech():
    """Whisper on a sound and its transcript, as Hugging Face's recipe of fine-tuning prepares them."""
    place = GOLDEN / "pipelines" / "models" / "whisper"
    with wave.open(str(GOLDEN / "audio" / "mono-16.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768
    features = WhisperFeatureExtractor.from_pretrained(place)(samples, sampling_rate=16000, return_tensors="pt").input_features
    tokenizer = AutoTokenizer.from_pretrained(place)
    tokenizer.set_prefix_tokens(language="english", task="transcribe")
    text = "call me ishmael"
    ids = tokenizer(text).input_ids
    model = WhisperForConditionalGeneration.from_pretrained(place)
    labels = torch.tensor([ids[1:]])  # the decoder's start is put in front again by the model
    return {"text": text, "labels": ids[1:], "loss": trainer_loss(model, {"input_features": features, "labels": labels}, 0.0)}


def convnet():
    """model_type convnet with two stages, by the names of its parameters here."""
    parts = {
        "convnet.stages.0.layers.0.convolution": torch.nn.Conv2d(1, 2, 3, padding=1, bias=False),
        "convnet.stages.0.layers.0.normalization": torch.nn.BatchNorm2d(2),
        "convnet.stages.1.layers.0.convolution": torch.nn.Conv2d(2, 3, 3, padding=1, bias=False),
        "convnet.stages.1.layers.0.normalization": torch.nn.BatchNorm2d(3),
        "classifier": torch.nn.Linear(3, 2),
    }
    first, first_norm, second, second_norm, head = parts.values()
    weights = {f"{name}.{key}": value.detach().clone() for name, part in parts.items() for key, value in part.state_dict().items()}
    images = torch.randint(-200, 200, (3, 1, 8, 8)) / 100
    targets = torch.tensor([0, 1, 1])

    def logits():
        x = torch.nn.functional.max_pool2d(first_norm(first(images)).relu(), 2)
        return head(torch.nn.functional.max_pool2d(second_norm(second(x)).relu(), 2).mean((2, 3)))

    for part in parts.values():
        part.eval()
    evaluated = logits()
    for part in parts.values():
        part.train()
    loss = torch.nn.functional.cross_entropy(logits(), targets)
    loss.backward()
    gradients = {f"{name}.{key}": value.grad for name, part in parts.items() for key, value in part.named_parameters()}
    pack = lambda tensors: {key: {"shape": list(value.shape), "data": floats(value)} for key, value in tensors.items() if value.dtype == torch.float32}
    return {
        "weights": pack(weights),
        "images": floats(images),
        "labels": targets.tolist(),
        "logits": floats(evaluated),
        "loss": loss.item(),
        "gradients": pack(gradients),
        "runningMean": floats(first_norm.running_mean),
    }


write_json(
    GOLDEN / "methods-vision.json",
    {"madeBy": made_by(__file__), "pictures": [data for _, data in pictures], "classification": cases, "clip": contrastive, "convnet": convnet(), "speech": speech()},
)
