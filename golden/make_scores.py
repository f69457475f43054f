"""scores.json: log probabilities of the tokens of texts under the tiny decoders, the likeliest at each place, and
perplexities by the example of transformers' documentation ("Perplexity of fixed-length models").

usage: python golden/make_scores.py
"""

import torch
import transformers

from common import GOLDEN, made_by, write_json

NAMES = ["llama", "gemma2", "gpt-neox", "phi3-longrope"]
LENGTH = 40
WINDOWS = [(16, 4), (16, 16), (12, 5), (40, 8)]  # most tokens of a window, stride


def perplexity(model, input_ids, max_length, stride):
    """https://huggingface.co/docs/transformers/perplexity"""
    nll_sum, n_tokens, prev_end_loc, seq_len = 0.0, 0, 0, input_ids.size(1)
    for begin_loc in range(0, seq_len, stride):
        end_loc = min(begin_loc + max_length, seq_len)
        trg_len = end_loc - prev_end_loc
        window = input_ids[:, begin_loc:end_loc]
        target_ids = window.clone()
        target_ids[:, :-trg_len] = -100
        with torch.no_grad():
            neg_log_likelihood = model(window, labels=target_ids).loss
        num_loss_tokens = (target_ids != -100).sum().item() - 1
        if num_loss_tokens > 0:
            nll_sum += neg_log_likelihood.item() * num_loss_tokens
        n_tokens += num_loss_tokens
        prev_end_loc = end_loc
        if end_loc == seq_len:
            break
    return float(torch.exp(torch.tensor(nll_sum / n_tokens)))


def main():
    texts = {}
    for name in NAMES:
        model = transformers.AutoModelForCausalLM.from_pretrained(GOLDEN / "decoders" / name).eval().float()
        vocab, longest = model.config.vocab_size, min(LENGTH, model.config.max_position_embeddings)
        ids = [(7 * i * i + 3 * i + 1) % vocab for i in range(LENGTH)]
        scored = torch.tensor([ids[:longest]])
        with torch.no_grad():
            logprobs = model(scored).logits.log_softmax(-1)[0]
        following = [float(logprobs[i, ids[i + 1]]) for i in range(longest - 1)]
        top = [[[int(i), float(row[i])] for i in row.topk(3).indices] for row in logprobs[:-1]]
        windows = [(size, stride) for size, stride in WINDOWS if size <= longest]
        numbers = [
            {"maxLength": size, "stride": stride, "value": perplexity(model, torch.tensor([ids]), size, stride)}
            for size, stride in windows
        ]
        texts[name] = {"ids": ids, "longest": longest, "logprobs": following, "top": top, "perplexities": numbers}
    write_json(GOLDEN / "scores.json", {"madeBy": made_by(__file__), "texts": texts})


main()
