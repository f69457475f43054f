"""Models that read images and write text: LLaVA, Qwen2-VL, BLIP captioning."""

from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.torch import load_file, save_file
from transformers import (
    BlipConfig,
    BlipForConditionalGeneration,
    LlavaConfig,
    LlavaForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
)

from .common import Case, ids
from .vision import pixels

import torch

VOCAB = 32
PAD, END, IMAGE, VIDEO, VISION_START, VISION_END = 0, 26, 28, 29, 30, 31
LOW, HIGH = 3, 26  # ids of ordinary text


def text(count):
    return ids(HIGH, count, low=LOW).tolist()


def batch(rows, side):
    """Rows of ids with padding: input_ids, attention_mask."""
    length = max(map(len, rows))
    fill = [length - len(row) for row in rows]
    if side == "left":
        padded = [[PAD] * count + row for count, row in zip(fill, rows)]
        mask = [[0] * count + [1] * len(row) for count, row in zip(fill, rows)]
    else:
        padded = [row + [PAD] * count for count, row in zip(fill, rows)]
        mask = [[1] * len(row) + [0] * count for count, row in zip(fill, rows)]
    return {"input_ids": torch.tensor(padded), "attention_mask": torch.tensor(mask)}


def labels(inputs):
    """The text to predict: not padding, not the places of images."""
    found = inputs["input_ids"].clone()
    found[(inputs["attention_mask"] == 0) | (found >= IMAGE)] = -100
    found[:, :3] = -100
    return found


# LLaVA

LLAVA_TEXT = dict(
    vocab_size=VOCAB, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, intermediate_size=24,
    bos_token_id=1, eos_token_id=END, pad_token_id=PAD,
)  # fmt: skip
LLAVA_VISION = dict(
    model_type="clip_vision_model", hidden_size=12, num_hidden_layers=3, num_attention_heads=3, intermediate_size=16, image_size=8, patch_size=4, projection_dim=8
)
PATCHES = 4


def as_on_the_hub(config):
    """LLaVA with the tensor names of its published files, where the vision model has a prefix of its own; transformers 5 keeps the names that it read."""
    with TemporaryDirectory() as folder:
        LlavaForConditionalGeneration(config).save_pretrained(folder)
        file = Path(folder) / "model.safetensors"
        tensors = {key.replace("vision_tower.", "vision_tower.vision_model."): value for key, value in load_file(file).items()}
        save_file(tensors, file, metadata={"format": "pt"})
        return LlavaForConditionalGeneration.from_pretrained(folder)


def llava(build, config, tokens, draw=0, scale=0.25):
    """tokens: how many places an image takes."""

    def case():
        torch.manual_seed(torch.initial_seed() + draw)
        image = [IMAGE] * tokens
        one = batch([text(2) + image + text(4), text(1) + image + text(5)], "left") | {"pixel_values": pixels(2, 8, 8)}
        # Two images in one row, none in the next.
        two = batch([text(1) + image + text(2) + image + text(3), text(6)], "left") | {"pixel_values": pixels(2, 8, 8)}
        right = batch([text(3) + image + text(5), image + text(3)], "right") | {"pixel_values": pixels(2, 8, 8)}
        prompts = [batch([[1] + image + text(3)], "left") | {"pixel_values": pixels(1, 8, 8)}, batch([[1] + text(4)], "left")]
        return Case(build, config, [one, two, right], ["logits"], right | {"labels": labels(right)}, prompts, scale=scale)

    return case


# Qwen2-VL

QWEN2_VL_TEXT = dict(
    vocab_size=VOCAB, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, intermediate_size=16,
    bos_token_id=1, eos_token_id=END, pad_token_id=PAD, rope_parameters={"rope_type": "default", "rope_theta": 1000.0, "mrope_section": [2, 1, 1]},
)  # fmt: skip
QWEN2_VL_VISION = dict(depth=1, embed_dim=16, hidden_size=16, num_heads=2, mlp_ratio=2, patch_size=2, temporal_patch_size=2, spatial_merge_size=2)
QWEN2_VL = dict(tie_word_embeddings=True, image_token_id=IMAGE, video_token_id=VIDEO, vision_start_token_id=VISION_START, vision_end_token_id=VISION_END)
PATCH, MERGE, FRAMES = 2, 2, 2


class HubQwen2VLConfig(Qwen2VLConfig):
    """Writes config.json as the files on the Hub have it: the text model's keys at the top. transformers 5 writes text_config."""

    def to_dict(self):
        keys = super().to_dict()
        text_keys, vision = keys.pop("text_config"), dict(keys["vision_config"])
        rope = text_keys.pop("rope_parameters")
        for key in ["model_type", "layer_types"]:
            text_keys.pop(key)
        for key in ["model_type", "rope_parameters", "in_channels"]:
            vision.pop(key)
        scaling = {"type": "mrope", "mrope_section": rope["mrope_section"]}
        return text_keys | keys | {"vision_config": vision | {"in_chans": 3}, "rope_theta": rope["rope_theta"], "rope_scaling": scaling}


def patches(*grids):
    """Random images or videos of these grids of patches (time, height, width) as the processor lays them out: [patches, C * 2 * 2 * 2].

    Rows go through blocks of 2x2 patches, so that the four that are merged stand together; an image is repeated in time.
    """
    found = []
    for time, height, width in grids:
        frames = pixels(time * (1 if time == 1 else FRAMES), height * PATCH, width * PATCH)
        if time == 1:
            frames = frames.repeat(FRAMES, 1, 1, 1)
        blocks = frames.reshape(time, FRAMES, 3, height // MERGE, MERGE, PATCH, width // MERGE, MERGE, PATCH)
        found.append(blocks.permute(0, 3, 6, 4, 7, 2, 1, 5, 8).reshape(time * height * width, -1))
    return torch.cat(found), torch.tensor(grids)


def places(token, grid):
    """What stands for an image or a video in the text."""
    return [VISION_START] + [token] * (grid[0] * grid[1] * grid[2] // MERGE**2) + [VISION_END]


def qwen2_vl_inputs(rows, images=(), videos=(), side="left"):
    inputs = batch(rows, side)
    kinds = (inputs["input_ids"] == IMAGE).long() + 2 * (inputs["input_ids"] == VIDEO).long()
    if images:
        inputs["pixel_values"], inputs["image_grid_thw"] = patches(*images)
    if videos:
        inputs["pixel_values_videos"], inputs["video_grid_thw"] = patches(*videos)
    return inputs | {"mm_token_type_ids": kinds}


def with_positions(config):
    """A model whose result also has position_ids [3, B, T] and rope_deltas [B, 1]."""
    model = Qwen2VLForConditionalGeneration(config)
    forward = model.forward

    @wraps(forward)
    def forward_with_positions(**inputs):
        result = forward(**inputs)
        keys = ["input_ids", "mm_token_type_ids", "image_grid_thw", "video_grid_thw", "attention_mask"]
        if "image_grid_thw" in inputs and inputs.get("position_ids") is None:
            result.position_ids, result.rope_deltas = model.model.get_rope_index(**{key: inputs[key] for key in keys if key in inputs})
        return result

    model.forward = forward_with_positions
    return model


def qwen2_vl(draw=0, scale=0.25):
    def case():
        torch.manual_seed(torch.initial_seed() + draw)
        small, tall, square, film = (1, 2, 2), (1, 4, 2), (1, 4, 4), (2, 2, 4)
        # Two images in one row, a video in the next.
        mixed = qwen2_vl_inputs([places(IMAGE, small) + text(1) + places(IMAGE, tall) + text(2), text(2) + places(VIDEO, film) + text(1)], [small, tall], [film])
        right = qwen2_vl_inputs([text(1) + places(IMAGE, square) + text(3), text(5)], [square], side="right")
        prompts = [qwen2_vl_inputs([text(2) + places(IMAGE, tall) + text(2)], [tall]), qwen2_vl_inputs([text(4)])]
        outputs = ["logits", "position_ids", "rope_deltas"]
        config = HubQwen2VLConfig(text_config=QWEN2_VL_TEXT, vision_config=QWEN2_VL_VISION, **QWEN2_VL)
        return Case(with_positions, config, [mixed, right], outputs, right | {"labels": labels(right)}, prompts, scale=scale)

    return case


# BLIP

BLIP_TEXT = dict(
    vocab_size=VOCAB, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=20, max_position_embeddings=20,
    bos_token_id=28, eos_token_id=2, sep_token_id=27, pad_token_id=PAD, label_smoothing=0.1, projection_dim=16,
)  # fmt: skip
BLIP_VISION = dict(hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=16, image_size=8, patch_size=4)
BLIP_START, BLIP_END = 28, 27


def blip(draw=0, scale=0.25):
    def case():
        torch.manual_seed(torch.initial_seed() + draw)
        captions = batch([[BLIP_START, *text(5), BLIP_END], [BLIP_START, *text(3), BLIP_END]], "right")
        first = {"pixel_values": pixels(2, 8, 8)} | captions
        larger = {"pixel_values": pixels(2, 12, 8), "interpolate_pos_encoding": True} | captions
        answers = captions["input_ids"].masked_fill(captions["attention_mask"] == 0, -100)
        prompts = [{"pixel_values": pixels(1, 8, 8)}, {"pixel_values": pixels(1, 8, 8)} | batch([[BLIP_START, *text(2), BLIP_END]], "right")]
        config = BlipConfig(text_config=BLIP_TEXT, vision_config=BLIP_VISION, projection_dim=8, image_text_hidden_size=8)
        return Case(BlipForConditionalGeneration, config, [first, larger], ["logits", "image_embeds"], first | {"labels": answers}, prompts, scale=scale)

    return case


# `draw` and `scale` are chosen so that greedy choices vary and are clear, and that logits of float32 are within 4e-6 of those of float64.
CASES = {
    "llava": llava(
        as_on_the_hub,
        LlavaConfig(vision_config=LLAVA_VISION, text_config=dict(LLAVA_TEXT, model_type="llama"), image_token_index=IMAGE, image_seq_length=PATCHES),
        PATCHES,
        draw=32,
    ),
    # Several layers of the vision model, with the class token; a Qwen2 with tied embeddings writes.
    "llava-layers": llava(
        LlavaForConditionalGeneration,
        LlavaConfig(
            vision_config=LLAVA_VISION,
            text_config=dict(LLAVA_TEXT, model_type="qwen2", tie_word_embeddings=True),
            image_token_index=IMAGE,
            image_seq_length=PATCHES + 1,
            vision_feature_layer=[-2, 1],
            vision_feature_select_strategy="full",
            multimodal_projector_bias=False,
            projector_hidden_act="relu",
        ),
        PATCHES + 1,
        draw=12,
    ),
    "qwen2-vl": qwen2_vl(draw=16, scale=0.3),
    "blip": blip(draw=15),
}
