"""Makes golden/augment/images.json: what torchvision makes of small Pillow pictures, for src/augment/images.

Each case is a function of src/augment/images, its arguments, and the bytes of the result in base64.

    python golden/make_augment.py
"""

import base64
import math

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from torchvision.transforms import InterpolationMode, autoaugment
from torchvision.transforms import functional as F

from common import GOLDEN, write_json

MODES = {"nearest": InterpolationMode.NEAREST, "bilinear": InterpolationMode.BILINEAR}


def pictures():
    """A photograph-like picture, its grey form, a square one, and one of few dark levels."""
    random = np.random.default_rng(19)
    y, x = np.mgrid[0:14, 0:19]
    waves = np.stack([128 + 100 * np.sin(x / 3 + c) * np.cos(y / (2 + c)) for c in range(3)], -1)
    color = np.clip(waves + random.normal(0, 25, waves.shape), 0, 255).astype(np.uint8)
    color[2:5, 3:9] = [250, 10, 10]
    color[8:11, 10:16] = 77
    return {
        "color": Image.fromarray(color),
        "gray": Image.fromarray(color).convert("L"),
        "square": Image.fromarray(np.ascontiguousarray(color[:9, :9])),
        "dark": Image.fromarray((color // 4 + 20).astype(np.uint8)),
    }


def packed(image):
    data = np.asarray(image)
    return {
        "width": image.width,
        "height": image.height,
        "channels": 1 if data.ndim == 2 else data.shape[2],
        "data": base64.b64encode(data.tobytes()).decode(),
    }


def affine(image, *, angle=0, translate=(0, 0), scale=1, shear=(0, 0), center=None, interpolation="nearest", fill=0):
    return F.affine(image, angle, list(translate), scale, list(shear), MODES[interpolation], fill, center)


def rotate(image, angle, *, interpolation="nearest", fill=0):
    return F.rotate(image, angle, MODES[interpolation], False, None, fill)


def crop(image, area, fill=0):
    left, top, width, height = (area[key] for key in ["left", "top", "width", "height"])
    return F.crop(image, top, left, height, width)


CALLS = {
    "cropImage": crop,
    "flipImage": lambda image, direction: F.hflip(image) if direction == "horizontal" else F.vflip(image),
    "rotateImage": lambda image, angle, options={}: rotate(image, angle, **options),
    "affineImage": lambda image, options: affine(image, **options),
    "adjustBrightness": F.adjust_brightness,
    "adjustContrast": F.adjust_contrast,
    "adjustSaturation": F.adjust_saturation,
    "adjustHue": F.adjust_hue,
    "adjustSharpness": F.adjust_sharpness,
    "grayscale": lambda image: F.to_grayscale(image, 3 if image.mode == "RGB" else 1),
    "invert": F.invert,
    "posterize": F.posterize,
    "solarize": F.solarize,
    "autocontrast": F.autocontrast,
    "equalize": F.equalize,
    "gaussianBlur": lambda image, options: F.gaussian_blur(image, options["kernelSize"], options.get("sigma")),
}

CASES = [
    ("cropImage", "color", [{"left": 3, "top": 2, "width": 8, "height": 7}]),
    ("cropImage", "color", [{"left": -2, "top": 9, "width": 8, "height": 8}]),
    ("flipImage", "color", ["horizontal"]),
    ("flipImage", "gray", ["vertical"]),
    ("rotateImage", "color", [17.5]),
    ("rotateImage", "color", [-40, {"interpolation": "bilinear", "fill": [9, 8, 7]}]),
    ("rotateImage", "gray", [200, {"interpolation": "bilinear"}]),
    ("rotateImage", "color", [180]),
    ("rotateImage", "color", [90]),
    ("rotateImage", "square", [90]),
    ("rotateImage", "square", [-90]),
    ("affineImage", "color", [{"angle": 30, "translate": [2, -1], "scale": 1.3, "shear": [10, -5]}]),
    ("affineImage", "color", [{"angle": -12, "scale": 0.7, "shear": [0, 20], "interpolation": "bilinear", "fill": 128}]),
    ("affineImage", "gray", [{"translate": [3, 2], "fill": 200}]),
    ("affineImage", "color", [{"scale": 1.37}]),
    ("affineImage", "color", [{"shear": [math.degrees(math.atan(0.3)), 0], "center": [0, 0]}]),
    ("affineImage", "color", [{"shear": [0, math.degrees(math.atan(-0.21))], "center": [0, 0]}]),
    ("affineImage", "gray", [{"scale": 0.0004, "angle": 31}]),
    *[("adjustBrightness", "color", [f]) for f in [0, 0.37, 1.9]],
    ("adjustBrightness", "gray", [0.63]),
    *[("adjustContrast", "color", [f]) for f in [0, 0.41, 1.75]],
    ("adjustContrast", "gray", [1.3]),
    *[("adjustSaturation", "color", [f]) for f in [0, 0.5, 2.2]],
    ("adjustSaturation", "gray", [0.4]),
    *[("adjustHue", "color", [f]) for f in [-0.5, -0.13, 0.2, 0.5]],
    *[("adjustSharpness", "color", [f]) for f in [0, 0.3, 1.9]],
    ("adjustSharpness", "gray", [1.5]),
    ("grayscale", "color", []),
    ("invert", "color", []),
    *[("posterize", "color", [b]) for b in [1, 4, 7]],
    *[("solarize", "color", [t]) for t in [0, 100.5, 255]],
    ("autocontrast", "dark", []),
    ("autocontrast", "gray", []),
    ("equalize", "color", []),
    ("equalize", "dark", []),
    ("gaussianBlur", "color", [{"kernelSize": 5, "sigma": 1.1}]),
    ("gaussianBlur", "gray", [{"kernelSize": 3}]),
]


def spaces(image):
    return {
        "randAugment": autoaugment.RandAugment()._augmentation_space(31, (image.height, image.width)),
        "trivialAugment": autoaugment.TrivialAugmentWide()._augmentation_space(31),
    }


def magnitudes(image):
    """The strength of every level of every operation."""
    return {
        policy: {name: values.to(torch.float64).tolist() for name, (values, _) in space.items() if values.ndim > 0}
        for policy, space in spaces(image).items()
    }


def policies(images):
    """Every operation of RandAugment and of TrivialAugmentWide, on the square picture, at some of its strengths, of both signs."""
    image = images["square"]
    for policy, space in spaces(image).items():
        for name, (magnitudes, is_signed) in space.items():
            for level in [7] if magnitudes.ndim == 0 else [4, 9, 30] if policy == "randAugment" else [5, 17]:
                magnitude = 0.0 if magnitudes.ndim == 0 else float(magnitudes[level].item())
                sign = -1 if is_signed and level % 2 == 1 else 1
                result = autoaugment._apply_op(image, name, sign * magnitude, MODES["nearest"], None)
                yield {"policy": policy, "op": name, "level": level, "sign": sign, "data": packed(result)["data"]}


def normalized(images):
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    values = F.normalize(F.to_tensor(images["square"]), mean, std)
    return {"mean": mean, "std": std, "data": base64.b64encode(values.numpy().tobytes()).decode()}


def mixtures():
    """torchvision's MixUp and CutMix of a batch, with the numbers that they drew."""
    from torchvision.transforms import v2

    torch.manual_seed(3)
    inputs, labels = torch.randn(4, 2, 5, 6), torch.tensor([0, 2, 1, 2])
    for name, kind in [("mixup", v2.MixUp), ("cutmix", v2.CutMix)]:
        transform = kind(alpha=0.8, num_classes=3)
        drawn, make = {}, transform.make_params
        transform.make_params = lambda flat, make=make, drawn=drawn: drawn.update(make(flat)) or dict(drawn)
        mixed, soft = transform(inputs, labels)
        numbers = {key: [int(v) for v in value] if key == "box" else float(value)
                   for key, value in drawn.items() if key in ("lam", "box", "lam_adjusted")}
        yield name, {**numbers, "inputs": mixed.ravel().tolist(), "labels": soft.ravel().tolist()}
    yield "batch", {"shape": list(inputs.shape), "inputs": inputs.ravel().tolist(), "labels": labels.tolist()}


def main():
    images = pictures()
    cases = [
        {"call": call, "image": image, "args": args, "result": packed(CALLS[call](images[image], *args))}
        for call, image, args in CASES
    ]
    write_json(
        GOLDEN / "augment" / "images.json",
        {
            "madeBy": f"golden/make_augment.py, torch {torch.__version__.split('+')[0]}, "
            f"torchvision {torchvision.__version__.split('+')[0]}, pillow {PIL.__version__}",
            "images": {name: packed(image) for name, image in images.items()},
            "cases": cases,
            "magnitudes": magnitudes(images["color"]),
            "policies": list(policies(images)),
            "normalized": normalized(images),
            "mixtures": dict(mixtures()),
        },
    )


if __name__ == "__main__":
    main()
