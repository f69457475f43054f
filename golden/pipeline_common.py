"""What the pipeline scripts share: texts, calls, and what JSON holds of inputs and outputs; makes nothing when run."""

import struct

import numpy as np
import torch
from PIL import Image
from transformers.image_utils import load_image

from common import GOLDEN

FOLDER = GOLDEN / "pipelines"


def mask_runs(mask):
    """How often 0 stands at the start, then 255, then 0, ..."""
    flat = np.asarray(mask).ravel()
    ends = [0, *(np.flatnonzero(np.diff(flat)) + 1), len(flat)]
    runs = [int(end - start) for start, end in zip(ends, ends[1:])]
    return {"size": list(np.shape(mask)), "runs": runs if flat[0] == 0 else [0, *runs]}


def plain(value):
    """What JSON can hold."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, Image.Image):
        return mask_runs(value)
    if isinstance(value, torch.Tensor):
        return plain(value.tolist())
    if isinstance(value, (float, np.floating)):
        return float(str(np.float32(value)))
    if isinstance(value, str):
        return value.removeprefix(f"{GOLDEN}/")
    return int(value) if isinstance(value, np.integer) else value


def call(inputs, **options):
    return inputs, options


SAILOR = "Call me Ishmael. Some years ago I sailed from Nantucket with Queequeg, the harpooneer."
INN = "The landlord of the inn was an old man; his little bed was for the harpooneer!"
NIGHT = "It was a dark and stormy night."
LONG = f"{SAILOR} {INN} {NIGHT} But what is this on the head of Captain Ahab?"


def sound(path):
    """The samples of a WAV file with 16 bits and one channel."""
    data = path.read_bytes()
    place = data.index(b"data")
    count = struct.unpack("<I", data[place + 4 : place + 8])[0]
    return np.frombuffer(data, "<i2", count // 2, place + 8).astype(np.float32) / 32768


def loaded(value):
    """The inputs with pictures and sounds in place of their paths."""
    if isinstance(value, dict):
        return {key: str(GOLDEN / part) if key == "url" else loaded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [loaded(part) for part in value]
    if isinstance(value, str) and value.startswith("images/"):
        return load_image(str(GOLDEN / value))
    return sound(GOLDEN / value) if isinstance(value, str) and value.startswith("audio/") else value
