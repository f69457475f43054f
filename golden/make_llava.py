"""Makes golden/llava.json: the loss and gradients that transformers computes of a batch of conversations with pictures; and golden/llava-adapter/, an
adapter of peft for golden/pipelines/models/llava, with the loss of the same batch.

Texts and pictures go through the processors of golden/pipelines/models/; what is learned is told by the places of the answers in the text. Pictures are
kept as base64 of PNG, so that both sides decode the same bytes.

    python golden/make_llava.py
"""

import base64
import io
import json

import numpy as np
import torch
from PIL import Image
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForImageTextToText, AutoProcessor

from common import GOLDEN, floats, made_by, write_json

rng = np.random.default_rng(11)


def picture(width, height):
    image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return image, base64.b64encode(buffer.getvalue()).decode()


PICTURES = [picture(20, 18), picture(40, 24), picture(17, 33)]
# each: the messages as text and numbers of pictures
ROWS = [
    [("user", [0, "what is it?"]), ("assistant", ["a white whale"])],
    [("user", [1, 2, "which is larger?"]), ("assistant", ["the first one"]), ("user", ["and the other?"]), ("assistant", ["small"])],
    [("user", ["who is ahab?"]), ("assistant", ["the captain"])],
]


def message(role, content):
    return {"role": role, "content": [{"type": "text", "text": part} if isinstance(part, str) else {"type": "image"} for part in content]}


def common(ids, beginning):
    """How many tokens two texts begin with together."""
    return next((i for i, (a, b) in enumerate(zip(ids, beginning)) if a != b), len(beginning))


def encode(processor, row):
    """Ids, and which of them are learned: those of the answers without the line's end."""
    messages = [message(role, content) for role, content in row]
    images = [PICTURES[part][0] for _, content in row for part in content if isinstance(part, int)]
    text = processor.apply_chat_template(messages, tokenize=False)
    inputs = processor(text=[text], images=images or None, return_tensors="pt")
    ids = inputs["input_ids"][0].tolist()
    learned = [False] * len(ids)
    for i, (role, content) in enumerate(row):
        if role != "assistant":
            continue
        before = processor.apply_chat_template(messages[:i], tokenize=False, add_generation_prompt=True)
        after = before + content[0]
        expand = lambda part: processor(text=[part], images=images[: part.count(processor.image_token)] or None)["input_ids"][0]
        # a token across the border is the answer's
        start, end = common(ids, expand(before)), common(ids, expand(after))
        learned[start:end] = [True] * (end - start)
    return ids, learned, {key: value for key, value in inputs.items() if key in ("pixel_values", "image_grid_thw")}


def adapter_loss(model, compute):
    """The loss with an adapter of the language model, and a projector beside it, which are saved."""
    torch.manual_seed(3)
    config = LoraConfig(r=2, lora_alpha=8, target_modules=r".*language_model.*\.(q_proj|down_proj)", modules_to_save=["multi_modal_projector"])
    adapted = get_peft_model(model, config)
    with torch.no_grad():
        for key, value in adapted.named_parameters():
            if "lora_B" in key or "modules_to_save" in key:
                value.add_(torch.randn_like(value) * 0.3)
    adapted.save_pretrained(GOLDEN / "llava-adapter")
    (GOLDEN / "llava-adapter" / "README.md").unlink(missing_ok=True)
    path = GOLDEN / "llava-adapter" / "adapter_config.json"
    kept = json.loads(path.read_text()) | {"base_model_name_or_path": "pipelines/models/llava"}
    write_json(path, {key: value for key, value in kept.items() if value not in (None, {})})
    return float(compute(adapted.eval()).detach())


def case(name, gradients):
    folder = GOLDEN / "pipelines" / "models" / name
    processor = AutoProcessor.from_pretrained(folder, use_fast=False)
    model = AutoModelForImageTextToText.from_pretrained(folder, attn_implementation="eager").eval()
    rows = [encode(processor, row) for row in ROWS]
    width = max(len(ids) for ids, _, _ in rows)
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for i, (tokens, learned, _) in enumerate(rows):
        ids[i, : len(tokens)] = torch.tensor(tokens)
        mask[i, : len(tokens)] = 1
        labels[i, : len(tokens)] = torch.where(torch.tensor(learned), torch.tensor(tokens), -100)
    pictures = {key: torch.cat([inputs[key] for _, _, inputs in rows if key in inputs]) for key in rows[0][2]}
    extra = {"mm_token_type_ids": (ids == model.config.image_token_id).long()} if "image_grid_thw" in pictures else {}
    compute = lambda each: each(input_ids=ids, attention_mask=mask, labels=labels, **pictures, **extra).loss
    loss = compute(model)
    loss.backward()
    parameters = dict(model.named_parameters())
    gradients = {own: floats(parameters[key].grad) for own, key in gradients.items()}
    adapted = {"adapted": adapter_loss(model, compute)} if name == "llava" else {}
    return adapted | {
        "ids": [tokens for tokens, _, _ in rows],
        "learned": [[int(flag) for flag in learned] for _, learned, _ in rows],
        "loss": float(loss.detach()),
        "gradients": gradients,
    }


LLAVA = {
    **{f"multi_modal_projector.linear_{i}.{part}": f"model.multi_modal_projector.linear_{i}.{part}" for i in (1, 2) for part in ("weight", "bias")},
    "language_model.model.layers.0.self_attn.q_proj.weight": "model.language_model.layers.0.self_attn.q_proj.weight",
    "language_model.model.layers.1.mlp.down_proj.weight": "model.language_model.layers.1.mlp.down_proj.weight",
    "language_model.model.norm.weight": "model.language_model.norm.weight",
    "vision_tower.vision_model.encoder.layers.0.mlp.fc1.bias": "model.vision_tower.encoder.layers.0.mlp.fc1.bias",
}
QWEN = {
    **{f"visual.merger.mlp.{i}.bias": f"model.visual.merger.mlp.{i}.bias" for i in (0, 2)},
    "visual.merger.mlp.2.weight": "model.visual.merger.mlp.2.weight",
    "model.layers.0.self_attn.q_proj.weight": "model.language_model.layers.0.self_attn.q_proj.weight",
    "model.norm.weight": "model.language_model.norm.weight",
}

if __name__ == "__main__":
    cases = {"llava": case("llava", LLAVA), "qwen2-vl": case("qwen2-vl", QWEN)}
    rows = [[{"role": role, "content": content} for role, content in row] for row in ROWS]
    write_json(GOLDEN / "llava.json", {"madeBy": made_by(__file__), "pictures": [data for _, data in PICTURES], "rows": rows, "cases": cases})
