"""Opens with transformers the LLaVA that method llava puts together of golden's CLIP and language models of several families, and with chat templates
of others, and compares the loss of a row. Writes nothing; prints the losses and what is refused.

Run from the repository root after npm run build, with the versions in golden/requirements.txt:

    python golden/check_llava.py
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from PIL import Image

transformers.logging.set_verbosity_error()
FAMILIES = ["llama", "mistral", "qwen2", "qwen3", "phi3", "gemma", "gemma3", "olmo2", "glm4", "smollm3"]
TRAIN = """
const { methods, resolveConfig, runMethod } = await import(process.argv[1]);
const { model, golden, folder, tokenizer } = JSON.parse(process.argv[2]);
const input = {
  method: { name: "llava", stage: "projector", generated: 0 },
  model: { vision: `${golden}/pipelines/models/clip`, language: model },
  tokenizer,
  data: { train: `${folder}/rows.json`, validation: `${folder}/rows.json`, maxLength: 256 },
  training: { steps: 1, batchSize: 1 },
  output: `${folder}/run`,
};
const resolved = await resolveConfig(input, { methods, where: "check", folder, name: "check" });
for await (const event of runMethod(resolved, { onWarning: () => {}, trackers: [] }))
  if (event.type === "evaluation") console.log(JSON.stringify(event.validationLoss));
process.exit();
"""
ROW = {"image": "picture.png", "conversations": [{"from": "human", "value": "<image>\nwhat is it?"}, {"from": "gpt", "value": "a whale"}]}


def check(family, template, here, folder):
    image = Image.effect_noise((24, 18), 90).convert("RGB")
    image.save(folder / "picture.png")
    (folder / "rows.json").write_text(json.dumps([ROW]))
    library = (here.parent / "dist" / "methods" / "index.js").resolve().as_uri()
    language = shutil.copytree(here / "decoders" / family, folder / "language")
    config = json.loads((language / "config.json").read_text())
    (language / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 256}))
    tokenizer = folder / "tokenizer"
    tokenizer.mkdir()
    vocabulary = json.loads((here / "tokenizers" / "bpe-600.tokenizer.json").read_text())
    if template:  # a token in front of texts, which some templates write and processors put where they do not
        end = next(token for token in vocabulary["added_tokens"] if token["content"] == "<|endoftext|>")
        start = {"SpecialToken": {"id": end["content"], "type_id": 0}}
        texts = [{"Sequence": {"id": id, "type_id": 0}} for id in "AB"]
        special = {end["content"]: {"id": end["content"], "ids": [end["id"]], "tokens": [end["content"]]}}
        frame = {"type": "TemplateProcessing", "single": [start, texts[0]], "pair": [start, *texts], "special_tokens": special}
        vocabulary["post_processor"] = frame
    (tokenizer / "tokenizer.json").write_text(json.dumps(vocabulary))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
    (tokenizer / "tokenizer_config.json").write_text(json.dumps(settings | ({"chat_template": template} if template else {})))
    options = json.dumps({"model": str(language), "golden": str(here), "folder": str(folder), "tokenizer": str(tokenizer)})
    run = subprocess.run(["node", "--input-type=module", "-e", TRAIN, library, options], capture_output=True, text=True)
    if run.returncode:
        errors = [line for line in run.stderr.splitlines() if "Error" in line]
        return f"not trained: {errors[:1]}"
    ours = json.loads(run.stdout.splitlines()[-1])
    processor = transformers.AutoProcessor.from_pretrained(folder / "run" / "model", use_fast=False)
    model, info = transformers.LlavaForConditionalGeneration.from_pretrained(folder / "run" / "model", output_loading_info=True, attn_implementation="eager")
    lacking = {key: sorted(value)[:3] for key, value in info.items() if value}
    if lacking:
        return f"not loaded: {lacking}"
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what is it?"}]}, {"role": "assistant", "content": "a whale"}]
    render = lambda count: processor.apply_chat_template(messages[:count], tokenize=False, add_generation_prompt=count == 1)
    # as apply_chat_template does
    encode = lambda text: processor(images=image, text=text, return_tensors="pt", add_special_tokens=not text.startswith("<|endoftext|>"))
    inputs, before = encode(render(2)), encode(render(1))["input_ids"][0]
    labels = inputs["input_ids"].clone()
    labels[0, : len(before)] = -100
    # what a template writes behind the end of an answer is not learned
    behind = len(processor.tokenizer.encode(render(2)[len(render(2).rstrip()) :], add_special_tokens=False)) if template else 0
    if behind:
        labels[0, -behind:] = -100
    with torch.no_grad():
        theirs = float(model.eval()(**inputs, labels=labels).loss)
    return f"{ours:.6f} here, {theirs:.6f} by transformers" + ("" if abs(ours - theirs) < 2e-5 else ": NOT EQUAL")


here = Path(__file__).resolve().parent
failed = 0
# DeepSeek's begins an answer otherwise than it writes one: method sft refuses it too
files = [path for path in sorted((here / "chat-templates").glob("*.jinja")) if path.stem != "deepseek"]
templates = [("qwen2", path.read_text()) for path in files]
names = [path.stem for path in files]
cases = [*((family, family, None) for family in FAMILIES), *((f"qwen2, {name}", *pair) for name, pair in zip(names, templates))]
for name, family, template in cases:
    if sys.argv[1:] and not any(word in name for word in sys.argv[1:]):
        continue
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = check(family, template, here, Path(folder))
        except Exception as error:  # whatever it is, it is what a user would see
            result = f"refused: {' '.join(str(error).split())[:400]}"
        failed += "by transformers" not in result or "NOT" in result
        print(f"{name}: {result}", flush=True)
sys.exit(failed > 0)
