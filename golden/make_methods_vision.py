"""Makes golden/methods-vision.json: the losses that transformers' Trainer computes of batches of pictures.

Pictures are read from the file itself, as base64 of PNG, so that both sides decode the same bytes.

    python golden/make_methods_vision.py
"""

import base64
import io

import numpy as np
import torch
from PIL import Image
from transformers import (
    AutoModelForImageClassification,
    CLIPModel,
    Trainer,
    TrainingArguments,
    ViTImageProcessorPil,
)

from common import GOLDEN, made_by, write_json

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

write_json(
    GOLDEN / "methods-vision.json",
    {"madeBy": made_by(__file__), "pictures": [data for _, data in pictures], "classification": cases, "clip": contrastive},
)
