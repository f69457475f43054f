"""Makes golden/methods-detection.json: losses, their parts and gradients that transformers' detectors compute of
batches of pictures with COCO's annotations, as their image processors prepare them; and COCO's numbers (pycocotools)
of what post_process_object_detection makes of some outputs.

Pictures are read from the file itself, as base64 of PNG, so that both sides decode the same bytes.

    python golden/make_methods_detection.py
"""

import base64
import contextlib
import io

import numpy as np
import pycocotools
import torch
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from transformers import (
    DetrForObjectDetection,
    DetrImageProcessorPil,
    YolosForObjectDetection,
    YolosImageProcessorPil,
)
from transformers.core_model_loading import revert_weight_conversion
from transformers.models.detr.modeling_detr import DetrObjectDetectionOutput

from common import GOLDEN, floats, made_by, write_json

torch.manual_seed(11)
rng = np.random.default_rng(11)
SIZES = [(30, 22), (24, 36), (40, 26)]
OBJECTS = [2, 0, 3]
CLASSES = 3


def picture(width, height):
    """Waves and a little noise, so that resizing changes it as it does a photo."""
    y, x = np.mgrid[0:height, 0:width]
    waves = np.stack([128 + 90 * np.sin(x / 4 + c) * np.cos(y / (3 + c)) for c in range(3)], -1)
    image = Image.fromarray(np.clip(waves + rng.normal(0, 12, waves.shape), 0, 255).astype(np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return image, base64.b64encode(buffer.getvalue()).decode()


def annotation(image_id, size, count):
    """COCO's: the last object of a picture with three is a crowd."""
    width, height = size
    objects = []
    for i in range(count):
        w, h = int(rng.integers(4, width // 2)), int(rng.integers(4, height // 2))
        x, y = int(rng.integers(0, width - w)) + 0.5 * (w % 2), int(rng.integers(0, height - h))
        box = [float(x), float(y), float(w), float(h)]
        objects.append({"bbox": box, "category_id": (image_id + i + 1) % CLASSES, "area": w * h, "iscrowd": int(i == 2)})
    return {"image_id": image_id, "annotations": objects}


pictures = [picture(*size) for size in SIZES]
images = [image for image, _ in pictures]
annotations = [annotation(i, size, count) for i, (size, count) in enumerate(zip(SIZES, OBJECTS))]


def prepared(processor, relative_to):
    """A padded batch; boxes are parts of the padded pictures, or of each one as it is by itself."""
    batch = processor(images=images, annotations=annotations, return_tensors="pt")
    labels = batch["labels"]
    if relative_to == "picture":
        labels = [processor(images=[i], annotations=[a], return_tensors="pt", pad_size=None)["labels"][0] for i, a in zip(images, annotations)]
    return batch, [{"class_labels": label["class_labels"], "boxes": label["boxes"].float()} for label in labels]


def gradients(model):
    """Of each parameter that is trained: the norm of its gradient, and its product with a fixed wave."""
    result = {}
    trained = {key: parameter.grad for key, parameter in model.named_parameters() if parameter.grad is not None}
    for key, gradient in revert_weight_conversion(model, trained).items():  # by the names of checkpoints
        flat = gradient.double().flatten()
        wave = torch.cos(torch.arange(flat.numel(), dtype=torch.float64))
        result[key] = [flat.norm().item(), (flat * wave).sum().item()]
    return result


def case(name, build, processor, relative_to, image, unfrozen=True, **config):
    model = build.from_pretrained(GOLDEN / "models" / name, **config).eval()
    if unfrozen and name.startswith("detr"):
        model.model.unfreeze_backbone()
    batch, labels = prepared(processor, relative_to)
    inputs = {"pixel_values": batch["pixel_values"]}
    if name.startswith("detr"):
        inputs["pixel_mask"] = batch["pixel_mask"]
    outputs = model(**inputs, labels=labels)
    outputs.loss.backward()
    return {
        "model": name,
        "image": image,
        "relativeTo": relative_to,
        "config": config,
        "shape": list(batch["pixel_values"].shape),
        "pixels": [batch["pixel_values"].double().sum().item(), batch["pixel_mask"].sum().item()],
        "boxes": [floats(label["boxes"]) for label in labels],
        "classes": [label["class_labels"].tolist() for label in labels],
        "loss": outputs.loss.item(),
        "parts": [outputs.loss_dict[key].item() for key in ["loss_ce", "loss_bbox", "loss_giou"]],
        "gradients": gradients(model),
    }


edges = {"shortest_edge": 16, "longest_edge": 22}
square = {"size": {"max_height": 24, "max_width": 24}, "pad_size": {"height": 24, "width": 24}}
weights = dict(class_cost=2, bbox_cost=3, giou_cost=1, bbox_loss_coefficient=4, giou_loss_coefficient=3, eos_coefficient=0.3, auxiliary_loss=True)
cases = [
    case("detr", DetrForObjectDetection, DetrImageProcessorPil(size=edges), "padded", {"shortestEdge": 16, "longestEdge": 22}),
    case("detr", DetrForObjectDetection, DetrImageProcessorPil(size=edges), "picture", {"shortestEdge": 16, "longestEdge": 22}),
    case("detr", DetrForObjectDetection, DetrImageProcessorPil(**square), "padded", {"size": 24}, **weights),
    case("yolos", YolosForObjectDetection, YolosImageProcessorPil(size={"shortest_edge": 32, "longest_edge": 48}), "padded", {"shortestEdge": 32, "longestEdge": 48}),
]


def scored():
    """Outputs whose boxes lie near the objects: what is made of them, and how pycocotools judges it."""
    queries = 5
    boxes, logits, truth, anno_id = [], [], [], 0
    for i, ((width, height), each) in enumerate(zip(SIZES, annotations)):
        own = torch.rand(queries, 4) * torch.tensor([0.6, 0.6, 0.3, 0.3]) + 0.1
        own_logits = torch.randn(queries, CLASSES + 1)
        for q, a in enumerate(each["annotations"]):
            x, y, w, h = a["bbox"]
            middle = torch.tensor([(x + w / 2) / width, (y + h / 2) / height, w / width, h / height])
            own[q] = middle * (1 + torch.randn(4) * 0.03)
            own_logits[q, a["category_id"]] += 3
            anno_id += 1
            truth.append({"id": anno_id, "image_id": i, **a})
        boxes.append(own)
        logits.append(own_logits)
    outputs = DetrObjectDetectionOutput(logits=torch.stack(logits), pred_boxes=torch.stack(boxes))
    sizes = torch.tensor([[height, width] for width, height in SIZES])
    results = DetrImageProcessorPil().post_process_object_detection(outputs, threshold=0.0, target_sizes=sizes)
    found = []
    for i, result in enumerate(results):
        for score, label, (left, top, right, bottom) in zip(result["scores"].tolist(), result["labels"].tolist(), result["boxes"].tolist()):
            found.append({"image_id": i, "category_id": label, "score": score, "bbox": [left, top, right - left, bottom - top]})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {"images": [{"id": i} for i in range(len(SIZES))], "annotations": truth, "categories": [{"id": i, "name": str(i)} for i in range(CLASSES)]}
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(found), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    precision = judge.eval["precision"][:, :, :, 0, -1]  # thresholds, recalls, classes
    by_class = [float(values[values > -1].mean()) if (values > -1).any() else -1 for values in np.moveaxis(precision, -1, 0)]
    return {
        "logits": floats(outputs.logits),
        "predBoxes": floats(outputs.pred_boxes),
        "queries": queries,
        "objects": [{"scores": floats(r["scores"]), "labels": r["labels"].tolist(), "boxes": floats(r["boxes"])} for r in results],
        "stats": judge.stats.tolist(),
        "byClass": by_class,
    }


write_json(
    GOLDEN / "methods-detection.json",
    {
        "madeBy": f"{made_by(__file__)}, pycocotools {getattr(pycocotools, '__version__', '2.0.11')}",
        "pictures": [data for _, data in pictures],
        "annotations": [each["annotations"] for each in annotations],
        "sizes": [list(size) for size in SIZES],
        "classes": [f"class {i}" for i in range(CLASSES)],
        "cases": cases,
        "scored": scored(),
    },
)
