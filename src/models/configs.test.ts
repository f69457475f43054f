/**
 * Every key that the config classes of transformers know is read, refused, warned of, or listed here with the reason
 * why nothing follows from it.
 */
import { expect, test } from "vitest";
import golden from "../../golden/configs.json" with { type: "json" };
import type { FieldSpec } from "./config.ts";
import { families } from "./families.ts";
import type { ConfigFile, ConfigKeys, Family } from "./model.ts";

/** What a class of transformers knows. */
interface Known {
  keys: Record<string, unknown>;
  aliases: Record<string, string>;
  legacy: string[];
  parts?: Record<string, Known>;
}

/** Keys that families read outside of their fields. */
const readElsewhere: Readonly<Record<string, readonly string[]>> = {
  bart: ["num_labels"],
  clip: ["projection_dim", "logit_scale_init_value", "text_config_dict", "vision_config_dict"],
  detr: ["backbone", "dilation", "use_timm_backbone"],
  "detr.backbone_config": ["backbone"],
  gemma3_text: ["rope_local_base_freq", "sliding_window_pattern"],
  gpt_neox: ["rotary_emb_base", "rotary_pct"],
  llava: ["tie_word_embeddings"],
  modernbert: ["global_attn_every_n_layers", "global_rope_theta", "local_rope_theta"],
  mt5: ["feed_forward_proj"],
  phi3: ["original_max_position_embeddings"],
  t5: ["feed_forward_proj"],
  // in config.json of older models, for generation
  whisper: ["begin_suppress_tokens", "suppress_tokens", "bos_token_id"],
  marian: ["forced_eos_token_id", "bos_token_id"],
};

/** Keys that change nothing that is computed here. */
const withoutEffect: Readonly<Record<string, readonly string[]>> = {
  everywhere: [
    ...["use_cache", "torch_dtype", "num_labels"], // how transformers runs it
    // tokenizers and generation have them
    ...["bos_token_id", "eos_token_id", "pad_token_id", "cls_token_id", "sep_token_id", "forced_eos_token_id"],
    // for new weights, which are drawn as usual
    ...["initializer_factor", "initializer_range", "init_xavier_std", "initializer_cutoff_factor"],
    "encoder_stride", // of classes for masked images
    // of backbones
    ...["out_features", "out_indices", "_out_features", "_out_indices", "apply_layernorm", "reshape_hidden_states"],
    "is_decoder", // a decoder is one
  ],
  llama: ["pretraining_tp"], // the same product in pieces
  "llava.text_config": ["pretraining_tp"],
  deepseek_v3: ["pretraining_tp", "num_mtp_layers"],
  mixtral: ["router_aux_loss_coef"], // of output_router_logits
  qwen3_moe: ["router_aux_loss_coef"],
  // of classes that there are not
  gpt2: [
    ...["summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj"],
    "reorder_and_upcast_attn", // keeps the scores of a model in 16 bits in f32
  ],
  electra: ["summary_activation", "summary_last_dropout", "summary_type", "summary_use_proj"],
  gpt_neox: ["classifier_dropout"],
  t5: ["classifier_dropout"],
  mt5: ["classifier_dropout"],
  blip: [
    "image_text_hidden_size",
    "label_smoothing",
    "logit_scale_init_value",
    "projection_dim",
    "tie_word_embeddings",
  ],
  "blip.text_config": ["projection_dim", "encoder_hidden_size"], // the vision model's width
  "blip.vision_config": ["projection_dim"],
  detr: ["dice_loss_coefficient", "mask_loss_coefficient", "backbone_kwargs"],
  whisper: [
    ...["classifier_proj_size", "use_weighted_layer_sum"],
    ...[
      "mask_feature_length",
      "mask_feature_min_masks",
      "mask_feature_prob",
      "mask_time_length",
      "mask_time_min_masks",
      "mask_time_prob",
    ], // of apply_spec_augment
  ],
  mobilenet_v2: ["image_size", "semantic_loss_ignore_index"],
  convnext: ["image_size", "num_stages", "num_hidden_layers"], // the lists say it
  segformer: ["num_encoder_blocks", "num_hidden_layers", "layer_norm_eps"], // not read by transformers' layers either
  swin: ["num_hidden_layers"],
  distilbert: ["sinusoidal_pos_embds"], // for new weights
  "deberta-v2": ["pooler_hidden_size"], // can only be hidden_size
  llava: ["image_seq_length"], // of its processor
  modernbert: ["deterministic_flash_attn", "sparse_pred_ignore_index"],
  "detr.backbone_config": ["features_only", "freeze_batch_norm_2d"],
  "qwen2_vl.vision_config": ["partial_rotary_factor", "rope_parameters", "rope_scaling"],
};

const configFile = ({ configKeys }: Family): ConfigFile =>
  typeof configKeys === "function" ? configKeys({}) : configKeys;
const specs = (keys: ConfigKeys) => Object.values<FieldSpec>(keys.fields);

/** The keys of a class that nothing here speaks of. */
function unspoken(place: string, known: Known, keys: ConfigFile): string[] {
  const spoken = new Set([
    ...specs(keys).map(({ key }) => key),
    ...Object.keys({ ...keys.supported, ...keys.training, ...keys.aliases }),
    ...(keys.rope ? ["rope_parameters", "rope_scaling", "rope_theta", "partial_rotary_factor"] : []),
    ...(readElsewhere[place] ?? []),
    ...(withoutEffect[place] ?? []),
    ...(withoutEffect.everywhere ?? []),
  ]);
  const all = [...Object.keys(known.keys), ...known.legacy, ...Object.keys(known.aliases)];
  const parts = Object.entries(known.parts ?? {}).flatMap(([name, part]) =>
    unspoken(`${place}.${name}`, part, keys.parts?.[name] ?? { fields: {} }),
  );
  return [...all.filter((key) => !spoken.has(key)).map((key) => `${place}: ${key}`), ...parts];
}

/** Families that transformers has too: others have no config of its to be compared with. */
const shared = [...families].filter(({ modelType }) => modelType !== "convnet");

test.each(shared.map((family) => [family.modelType, family] as const))("%s", (modelType, family) => {
  const known = (golden.families as unknown as Record<string, Known>)[modelType];
  expect(unspoken(modelType, known, configFile(family))).toEqual([]);
});

/** Fields whose default stands for a rule, or that are read from other keys. */
const derived: readonly string[] = [
  // see golden/ropes.json, and the rules of each family
  ...["rope_parameters", "layer_types", "no_rope_layers", "sliding_window"],
  ...["pooler_output_size", "num_decoder_layers", "n_inner", "decoder_vocab_size"], // null stands for another size
  ...["pos_att_type", "mixtral.head_dim", "deepseek_v3.num_key_value_heads"],
  ...["albert.classifier_dropout_prob", "modernbert.classifier_dropout"], // null stands for the default
];

/** Defaults that are not the class's. */
function otherDefaults(place: string, known: Known, keys: ConfigFile): unknown[] {
  const differing = specs(keys)
    .filter(
      ({ key }) => Object.hasOwn(known.keys, key) && !derived.includes(key) && !derived.includes(`${place}.${key}`),
    )
    .map(({ key, default: value }) => [`${place}.${key}`, value, known.keys[key]])
    .filter(([, ours, theirs]) => JSON.stringify(ours) !== JSON.stringify(theirs));
  return [
    ...differing,
    ...Object.entries(known.parts ?? {}).flatMap(([name, part]) =>
      otherDefaults(`${place}.${name}`, part, keys.parts?.[name] ?? { fields: {} }),
    ),
  ];
}

test.each(shared.map((family) => [family.modelType, family] as const))("defaults of %s", (modelType, family) => {
  const known = (golden.families as unknown as Record<string, Known>)[modelType];
  expect(otherDefaults(modelType, known, configFile(family))).toEqual([]);
});
