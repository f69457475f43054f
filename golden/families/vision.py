"""Image models: ViT, DeiT, DINOv2, Swin, ConvNeXt, ResNet, MobileNetV2, SegFormer, CLIP, SigLIP, YOLOS, DETR."""

from transformers import (
    CLIPConfig,
    CLIPForImageClassification,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    ConvNextConfig,
    ConvNextForImageClassification,
    ConvNextModel,
    DeiTConfig,
    DeiTForImageClassification,
    DeiTForImageClassificationWithTeacher,
    DeiTModel,
    DetrConfig,
    DetrForObjectDetection,
    Dinov2Config,
    Dinov2ForImageClassification,
    Dinov2Model,
    MobileNetV2Config,
    MobileNetV2ForImageClassification,
    MobileNetV2Model,
    ResNetConfig,
    ResNetForImageClassification,
    ResNetModel,
    SegformerConfig,
    SegformerForImageClassification,
    SegformerForSemanticSegmentation,
    SegformerModel,
    SiglipConfig,
    SiglipForImageClassification,
    SiglipModel,
    SwinConfig,
    SwinForImageClassification,
    SwinModel,
    ViTConfig,
    ViTForImageClassification,
    ViTModel,
    YolosConfig,
    YolosForObjectDetection,
)

from .common import Case, ids

import torch

LABELS = 3
SIZES = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=24)
VIT = dict(**SIZES, image_size=16, patch_size=4)
DINOV2 = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=4, mlp_ratio=2, image_size=16, patch_size=4)
POOLED = ["last_hidden_state", "pooler_output"]


def pixels(batch, height, width):
    """Random images whose values have two decimals, so that the files stay small."""
    return torch.randint(-200, 200, (batch, 3, height, width)) / 100


def images(*sizes):
    """One run for each size: its pixel_values, two images a run."""
    return [{"pixel_values": pixels(2, *size)} for size in sizes]


def interpolated(runs):
    """The same runs with position embeddings stretched to the image size."""
    return [run | {"interpolate_pos_encoding": True} for run in runs]


def vision(build, config, outputs, runs, scale=0.3):
    """A case without a loss. runs: a function that makes them, so that each case draws from its own seed."""
    return lambda: Case(build, config, runs(), outputs, scale=scale)


def classifier(build, config, size, outputs=("logits",), more=list, scale=0.3):
    """An image classifier with its loss; more: a function that makes further runs."""

    def case():
        first = {"pixel_values": pixels(3, *size)}
        return Case(build, config, [first, *more()], list(outputs), loss=first | {"labels": torch.tensor([0, 2, 1])}, scale=scale)

    return case


RESNET = dict(embedding_size=8, num_labels=LABELS)

CONVOLUTIONAL = {
    # Activation other than ReLU shows which layers keep ReLU; both places of the stride.
    "resnet": vision(
        ResNetModel,
        ResNetConfig(embedding_size=8, hidden_sizes=[16, 24], depths=[1, 2], hidden_act="gelu", downsample_in_first_stage=True, downsample_in_bottleneck=True),
        POOLED,
        lambda: images((32, 28)),
        scale=0.2,
    ),
    "resnet-basic": classifier(
        ResNetForImageClassification,
        ResNetConfig(**RESNET, hidden_sizes=[8, 12], depths=[2, 1], layer_type="basic", output_hidden_states=True),
        (24, 20),
        ["logits", "hidden_states.0", "hidden_states.1", "hidden_states.2"],
        scale=0.16,
    ),
    "resnet-bottleneck": classifier(
        ResNetForImageClassification,
        ResNetConfig(**RESNET, hidden_sizes=[16, 24], depths=[1, 2], output_hidden_states=True),
        (24, 20),
        ["logits", "hidden_states.1", "hidden_states.2"],
        scale=0.2,
    ),
    "convnext": vision(
        ConvNextModel,
        ConvNextConfig(hidden_sizes=[8, 12], depths=[2, 1], num_stages=2, layer_scale_init_value=0.0),
        POOLED,
        lambda: images((24, 24), (30, 23)),
    ),
    "convnext-image-classification": classifier(
        ConvNextForImageClassification,
        ConvNextConfig(hidden_sizes=[8, 12], depths=[1, 2], num_stages=2, num_labels=LABELS),
        (20, 24),
    ),
    # Symmetric padding, an expansion layer in the stem, dilation instead of stride after 8x, channels that round down too far.
    "mobilenet-v2": vision(
        MobileNetV2Model,
        MobileNetV2Config(
            depth_multiplier=0.05,
            depth_divisible_by=4,
            min_depth=4,
            expand_ratio=4.0,
            output_stride=8,
            first_layer_is_expansion=False,
            finegrained_output=False,
            tf_padding=False,
            output_hidden_states=True,
        ),
        [*POOLED, "hidden_states.0", "hidden_states.15"],
        lambda: images((24, 31)),
        scale=0.45,
    ),
    "mobilenet-v2-image-classification": classifier(
        MobileNetV2ForImageClassification,
        MobileNetV2Config(depth_multiplier=0.05, depth_divisible_by=4, min_depth=8, expand_ratio=3.0, finegrained_output=False, num_labels=LABELS),
        (24, 24),
        more=lambda: images((17, 22)),
        scale=0.4,
    ),
}

# The last size of each has as many patches as the configuration's, in another shape.
STRETCHED = [(24, 16), (8, 32)]

TRANSFORMERS = {
    "vit": vision(ViTModel, ViTConfig(**VIT), POOLED, lambda: images((16, 16)) + interpolated(images(*STRETCHED))),
    "vit-image-classification": classifier(ViTForImageClassification, ViTConfig(**VIT, qkv_bias=False, num_labels=LABELS), (16, 16)),
    "deit": vision(DeiTModel, DeiTConfig(**VIT), POOLED, lambda: images((16, 16)) + interpolated(images(*STRETCHED))),
    "deit-image-classification": classifier(DeiTForImageClassification, DeiTConfig(**VIT, num_labels=LABELS), (16, 16)),
    "deit-with-teacher": vision(
        DeiTForImageClassificationWithTeacher,
        DeiTConfig(**VIT, num_labels=LABELS),
        ["logits", "cls_logits", "distillation_logits"],
        lambda: images((16, 16)),
    ),
    "dinov2": vision(Dinov2Model, Dinov2Config(**DINOV2), POOLED, lambda: images((16, 16), (19, 19), *STRETCHED)),
    "dinov2-image-classification": classifier(Dinov2ForImageClassification, Dinov2Config(**DINOV2, num_labels=LABELS), (16, 16)),
    "dinov2-swiglu": classifier(
        Dinov2ForImageClassification,
        Dinov2Config(**DINOV2, use_swiglu_ffn=True, use_mask_token=False, num_labels=LABELS),
        (20, 16),
    ),
    # Grids of 12x12 and 6x6 with windows of 4: shifted windows, then padded ones. The odd size pads everywhere.
    "swin": vision(
        SwinModel,
        SwinConfig(image_size=24, patch_size=2, embed_dim=8, depths=[2, 2], num_heads=[2, 4], window_size=4, mlp_ratio=2.0, output_hidden_states=True),
        [*POOLED, "hidden_states.1"],
        lambda: images((24, 24), (21, 25)),
    ),
    # The second stage has one window, which is not shifted.
    "swin-image-classification": classifier(
        SwinForImageClassification,
        SwinConfig(
            image_size=16, patch_size=4, embed_dim=8, depths=[2, 2], num_heads=[2, 2], window_size=2, mlp_ratio=2.0, qkv_bias=False, use_absolute_embeddings=True, num_labels=LABELS
        ),
        (16, 16),
    ),
}

SEGFORMER = dict(
    num_encoder_blocks=2,
    depths=[2, 1],
    sr_ratios=[2, 1],
    hidden_sizes=[8, 12],
    patch_sizes=[7, 3],
    strides=[4, 2],
    num_attention_heads=[1, 2],
    mlp_ratios=[2, 2],
    decoder_hidden_size=10,
)


def segmentation():
    # no number is near the kink of the decoder's ReLU, where rounding would choose the gradient
    torch.manual_seed(341)
    first = {"pixel_values": pixels(2, 24, 32)}
    labels = torch.randint(LABELS, (2, 24, 32))
    labels[:, :5] = 255
    config = SegformerConfig(**SEGFORMER, num_labels=LABELS)
    return Case(SegformerForSemanticSegmentation, config, [first, *images((25, 27))], ["logits"], loss=first | {"labels": labels}, double=True)


SEGMENTERS = {
    "segformer": vision(SegformerModel, SegformerConfig(**SEGFORMER), ["last_hidden_state"], lambda: images((24, 32), (25, 27))),
    "segformer-image-classification": classifier(
        SegformerForImageClassification, SegformerConfig(**SEGFORMER, reshape_last_stage=False, num_labels=LABELS), (24, 16)
    ),
    "segformer-semantic-segmentation": segmentation,
}

VOCAB = 40
END = VOCAB - 1
CLIP_TEXT = dict(vocab_size=VOCAB, hidden_size=12, num_hidden_layers=2, num_attention_heads=2, intermediate_size=20, max_position_embeddings=10, projection_dim=10)
CLIP_VISION = dict(**VIT, projection_dim=10)
SIGLIP_TEXT = dict(**SIZES, vocab_size=VOCAB, max_position_embeddings=8)
SIMILARITY = ["logits_per_image", "logits_per_text", "image_embeds", "text_embeds", "vision_model_output.last_hidden_state"]


def captions(lengths, pad):
    """Ids that end with the highest one, then padding; input_ids and attention_mask."""
    rows = ids(END, len(lengths), max(lengths))
    for row, length in zip(rows, lengths):
        row[length - 1] = END
        row[length:] = pad
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return {"input_ids": rows, "attention_mask": mask.long()}


def pairs(build, config, pad):
    """Images and captions with the contrastive loss; a second run with another count of images, of another size."""

    def case():
        both = {"pixel_values": pixels(3, 16, 16)} | captions([8, 5, 3], pad)
        more = {"pixel_values": pixels(2, 20, 16), "interpolate_pos_encoding": True} | captions([4], pad)
        return Case(build, config, [both, more], SIMILARITY, loss=both | {"return_loss": True})

    return case


CONTRASTIVE = {
    # Padding is the end id, as in OpenAI's tokenizer: the first end counts.
    "clip": pairs(
        CLIPModel,
        CLIPConfig(text_config=CLIP_TEXT | {"eos_token_id": END}, vision_config=CLIP_VISION, projection_dim=10),
        pad=END,
    ),
    # The eos_token_id 2 of old configurations stands for the highest id of each row.
    "clip-text-projection": vision(
        CLIPTextModelWithProjection,
        CLIPTextConfig(**CLIP_TEXT, eos_token_id=2, hidden_act="gelu"),
        ["text_embeds", "last_hidden_state"],
        lambda: [captions([8, 5, 3], pad=0), {"input_ids": captions([6, 6], pad=0)["input_ids"]}],
    ),
    "clip-vision-projection": vision(
        CLIPVisionModelWithProjection,
        CLIPVisionConfig(**CLIP_VISION),
        ["image_embeds", "last_hidden_state"],
        lambda: images((16, 16)) + interpolated(images(*STRETCHED)),
    ),
    "clip-image-classification": classifier(
        CLIPForImageClassification, CLIPConfig(text_config=CLIP_TEXT, vision_config=CLIP_VISION, num_labels=LABELS), (16, 16)
    ),
    "siglip": pairs(SiglipModel, SiglipConfig(text_config=SIGLIP_TEXT, vision_config=VIT), pad=1),
    "siglip-image-classification": classifier(
        SiglipForImageClassification, SiglipConfig(text_config=SIGLIP_TEXT, vision_config=VIT, num_labels=LABELS), (16, 16)
    ),
}

YOLOS = dict(SIZES, num_hidden_layers=3, image_size=[16, 24], patch_size=4, num_detection_tokens=5, num_labels=LABELS)
DETECTED = ["logits", "pred_boxes", "last_hidden_state"]
DETR = dict(
    backbone_config=ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], out_features=["stage2"]),
    d_model=16,
    num_queries=5,
    encoder_layers=2,
    decoder_layers=2,
    encoder_attention_heads=4,
    decoder_attention_heads=2,
    encoder_ffn_dim=20,
    decoder_ffn_dim=24,
    num_labels=LABELS,
)


def padded_images():
    """Two images in one batch; the second is 21x30 with padding below and to the right."""
    values, mask = pixels(2, 30, 44), torch.ones(2, 30, 44, dtype=torch.long)
    mask[1, 21:] = 0
    mask[1, :, 30:] = 0
    return [{"pixel_values": values * mask[:, None], "pixel_mask": mask}, *images((24, 32))]


def detr(config):
    """The model with the weights of its backbone free, so that they are drawn anew."""
    model = DetrForObjectDetection(config)
    model.model.unfreeze_backbone()
    return model


def objects(*counts):
    """Classes and boxes of so many objects in each image; boxes do not reach over the edge. Weights do not depend on them."""
    labels, own = [], torch.Generator().manual_seed(len(counts))
    for count in counts:
        size = torch.randint(10, 60, (count, 2), generator=own) / 100
        centre = size / 2 + (1 - size) * torch.randint(0, 100, (count, 2), generator=own) / 100
        labels.append({"class_labels": torch.randint(0, LABELS, (count,), generator=own), "boxes": torch.cat([centre, size], -1)})
    return labels


def detector(build, config, runs, counts, outputs=DETECTED):
    """A detector with its loss on the images of the first run, which have so many objects."""

    def case():
        made = runs()
        return Case(build, config, made, list(outputs), loss=made[0] | {"labels": objects(*counts)}, scale=0.3)

    return case


DETECTORS = {
    "yolos": detector(YolosForObjectDetection, YolosConfig(**YOLOS), lambda: images((16, 24), (21, 28)), [3, 1]),
    "yolos-no-mid-positions": vision(YolosForObjectDetection, YolosConfig(**YOLOS, use_mid_position_embeddings=False), DETECTED, lambda: images((12, 16))),
    "detr": detector(detr, DetrConfig(**DETR), padded_images, [2, 0], [*DETECTED, "encoder_last_hidden_state"]),
    # more objects than queries; other weights of everything
    "detr-auxiliary-loss": detector(
        detr,
        DetrConfig(**DETR, auxiliary_loss=True, class_cost=2, bbox_cost=3, giou_cost=1, bbox_loss_coefficient=4, giou_loss_coefficient=3, eos_coefficient=0.3),
        lambda: images((24, 32)),
        [7, 4],
    ),
}

CASES = CONVOLUTIONAL | TRANSFORMERS | SEGMENTERS | CONTRASTIVE | DETECTORS
