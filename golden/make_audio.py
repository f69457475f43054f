"""Makes golden/audio/: WAV files, the samples they hold, and the log-mel features of Whisper's feature extractor.

    python golden/make_audio.py
"""

import struct

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import WhisperFeatureExtractor

from common import GOLDEN, made_by, write_json

FOLDER = GOLDEN / "audio"
RATE = 16000
FRAMES = 140  # 132 frames see the 1.3 s of sound, the others silence
LAST_FRAMES = 4

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
SUBFORMAT_END = bytes.fromhex("00000000 1000 8000 00aa00389b71")


def chunk(name, data):
    """A RIFF chunk; its data end at an even place."""
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def wav(format_tag, channels, rate, bits, data, extensible=False, others=b""):
    """A WAV file; `others` are chunks between the header and the data."""
    frame = channels * bits // 8
    head = struct.pack("<HHIIHH", EXTENSIBLE if extensible else format_tag, channels, rate, rate * frame, frame, bits)
    if extensible:
        head += struct.pack("<HHIH", 22, bits, 3, format_tag) + SUBFORMAT_END  # 3: front left, front right
    return chunk(b"RIFF", b"WAVE" + chunk(b"fmt ", head) + others + chunk(b"data", data))


def sweep(seconds, rate, start, end):
    """A sine whose frequency goes from start to end in Hz."""
    time = np.arange(round(seconds * rate)) / rate
    return np.sin(2 * np.pi * (start * time + (end - start) * time**2 / (2 * seconds)))


def write(name, data):
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / name).write_bytes(data)


def mono(random):
    """1.3 s, 16 kHz, 16 bits: a sweep that fades in, with noise."""
    sound = 0.4 * sweep(1.3, RATE, 100, 6000) * np.linspace(0.05, 1, round(1.3 * RATE)) + 0.003 * random.standard_normal(round(1.3 * RATE))
    samples = np.round(sound * 32767).astype("<i2")
    write("mono-16.wav", wav(PCM, 1, RATE, 16, samples.tobytes()))
    return samples.astype(np.float32) / 32768


def stereo(random):
    """0.1 s, 8 kHz, two channels: once as 24-bit integers with an extensible header, once as float32 after chunks to skip."""
    sound = np.stack([0.9 * sweep(0.1, 8000, 200, 3000), 0.2 * random.standard_normal(800).clip(-4, 4)], axis=1)
    sound[0], sound[1] = 1, -1
    whole = np.clip(np.round(sound * 2**23), -(2**23), 2**23 - 1).astype("<i4")
    data = whole.reshape(-1, 1).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    write("stereo-24.wav", wav(PCM, 2, 8000, 24, data, extensible=True))
    reals = sound.astype("<f4")
    others = chunk(b"fact", struct.pack("<I", 800)) + chunk(b"LIST", b"INFO" + chunk(b"ICMT", b"a sweep and noise")) + chunk(b"junk", b"odd")
    write("stereo-f32.wav", wav(FLOAT, 2, 8000, 32, reals.tobytes(), others=others))
    return {"stereo-24": whole / np.float32(2**23), "stereo-f32": reals}


def features(samples, mels):
    extractor = WhisperFeatureExtractor(feature_size=mels)
    full = extractor(samples, sampling_rate=RATE, return_tensors="pt").input_features[0]  # [mels, 3000]
    first, last = full[:, :FRAMES].contiguous(), full[:, -LAST_FRAMES:].contiguous()
    save_file({"first_frames": first, "last_frames": last}, FOLDER / f"log-mel-{mels}.safetensors")
    save_file({"mel_filters": torch.from_numpy(extractor.mel_filters.T.astype(np.float32, order="C"))}, FOLDER / f"mel-filters-{mels}.safetensors")
    return {"shape": list(full.shape), "largest": full.max().item(), "smallest": full.min().item()}


if __name__ == "__main__":
    random = np.random.default_rng(11)
    samples = mono(random)
    channels = {"mono-16-start": samples[:400, None]} | stereo(random)
    save_file({name: torch.from_numpy(values.T.astype(np.float32, order="C")) for name, values in channels.items()}, FOLDER / "samples.safetensors")
    write_json(FOLDER / "expected.json", {"madeBy": made_by(__file__), "logMel": {str(mels): features(samples, mels) for mels in (80, 128)}})
