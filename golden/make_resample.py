"""Makes golden/audio/resample.json: a part of mono-16.wav at other sampling rates, as torchaudio makes it.

    pip install --no-deps --target FOLDER torchaudio==2.11.0
    PYTHONPATH=FOLDER python golden/make_resample.py

In a folder of its own, since there is no torchaudio of this torch's release, and another beside it breaks transformers.
"""

import json
import struct
from pathlib import Path

import numpy as np
import torch

torch.version.cuda = "13.0"  # what torchaudio was compiled for; of it only plain PyTorch is used
from torchaudio.functional import resample  # noqa: E402

AUDIO = Path(__file__).resolve().parent / "audio"
START, END = 4000, 4300
RATES = [(44100, 16000), (8000, 16000), (48000, 16000), (16000, 11025), (22050, 16000)]

data = (AUDIO / "mono-16.wav").read_bytes()
place = data.index(b"data")
count = struct.unpack("<I", data[place + 4 : place + 8])[0]
part = torch.from_numpy(np.frombuffer(data, "<i2", count // 2, place + 8)[START:END].astype(np.float32) / 32768)
rates = [{"from": old, "to": new, "data": [float(str(value)) for value in resample(part, old, new).numpy()]} for old, new in RATES]
made_by = f"golden/make_resample.py, torch {torch.__version__.split('+')[0]}"
text = json.dumps({"madeBy": made_by, "samples": [START, END], "rates": rates}, separators=(",", ":"))
(AUDIO / "resample.json").write_text(text + "\n", encoding="utf-8")
