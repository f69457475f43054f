"""Opens with transformers the LLaVA that method llava puts together of golden's CLIP and language models of several families, and compares the
loss of a row. Writes nothing; prints the losses and what is refused.

Run from the repository root after npm run build, with the versions in golden/requirements.txt:

    python golden/check_llava.py
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from PIL import Image

transformers.logging.set_verbosity_error()
FAMILIES = ["llama", "mistral", "qwen2", "qwen3", "phi3", "gemma", "gemma2", "gemma3", "olmo2", "glm4", "smollm3", "mixtral"]
TRAIN = """
const { methods, resolveConfig, runMethod } = await import(process.argv[1]);
const { model, golden, folder } = JSON.parse(process.argv[2]);
const input = {
  method: { name: "llava", stage: "projector", generated: 0 },
  model: { vision: `${golden}/pipelines/models/clip`, language: model },
  tokenizer: `${golden}/tokenizers/bpe-600.tokenizer.json`,
  data: { train: `${folder}/rows.json`, validation: `${folder}/rows.json`, maxLength: 64 },
  training: { steps: 1, batchSize: 1 },
  output: `${folder}/run`,
};
const resolved = await resolveConfig(input, { methods, where: "check", folder, name: "check" });
for await (const event of runMethod(resolved, { onWarning: () => {}, trackers: [] }))
  if (event.type === "evaluation") console.log(JSON.stringify(event.validationLoss));
process.exit();
"""
ROW = {"image": "picture.png", "conversations": [{"from": "human", "value": "<image>\nwhat is it?"}, {"from": "gpt", "value": "a whale"}]}


def check(family, here, folder):
    image = Image.effect_noise((24, 18), 90).convert("RGB")
    image.save(folder / "picture.png")
    (folder / "rows.json").write_text(json.dumps([ROW]))
    library = (here.parent / "dist" / "methods" / "index.js").resolve().as_uri()
    options = json.dumps({"model": str(here / "decoders" / family), "golden": str(here), "folder": str(folder)})
    run = subprocess.run(["node", "--input-type=module", "-e", TRAIN, library, options], capture_output=True, text=True)
    if run.returncode:
        return f"not trained: {run.stderr.strip().splitlines()[-1][:300]}"
    ours = json.loads(run.stdout.splitlines()[-1])
    processor = transformers.AutoProcessor.from_pretrained(folder / "run" / "model", use_fast=False)
    model, info = transformers.LlavaForConditionalGeneration.from_pretrained(folder / "run" / "model", output_loading_info=True)
    lacking = {key: sorted(value)[:3] for key, value in info.items() if value}
    if lacking:
        return f"not loaded: {lacking}"
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what is it?"}]}, {"role": "assistant", "content": "a whale"}]
    render = lambda count: processor.apply_chat_template(messages[:count], tokenize=False, add_generation_prompt=count == 1)
    encode = lambda text: processor(images=image, text=text, return_tensors="pt")
    inputs, before = encode(render(2)), encode(render(1))["input_ids"][0]
    labels = inputs["input_ids"].clone()
    labels[0, : len(before)] = -100
    with torch.no_grad():
        theirs = float(model.eval()(**inputs, labels=labels).loss)
    return f"{ours:.6f} here, {theirs:.6f} by transformers" + ("" if abs(ours - theirs) < 2e-5 else ": NOT EQUAL")


here = Path(__file__).resolve().parent
failed = 0
for family in sys.argv[1:] or FAMILIES:
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = check(family, here, Path(folder))
        except Exception as error:  # whatever it is, it is what a user would see
            result = f"refused: {' '.join(str(error).split())[:400]}"
        failed += "by transformers" not in result or "NOT" in result
        print(f"{family}: {result}", flush=True)
sys.exit(failed > 0)
