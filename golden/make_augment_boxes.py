"""Makes golden/augment/boxes.json: what torchvision's v2 transforms make of a small Pillow picture and the boxes in it.

Each case is a transform with parameters that leave nothing to chance; its boxes are clamped to the picture, and those of
less than a pixel are left out (ClampBoundingBoxes, SanitizeBoundingBoxes), as src/augment/images does.

    python golden/make_augment_boxes.py
"""

import base64

import numpy as np
import torch
import torchvision
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as F

from common import GOLDEN, write_json

WIDTH, HEIGHT = 37, 23
BOXES = [[2, 3, 14.5, 12], [20, 0, 37, 9.25], [5, 10, 9, 23], [30, 15, 36, 22], [0, 0, 37, 23]]

random = np.random.default_rng(23)
y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
waves = np.stack([128 + 100 * np.sin(x / 3 + c) * np.cos(y / (2 + c)) for c in range(3)], -1)
image = Image.fromarray(np.clip(waves + random.normal(0, 20, waves.shape), 0, 255).astype(np.uint8))


def cleaned(picture, boxes):
    sample = {"image": picture, "boxes": boxes, "labels": torch.arange(len(boxes))}
    return v2.SanitizeBoundingBoxes(min_size=1)(v2.ClampBoundingBoxes()(sample))


def case(name, options, transform):
    boxes = tv_tensors.BoundingBoxes(BOXES, format="XYXY", canvas_size=(HEIGHT, WIDTH), dtype=torch.float64)
    picture, boxes = transform(image, boxes)
    sample = cleaned(picture, boxes)
    return {
        "name": name,
        "options": options,
        "width": picture.width,
        "height": picture.height,
        "data": base64.b64encode(np.asarray(picture).tobytes()).decode(),
        "boxes": sample["boxes"].tolist(),
        "labels": sample["labels"].tolist(),
    }


def crop(left, top, width, height):
    return lambda picture, boxes: (F.crop(picture, top, left, height, width), F.crop(boxes, top, left, height, width))


def shortest(size, longest=None):
    return v2.RandomShortestSize(size, max_size=longest, interpolation=InterpolationMode.BILINEAR)


def turn(picture, boxes):
    return F.vertical_flip(picture), F.vertical_flip(boxes)


cases = [
    case("flip", {"direction": "horizontal"}, v2.RandomHorizontalFlip(p=1)),
    case("flip", {"direction": "vertical"}, turn),
    case("crop", {"left": 4, "top": 2, "width": 20, "height": 15}, crop(4, 2, 20, 15)),
    case("crop", {"left": 13, "top": 8, "width": 24, "height": 15}, crop(13, 8, 24, 15)),
    case("resize", {"width": 50, "height": 30}, v2.Resize((30, 50), interpolation=InterpolationMode.BILINEAR)),
    case("shortestSize", {"minSize": 31}, shortest(31)),
    case("shortestSize", {"minSize": 12}, shortest(12)),
    case("shortestSize", {"minSize": 40, "maxSize": 55}, shortest(40, 55)),
    case("shortestSize", {"minSize": 17, "maxSize": 64}, shortest(17, 64)),
]

# sizes alone: a factor is computed and cut to whole pixels, which must round alike
sizes = []
for _ in range(60):
    height, width = (int(n) for n in random.integers(40, 700, 2))
    size, longest = int(random.integers(30, 900)), int(random.integers(100, 1400))
    params = v2.RandomShortestSize(size, max_size=longest).make_params([torch.zeros(1, height, width)])
    sizes.append([width, height, size, longest, *params["size"][::-1]])

write_json(
    GOLDEN / "augment" / "boxes.json",
    {
        "madeBy": f"golden/make_augment_boxes.py, torchvision {torchvision.__version__.split('+')[0]}",
        "image": {"width": WIDTH, "height": HEIGHT, "channels": 3, "data": base64.b64encode(np.asarray(image).tobytes()).decode()},
        "boxes": BOXES,
        "cases": cases,
        "sizes": sizes,
    },
)
