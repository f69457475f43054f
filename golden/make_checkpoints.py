"""Makes golden/checkpoints.json: what transformers says of golden models whose files have more or fewer tensors than the model.

"leftovers" are names of tensors that files in the wild have beside a model's own; "{base}" stands for the name of the base model in the
class, with a dot. For each golden model (golden/models/<case> and so on):
    "base"        that name, "" in a base model itself
    "prefix"      the same, and a base model's own in models with a head
    "silent"      leftovers that are passed over without a word; of all others transformers warns
    "known"       leftovers that are tensors of this model, and so none
    "mayLack"     tensors that the file may lack without a word
    "refused"     tensors without which loading fails
    "withPrefix"  whether the file loads without a word when all names get the base model's in front
    "withoutPrefix"  or lose it

    python golden/make_checkpoints.py
"""

import copy

import torch
import transformers
from safetensors.torch import load_file

from common import GOLDEN, made_by, write_json

LEFTOVERS = """
{base}pooler.dense.weight {base}pooler.dense.bias {base}pooler.layernorm.weight {base}embeddings.position_ids {base}embeddings.mask_token
{base}text_model.embeddings.position_ids {base}vision_model.embeddings.position_ids {base}embeddings.position_embeddings
cls.predictions.bias cls.predictions.decoder.weight cls.predictions.transform.dense.weight cls.seq_relationship.weight
predictions.bias sop_classifier.classifier.weight mask_predictions.dense.weight discriminator_predictions.dense.weight generator_lm_head.bias
lm_head.weight lm_head.bias lm_head.dense.weight vocab_projector.bias pre_classifier.weight proj_out.weight
classifier.weight classifier.bias classifier.dense.weight qa_outputs.weight score.weight classification_head.dense.weight fc.weight head.weight
{base}h.0.attn.bias {base}h.0.attn.masked_bias {base}h.0.crossattention.bias
{base}layers.0.attention.bias {base}layers.0.attention.masked_bias {base}layers.0.attention.rotary_emb.inv_freq
{base}layers.0.self_attn.rotary_emb.inv_freq {base}rotary_emb.inv_freq {base}layers.61.mlp.gate.weight {base}layers.9.mlp.gate.weight
{base}encoder.layers.0.blocks.0.attention.self.relative_position_index
decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight decoder.block.0.layer.0.SelfAttention.q.weight
encoder.version {base}encoder.version {base}decoder.version {base}encoder.embed_positions.weight {base}decoder.embed_tokens.weight
final_logits_bias bn1.num_batches_tracked {base}layernorm.weight
multi_modal_projector.linear_1.weight mm_projector.weight visual_projection.weight text_projection.weight quantizer.weight
""".split()


class Checkpoint:
    """A golden model, to be loaded with other tensors."""

    def __init__(self, folder):
        self.config = transformers.AutoConfig.from_pretrained(folder)
        self.model_class = getattr(transformers, self.config.architectures[0])
        self.tensors = load_file(folder / "model.safetensors")

    def load(self, tensors):
        """The model, and how many tensors are missing and unexpected; None where loading fails."""
        try:
            model, info = self.model_class.from_pretrained(None, config=copy.deepcopy(self.config), state_dict=dict(tensors), output_loading_info=True)
        except Exception:
            return None
        return model, len(info["missing_keys"]), len(info["unexpected_keys"])

    def is_silent(self, tensors):
        found = self.load(tensors)
        return found is not None and found[1:] == (0, 0)


def select(names, report):
    """{name: what `report` says of it alone}, for names of which it says anything but 1; all are asked together first."""
    if not names or report(names) == len(names):
        return {}
    if len(names) == 1:
        return {names[0]: report(names)}
    half = len(names) // 2
    return select(names[:half], report) | select(names[half:], report)


def describe(folder):
    checkpoint = Checkpoint(folder)
    own = checkpoint.tensors
    model, missing, unexpected = checkpoint.load(own)
    if missing or unexpected:
        raise SystemExit(f"{folder}: {missing} missing, {unexpected} unexpected")
    base_name = model.base_model_prefix
    has_base = bool(base_name) and isinstance(getattr(model, base_name, None), torch.nn.Module)
    base = f"{base_name}." if has_base else ""
    leftovers = [leftover.replace("{base}", base) for leftover in LEFTOVERS]
    known = [name for name in leftovers if name in own or name in model.state_dict()]

    def unexpected_of(names):
        found = checkpoint.load(own | {name: leftover_tensor(name) for name in names})
        return found and found[2]

    def missing_of(names):
        found = checkpoint.load({name: tensor for name, tensor in own.items() if name not in names})
        return found and found[1]

    others = select([name for name in dict.fromkeys(leftovers) if name not in known], unexpected_of)
    lacking = select(list(own)[::2], missing_of) | select(list(own)[1::2], missing_of)
    prefixed = {f"{base_name}.{name}": tensor for name, tensor in own.items()}
    stripped = {name.removeprefix(base): tensor for name, tensor in own.items()}
    return {
        "base": base,
        "prefix": f"{base_name}.",
        "silent": [name for name, count in others.items() if count == 0],
        "known": known + [name for name, count in others.items() if count is None],
        "mayLack": [name for name, count in lacking.items() if count == 0],
        "refused": [name for name, count in lacking.items() if count is None],
        "withPrefix": bool(base_name) and not has_base and checkpoint.is_silent(prefixed),
        "withoutPrefix": has_base and checkpoint.is_silent(stripped),
    }


def leftover_tensor(name):
    is_count = name.endswith(("position_ids", "position_index", "num_batches_tracked"))
    return torch.zeros(2, dtype=torch.int64) if is_count else torch.ones(2)


if __name__ == "__main__":
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    models = {}
    for kind in ["models", "decoders", "gpt2"]:
        for folder in sorted((GOLDEN / kind).iterdir()):
            models[f"{kind}/{folder.name}"] = describe(folder)
            print(f"{kind}/{folder.name}")
    write_json(GOLDEN / "checkpoints.json", {"madeBy": made_by(__file__), "leftovers": LEFTOVERS, "models": models})
