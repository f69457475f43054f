"""llama.cpp, built here from its source, writes texts by its own API: what bench/streams.mjs measures of others.

python streams.py model.gguf --threads 2 --streams 8 --tokens 64 --prompt 512
"""

import argparse
import json
import time

import llama_cpp as l
import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("file")
for name in ("threads", "streams", "tokens", "prompt"):
    parser.add_argument(f"--{name}", type=int, required=True)
parser.add_argument("--amx", action="store_true", help="the matrix units of newer Xeons, which end the process on some machines")
options = parser.parse_args()


def prompt_of(shift: int, length: int = 17) -> list[int]:
    """As promptOf in smollm.mjs."""
    return [300 + (i * 7919 + shift * 131) % 20000 for i in range(length)]


silent = l.llama_log_callback(lambda *_: None)  # kept: the library calls it
l.llama_log_set(silent, None)
l.llama_backend_init()
model_params = l.llama_model_default_params()
model_params.use_extra_bufts = options.amx
model = l.llama_model_load_from_file(options.file.encode(), model_params)
params = l.llama_context_default_params()
params.n_ctx = 1024 * options.streams
params.n_batch = params.n_ubatch = 512
params.n_seq_max = options.streams
params.n_threads = params.n_threads_batch = options.threads
context = l.llama_init_from_model(model, params)
size = l.llama_vocab_n_tokens(l.llama_model_get_vocab(model))
batch = l.llama_batch_init(512, 0, options.streams)


def decode(entries: list[tuple[int, int, int, bool]]) -> list[int]:
    """Reads (token, position, sequence, whether the next is picked); gives the likeliest next tokens."""
    batch.n_tokens = len(entries)
    for i, (token, position, sequence, is_picked) in enumerate(entries):
        batch.token[i] = token
        batch.pos[i] = position
        batch.n_seq_id[i] = 1
        batch.seq_id[i][0] = sequence
        batch.logits[i] = is_picked
    if l.llama_decode(context, batch) != 0:
        raise RuntimeError("llama_decode")
    picked = [i for i, entry in enumerate(entries) if entry[3]]
    return [int(np.ctypeslib.as_array(l.llama_get_logits_ith(context, i), (size,)).argmax()) for i in picked]


def write(prompts: list[list[int]], tokens: int) -> tuple[float, float]:
    """Milliseconds until all have their first token, and from it to the last."""
    l.llama_memory_clear(l.llama_get_memory(context), True)
    start = time.perf_counter()
    last = []
    for sequence, prompt in enumerate(prompts):
        last += decode([(token, i, sequence, i == len(prompt) - 1) for i, token in enumerate(prompt)])
    first = time.perf_counter() - start
    for step in range(tokens - 1):
        last = decode([(token, len(prompts[i]) + step, i, True) for i, token in enumerate(last)])
    return 1000 * first, 1000 * (time.perf_counter() - start - first)


write([prompt_of(1)], 100)
write([prompt_of(i + 20) for i in range(options.streams)], 4)
_, one = write([prompt_of(2)], options.tokens)
first, rest = write([prompt_of(i + 40) for i in range(options.streams)], options.tokens)
write([prompt_of(3, options.prompt)], 1)
long, _ = write([prompt_of(4, options.prompt)], 1)
result = {
    "oneStream": 1000 * (options.tokens - 1) / one,
    "manyStreams": 1000 * options.streams * options.tokens / (first + rest),
    "prefill": 1000 * options.prompt / long,
}
print(json.dumps(result))
