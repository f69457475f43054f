"""Opens with transformers what savePretrained writes of every golden model. Writes nothing; prints what is refused.

Run from the repository root after npm run build, with the versions in golden/requirements.txt:

    python golden/check_saved.py

The originals are transformers' own files, so whatever is refused is a fault of ours.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import transformers

transformers.logging.set_verbosity_error()
SAVE = """
const { fromPretrained, savePretrained } = await import(process.argv[1]);
for (const line of JSON.parse(process.argv[2])) {
  const model = await fromPretrained(line[0], { onWarning: () => {} });
  await savePretrained(model, line[1]);
  model.dispose();
}
process.exit();
"""
here = Path(__file__).parent
models = [path for group in ("models", "decoders") for path in sorted((here / group).iterdir())]
models = [path for path in models if (path / "model.safetensors").exists()]
refused = 0
with tempfile.TemporaryDirectory() as folder:
    pairs = [(str(path), f"{folder}/{path.parent.name}-{path.name}") for path in models]
    library = (here.parent / "dist" / "index.js").resolve().as_uri()
    subprocess.run(["node", "--input-type=module", "-e", SAVE, library, json.dumps(pairs)], check=True)
    for source, saved in pairs:
        architecture = json.loads(Path(saved, "config.json").read_text())["architectures"][0]
        try:
            getattr(transformers, architecture).from_pretrained(saved)
        except Exception as error:  # whatever it is, it is what a user would see
            refused += 1
            print(source, architecture, " ".join(str(error).split())[:300])
print(f"{len(pairs)} saved models, {refused} refused")
sys.exit(refused > 0)
