"""Pictures in every mode that Pillow reads, and their pixels as transformers' pipelines see them: load_image, which ends in convert("RGB").

usage: python golden/make_image_colours.py
image-colours/profile.png has a profile of other primaries; its pixels are 20 x, 30 y, 90, as those of all pictures here."""

import json
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from transformers.image_utils import load_image

FOLDER = Path(__file__).parent / "image-colours"
WIDTH, HEIGHT = 12, 8


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png16(path, pixels, kind):
    """Pillow writes no PNG of 16 bits in colour."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, kind, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def gif_part(path, transparent):
    """A GIF whose one frame covers a part of it, which Pillow writes of moving pictures alone: two rows of three pixels at (4, 2), colours 1, 2, 3."""
    palette = bytes([200, 10, 20, 30, 210, 40, 50, 60, 220, 90, 100, 110])
    control = struct.pack("<BBBBHBB", 0x21, 0xF9, 4, int(transparent is not None), 0, transparent or 0, 0)
    screen = struct.pack("<HHBBB", WIDTH, HEIGHT, 0x80 | 1, 0, 0)
    frame = struct.pack("<BHHHHB", 0x2C, 4, 2, 3, 2, 0)
    codes = [4, 1, 2, 4, 3, 1, 4, 2, 3, 5]  # a clear code before each two pixels keeps codes at three bits
    bits = sum(code << 3 * i for i, code in enumerate(codes))
    data = bits.to_bytes((3 * len(codes) + 7) // 8, "little")
    path.write_bytes(b"GIF89a" + screen + palette + control + frame + bytes([2, len(data)]) + data + b"\0;")


y, x = np.mgrid[:HEIGHT, :WIDTH]
rgb = np.stack([20 * x, 30 * y, np.full_like(x, 90)], -1).astype(np.uint8)
picture = Image.fromarray(rgb)
gray = picture.convert("L")
profile = Image.open(FOLDER / "profile.png").info["icc_profile"]
alpha = Image.fromarray((20 * x).astype(np.uint8))
cmyk = Image.fromarray(np.stack([20 * x, 30 * y, 10 * x, 5 * y + 40], -1).astype(np.uint8), "CMYK")

picture.save(FOLDER / "profile.jpg", quality=95, subsampling=0, icc_profile=profile)
cmyk.save(FOLDER / "cmyk.jpg", quality=95)
cmyk.save(FOLDER / "cmyk-inks.tif")
gray.save(FOLDER / "gray.jpg", quality=95)
gray.save(FOLDER / "gray.png")
Image.merge("LA", [gray, alpha]).save(FOLDER / "gray-alpha.png")
Image.merge("RGBA", [*picture.split(), alpha]).save(FOLDER / "alpha.png")
gray.point(lambda value: 255 * (value > 80)).convert("1").save(FOLDER / "bits.png")
palette = picture.quantize(16)
palette.save(FOLDER / "palette.png")
palette.save(FOLDER / "palette-transparent.png", transparency=3)
palette.save(FOLDER / "palette.gif")
palette.save(FOLDER / "transparent.gif", transparency=3)
palette.save(FOLDER / "transparent-interlaced.gif", transparency=3, interlace=1)
palette.save(FOLDER / "moving.gif", save_all=True, append_images=[palette.rotate(180)], transparency=3, disposal=2, duration=50)
gif_part(FOLDER / "part.gif", transparent=None)
gif_part(FOLDER / "part-transparent.gif", transparent=2)
picture.save(FOLDER / "plain.webp", lossless=True)
exif = Image.Exif()
exif[0x0112] = 6
picture.save(FOLDER / "turned.jpg", quality=95, subsampling=0, exif=exif)
png16(FOLDER / "rgb16.png", rgb.astype(np.uint16).reshape(HEIGHT, -1) * 256 + 200, 2)
png16(FOLDER / "gray16.png", np.asarray(gray).astype(np.uint16) * 3, 0)
Image.fromarray(np.asarray(gray).astype(np.float32) / 2).save(FOLDER / "floats.tif")

expected = {}
for path in sorted(FOLDER.iterdir()):
    if path.suffix == ".json":
        continue
    pixels = np.asarray(load_image(str(path)))
    expected[path.name] = {"mode": Image.open(path).mode, "shape": list(pixels.shape), "data": pixels.flatten().tolist()}
(FOLDER / "expected.json").write_text(json.dumps(expected) + "\n")
