"""Makes golden/images/: small pictures, and what the image processors of transformers make of them.

The pictures are drawn here with fixed seeds; pixels.safetensors has them as PIL decodes them (u8, [H, W, C]).
<processor>/expected.safetensors has the pixel_values under the picture's name, or "pixel_values" and "pixel_mask" of all
pictures in one batch; <processor>/preprocessor_config.json is what the processor saves. The processors are those that
resize with PIL, as published results do; the torchvision ones differ in the last bits. Pillow is older than 13, which
resizes some tall pictures in another order of the two directions and so rounds otherwise.

    python golden/make_images.py
"""

from pathlib import Path

import numpy as np
import PIL
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file
from transformers import (
    BitImageProcessorPil,
    BlipImageProcessorPil,
    CLIPImageProcessorPil,
    ConvNextImageProcessorPil,
    DeiTImageProcessorPil,
    DetrImageProcessorPil,
    MobileNetV2ImageProcessorPil,
    SegformerImageProcessorPil,
    SiglipImageProcessorPil,
    ViTImageProcessorPil,
    YolosImageProcessorPil,
)

from common import GOLDEN

FOLDER = GOLDEN / "images"
MADE_BY = {"madeBy": f"golden/{Path(__file__).name}, transformers {transformers.__version__}, Pillow {PIL.__version__}, numpy {np.__version__}"}
RGB = ["tall", "wide", "photo"]
ALL = [*RGB, "gray", "alpha"]

# name: (width, height, channels, file)
PICTURES = {
    "tall": (37, 53, 3, "tall.png"),
    "wide": (64, 48, 3, "wide.png"),
    "gray": (30, 30, 1, "gray.png"),
    "alpha": (24, 20, 4, "alpha.png"),
    "photo": (45, 40, 3, "photo.jpg"),
}


def square(size):
    return {"height": size, "width": size}


# name: (processor, pictures); processors that convert to RGB take the gray and the transparent one too.
PROCESSORS = {
    "vit": (ViTImageProcessorPil(size=square(16)), RGB),
    "vit-enlarged": (ViTImageProcessorPil(size={"height": 40, "width": 44}), ["gray"]),
    "vit-nearest": (ViTImageProcessorPil(size=square(16), resample=0), ["tall"]),
    "vit-lanczos": (ViTImageProcessorPil(size=square(16), resample=1), ["tall"]),
    "deit": (DeiTImageProcessorPil(size=square(20), crop_size=square(16)), RGB),
    "dinov2": (BitImageProcessorPil(size={"shortest_edge": 18}, crop_size=square(16), image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]), ALL),
    "convnext": (ConvNextImageProcessorPil(size={"shortest_edge": 14}), RGB),
    "mobilenet-v2": (MobileNetV2ImageProcessorPil(size={"shortest_edge": 18}, crop_size=square(15)), RGB),
    "segformer": (SegformerImageProcessorPil(size=square(16)), RGB),
    "clip": (CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=square(16)), ALL),
    # The crop is larger than the picture in one direction or both: black borders.
    "clip-padded": (CLIPImageProcessorPil(size={"shortest_edge": 12}, crop_size={"height": 15, "width": 17}), ["tall", "wide", "gray"]),
    "siglip": (SiglipImageProcessorPil(size={"height": 16, "width": 20}), ALL),
    "siglip-enlarged": (SiglipImageProcessorPil(size={"height": 40, "width": 44}), ["gray"]),
    "blip": (BlipImageProcessorPil(size=square(16)), ALL),
}

# The longest edge limits one picture of two.
BATCHES = {
    "detr": (DetrImageProcessorPil(size={"shortest_edge": 16, "longest_edge": 22}), ["tall", "wide"]),
    "yolos": (YolosImageProcessorPil(size={"shortest_edge": 35, "longest_edge": 50}), ["tall", "wide"]),
}


def draw(name, width, height, channels):
    """A smooth gradient with a disc and a bar on it, and noise."""
    random = np.random.default_rng(sum(name.encode()))
    y, x = np.mgrid[:height, :width]
    slopes = random.uniform(-1, 1, (2, channels))
    image = 128 + 110 * (slopes[0] * (2 * x / width - 1)[..., None] + slopes[1] * (2 * y / height - 1)[..., None])
    disc = (x - 0.4 * width) ** 2 + (y - 0.3 * height) ** 2 < (0.2 * width) ** 2
    image[disc] = random.uniform(0, 255, channels)
    image[int(0.7 * height) : int(0.8 * height), width // 5 :] = random.uniform(0, 255, channels)
    image += random.normal(0, 12, image.shape)
    return Image.fromarray(image.clip(0, 255).round().astype(np.uint8).squeeze())


def main():
    FOLDER.mkdir(exist_ok=True)
    pictures, pixels = {}, {}
    for name, (width, height, channels, file) in PICTURES.items():
        draw(name, width, height, channels).save(FOLDER / file, quality=90)
        pictures[name] = Image.open(FOLDER / file)
        pixels[name] = torch.tensor(np.array(pictures[name])).reshape(height, width, channels)
    save_file(pixels, FOLDER / "pixels.safetensors", metadata=MADE_BY)

    for folder, (processor, names) in PROCESSORS.items():
        values = {}
        for name in names:
            # without do_convert_rgb the channels must be three already
            picture = pictures[name] if processor.do_convert_rgb else pictures[name].convert("RGB")
            values[name] = torch.tensor(np.stack(processor(picture)["pixel_values"])[0]).contiguous()
        save(folder, processor, values)
    for folder, (processor, names) in BATCHES.items():
        result = processor([pictures[name] for name in names], return_tensors="pt")
        save(folder, processor, {key: result[key].contiguous() for key in ["pixel_values", "pixel_mask"]})


def save(folder, processor, values):
    processor.save_pretrained(FOLDER / folder)
    save_file(values, FOLDER / folder / "expected.safetensors", metadata=MADE_BY)
    print(folder, {key: list(value.shape) for key, value in values.items()})


if __name__ == "__main__":
    main()
