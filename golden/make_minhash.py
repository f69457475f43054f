"""golden/minhash.json: near duplicates with their Jaccard similarities, and what datasketch finds of them.

python golden/make_minhash.py
"""
import json
import pathlib
import random
import re

import numpy as np
from datasketch import MinHash, MinHashLSH

folder = pathlib.Path(__file__).parent
words = (folder / "tokenizers" / "moby-60k.txt").read_text(encoding="utf-8").split()
random.seed(3)


def shingles(text):
    found = re.findall(r"[^\W_]+", text.lower())
    return {" ".join(found[i : i + 5]) for i in range(max(1, len(found) - 4))}


def signature(text):
    minhash = MinHash(num_perm=128, seed=1)
    for shingle in shingles(text):
        minhash.update(shingle.encode())
    return minhash


passages = [words[i : i + 80] for i in range(0, 9600, 80)]
edits, texts = [], [" ".join(passage) for passage in passages]
for number, passage in enumerate(passages):
    copy = list(passage)
    for _ in range(number % 12):
        copy[random.randrange(len(copy))] = random.choice(["harbour", "lantern", "zephyr", "gravel", "willow"])
    edits.append([number, [[place, word] for place, word in enumerate(copy) if word != passage[place]]])
    texts.append(" ".join(copy))

pairs = []
for number in range(len(passages)):
    a, b = shingles(texts[number]), shingles(texts[number + len(passages)])
    pairs.append(round(len(a & b) / len(a | b), 6))
found, parameters = {}, {}
for threshold in [0.5, 0.7, 0.8, 0.9]:
    index = MinHashLSH(threshold=threshold, num_perm=128)
    parameters[threshold] = [index.b, index.r]
    signatures = [signature(text) for text in texts]
    for number, each in enumerate(signatures):
        index.insert(str(number), each)
    hits = [
        str(number + len(passages)) in index.query(signatures[number])
        and signatures[number].jaccard(signatures[number + len(passages)]) >= threshold
        for number in range(len(passages))
    ]
    found[threshold] = [int(hit) for hit in hits]
for threshold, permutations in [(0.6, 256), (0.85, 64)]:
    index = MinHashLSH(threshold=threshold, num_perm=permutations)
    parameters[f"{threshold} {permutations}"] = [index.b, index.r]
# how many of the pairs above the thresholds are found where values agree independently of one another
random_values = np.random.default_rng(0)
totals = []
for _ in range(200):
    total = 0
    for threshold in found:
        bands, rows = parameters[threshold]
        for similarity in pairs:
            equal = random_values.random(128) < similarity
            if similarity >= threshold and equal.mean() >= threshold:
                total += int(equal[: bands * rows].reshape(bands, rows).all(1).any())
    totals.append(total)
expected = {"mean": round(float(np.mean(totals)), 2), "deviation": round(float(np.std(totals)), 2)}
data = {"madeBy": "golden/make_minhash.py, datasketch 2.0.0", "passages": [len(passages), 80], "edits": edits, "jaccard": pairs, "found": found, "expected": expected, "parameters": parameters}
(folder / "minhash.json").write_text(json.dumps(data, separators=(",", ":")) + "\n")
for threshold in found:
    true = [i for i, j in enumerate(pairs) if j >= threshold]
    print(threshold, parameters[threshold], "recall", sum(found[threshold][i] for i in true), "of", len(true))
print(expected)
