"""metrics.json: what scikit-learn, scipy, sacrebleu, rouge-score, seqeval, jiwer, pycocotools, lm-evaluation-harness
(SQuAD's rules) and sentence-transformers (retrieval) compute of small inputs.

usage: python golden/make_metrics.py
"""

import contextlib
import importlib.metadata
import io
import math
import random
import warnings

import numpy as np
import jiwer
import sacrebleu
import seqeval.metrics as seq
from lm_eval.tasks.tydiqa.utils import exact_match_score, f1_score
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from rouge_score import rouge_scorer
from scipy import stats
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
from seqeval import scheme as schemes
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from common import GOLDEN, write_json

PACKAGES = [
    *["numpy", "scikit-learn", "scipy", "sacrebleu", "rouge-score", "seqeval", "jiwer", "rapidfuzz", "pycocotools"],
    *["lm_eval", "sentence-transformers"],
]
draw = random.Random(1)
numbers = np.random.default_rng(1)
warnings.filterwarnings("ignore")


def plain(value):
    """A value as JSON has it; what is no number is a text."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, (np.floating, float)):
        number = float(value)
        return number if math.isfinite(number) else str(number)
    return value.item() if isinstance(value, np.generic) else value


def class_scores(truth, guesses, **options):
    p, r, f, s = sk.precision_recall_fscore_support(truth, guesses, **options)
    return {"precision": p, "recall": r, "f1": f, "support": s}


def classification():
    cases = []
    names = ["bird", "cat", "dog", "eel"]
    for kinds in ([0, 1], [0, 1, 2, 3], names):
        labels = draw.choices(kinds, k=40)
        predictions = [label if draw.random() < 0.6 else draw.choice(kinds) for label in labels]
        cases.append((labels, predictions))
    cases.append(([0, 0, 1, 2, 2, 2], [0, 3, 1, 2, 0, 3]))  # 3 is predicted and never a label
    cases.append(([0, 0, 1, 5], [0, 0, 0, 0]))  # 1 and 5 are never predicted
    cases.append(([1, 1, 1], [1, 1, 1]))
    results = []
    for labels, predictions in cases:
        averages = ["micro", "macro", "weighted"]
        if len({*labels, *predictions}) <= 2:
            averages.append("binary")
        results.append(
            {
                "labels": labels,
                "predictions": predictions,
                "accuracy": sk.accuracy_score(labels, predictions),
                "balanced": sk.balanced_accuracy_score(labels, predictions),
                "matthews": sk.matthews_corrcoef(labels, predictions),
                "confusion": sk.confusion_matrix(labels, predictions),
                "normalized": {
                    name: sk.confusion_matrix(labels, predictions, normalize=word)
                    for name, word in [("labels", "true"), ("predictions", "pred"), ("all", "all")]
                },
                "byClass": class_scores(labels, predictions, average=None, zero_division=0),
                "averages": {name: class_scores(labels, predictions, average=name) for name in averages},
                "ones": class_scores(labels, predictions, average="macro", zero_division=1),
                "nan": class_scores(labels, predictions, average="macro", zero_division=np.nan),
                "beta": class_scores(labels, predictions, average="macro", beta=2.0)["f1"],
            }
        )
    adjusted = sk.balanced_accuracy_score(*cases[1], adjusted=True)
    labels, predictions = cases[1]
    some = class_scores(labels, predictions, average="micro", labels=[1, 3])
    return {"cases": results, "adjusted": adjusted, "someClasses": some}


def scores():
    labels = [int(value) for value in numbers.integers(0, 2, 30)]
    binary = np.round(np.clip(0.3 * np.array(labels) + numbers.random(30) * 0.7, 0, 1), 1)  # with ties
    classes = [int(value) for value in numbers.integers(0, 4, 40)]
    logits = numbers.normal(size=(40, 4)) + 1.5 * np.eye(4)[classes]
    rows = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    fpr, tpr, thresholds = sk.roc_curve(labels, binary, drop_intermediate=False)
    precisions, recalls, cuts = sk.precision_recall_curve(labels, binary)
    one_hot = np.eye(4)[classes]
    return {
        "binary": {
            "labels": labels,
            "scores": binary,
            "rocAuc": sk.roc_auc_score(labels, binary),
            "averagePrecision": sk.average_precision_score(labels, binary),
            "roc": [fpr, tpr, thresholds],
            "precisionRecall": [precisions, recalls, cuts],
            "logLoss": sk.log_loss(labels, binary),
            "brier": sk.brier_score_loss(labels, binary),
            "calibration": calibration(np.stack([1 - binary, binary], 1), labels, 10),
        },
        "classes": {
            "labels": classes,
            "scores": rows,
            "rocAuc": {
                f"{way} {average}": sk.roc_auc_score(classes, rows, multi_class=way, average=average)
                for way in ("ovr", "ovo")
                for average in ("macro", "weighted", "micro")
                if (way, average) != ("ovo", "micro")
            },
            "averagePrecision": {
                average: sk.average_precision_score(one_hot, rows, average=average)
                for average in ("macro", "weighted", "micro")
            },
            "logLoss": sk.log_loss(classes, rows),
            "brier": sk.brier_score_loss(classes, rows),
            "topK": [sk.top_k_accuracy_score(classes, rows, k=k) for k in (1, 2, 3)],
            "topKTies": sk.top_k_accuracy_score(classes, np.round(rows, 1), k=2),
            "calibration": {bins: calibration(rows, classes, bins) for bins in (10, 15)},
        },
    }


def calibration(rows, labels, bins):
    """Guo et al. 2017; the bins' accuracies are those of scikit-learn's calibration_curve of "the likeliest is right"."""
    rows, labels = np.asarray(rows), np.asarray(labels)
    confidence, right = rows.max(1), rows.argmax(1) == labels
    places = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    error = 0.0
    for place in np.unique(places):
        inside = places == place
        error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    edges = np.linspace(0, 1, bins + 1)
    if not np.isin(confidence, edges).any():
        accuracies, means = calibration_curve(right, confidence, n_bins=bins)
        weights = np.array([(places == place).mean() for place in np.unique(places)])
        assert np.isclose(error, (weights * abs(accuracies - means)).sum())
    return error


ENGLISH = [
    ("The cat sat on the mat.", ["The cat is on the mat.", "There is a cat on the mat."]),
    ("It's 3,000.50 dollars - or 12-15 % \"more\" & less", ["It is 3,000.50 dollars, or 12-15 % more & less"]),
    ("A dog", ["A dog barks at night, and the cat (which is black) runs."]),
    ("nothing in common here", ["Quite different words stand there"]),
    ("the the the the", ["the cat sat on the mat, the end"]),
    ("He said: &quot;hello&quot; &amp; left.\nThen he came back -\nagain", ['He said: "hello" & left. Then he came back again']),
    ("", ["An empty prediction"]),
    ("Ünïcode — naïve café ✓ 東京 tower", ["Unïcode – naïve café ✓ 東京 Tower"]),
]
CHINESE = [
    ("今天天气很好，我们去公园。", ["今天的天气真好，我们去公园吧。", "天气好，去公园"]),
    ("他在2024年买了iPhone 15，花了5,999元！", ["他2024年买了一部iPhone 15，花费5999元。"]),
    ("「引号」和《书名》——破折号……", ["“引号”和《书名》—破折号…"]),
    ("𠮷野家 ２０２４ 全角 ABC", ["吉野家 2024 全角 ABC"]),
]


def translations():
    results = {"english": ENGLISH, "chinese": CHINESE, "bleu": [], "chrf": [], "rouge": []}
    options = [
        *[{}, {"lowercase": True}, {"smooth_method": "floor"}, {"smooth_method": "floor", "smooth_value": 0.5}],
        *[{"smooth_method": "add-k"}, {"smooth_method": "none"}, {"max_ngram_order": 2}, {"effective_order": True}],
        *[{"tokenize": name} for name in ("zh", "char", "none")],
    ]
    for language, pairs in (("english", ENGLISH), ("chinese", CHINESE)):
        texts = [text for text, _ in pairs]
        longest = max(len(list_) for _, list_ in pairs)
        streams = [[list_[i] if i < len(list_) else None for _, list_ in pairs] for i in range(longest)]
        for some in options:
            bleu = sacrebleu.BLEU(**some)
            score = bleu.corpus_score(texts, streams)
            plain_counts = sacrebleu.BLEU(**{**some, "smooth_method": "none", "smooth_value": None})
            counts = plain_counts.corpus_score(texts, streams)
            each = sacrebleu.BLEU(**{"effective_order": True, **some})
            results["bleu"].append(
                {
                    "language": language,
                    "options": some,
                    "corpus": score.score,
                    "precisions": score.precisions,
                    "counts": counts.counts,
                    "totals": counts.totals,
                    "lengths": [score.sys_len, score.ref_len],
                    "penalty": score.bp,
                    "sentences": [each.sentence_score(text, list_).score for text, list_ in pairs],
                }
            )
        chrf_options = [{}, {"word_order": 2}, {"lowercase": True}, {"whitespace": True}, {"beta": 1, "char_order": 4}]
        for some in [*chrf_options, {"eps_smoothing": True}]:
            chrf = sacrebleu.CHRF(**some)
            results["chrf"].append(
                {
                    "language": language,
                    "options": some,
                    "corpus": chrf.corpus_score(texts, streams).score,
                    "sentences": [chrf.sentence_score(text, list_).score for text, list_ in pairs],
                }
            )
    return results | {"rouge": rouge_cases()}


class Characters:
    def tokenize(self, text):
        return [character for character in text if not character.isspace()]


def rouge_cases():
    names = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    lines = (
        "the cat sat on the mat\nthe dog ran off\nit was late, and nobody came",
        ["a dog ran off the mat\nthe cat sat there\nnobody came", "it was late"],
    )
    cases = []
    for pairs, tokenizer in ((ENGLISH + [lines], None), (CHINESE, Characters())):
        scorer = rouge_scorer.RougeScorer(names, tokenizer=tokenizer)
        for text, references in pairs:
            scored = scorer.score_multi(references, text)
            results = {name: [score.precision, score.recall, score.fmeasure] for name, score in scored.items()}
            kind = "characters" if tokenizer else "words"
            cases.append({"text": text, "references": references, "tokenizer": kind, "scores": results})
    return cases


def cmrc_words(text):
    """Chinese characters one by one, the rest at white space; of CMRC 2018's script, without nltk."""
    marks = set("-:_*^/\\~`+=，。：？！“”；’《》…·、「」（）－～『』")
    spaced = ""
    for character in text.lower():
        if character not in marks:
            spaced += f" {character} " if "\u4e00" <= character <= "\u9fa5" else character
    return spaced.split()


def cmrc_f1(answers, prediction):
    best = 0.0
    for answer in answers:
        a, b = cmrc_words(answer), cmrc_words(prediction)
        longest = max(
            (n for n in range(min(len(a), len(b)) + 1) for i in range(len(a) - n + 1) for j in range(len(b) - n + 1)
             if a[i : i + n] == b[j : j + n]),
            default=0,
        )  # fmt: skip
        if longest:
            precision, recall = longest / len(b), longest / len(a)
            best = max(best, 2 * precision * recall / (precision + recall))
    return best


def answers():
    english = [
        ("the Cat!", ["cat", "a dog"]),
        ("in 1912", ["1912", "the year 1912"]),
        ("New  York, city", ["The city of New York", "NYC"]),
        ("naïve an-the", ["naïve anthe"]),
        ("Theatre an hour", ["theatre hour"]),
    ]
    chinese = [
        ("北京大学", ["北京大学", "北大"]),
        ("在北京大学，1898年", ["北京大学创办于1898年"]),
        ("iPhone 15 手机", ["手机 iphone 15"]),
        ("《红楼梦》", ["红楼梦"]),
        ("上海", ["北京"]),
    ]
    return {
        "english": english,
        "exact": [max(exact_match_score(text, answer, "en") for answer in list_) for text, list_ in english],
        "f1": [max(f1_score(text, answer, "en") for answer in list_) for text, list_ in english],
        "chinese": chinese,
        "chineseF1": [cmrc_f1(list_, text) for text, list_ in chinese],
        "chineseExact": [float(any("".join(cmrc_words(a)) == "".join(cmrc_words(text)) for a in list_)) for text, list_ in chinese],
    }  # fmt: skip


def entities():
    cases = []
    letters = {"IOB2": "BI", "IOE2": "IE", "IOBES": "BIES", "BILOU": "BILU"}
    for name, prefixes in letters.items():
        tags = ["O", "O"] + [f"{prefix}-{kind}" for prefix in prefixes for kind in ("PER", "LOC")]
        tags += [prefixes[0]]
        labels = [draw.choices(tags, k=draw.randint(1, 9)) for _ in range(30)]
        predictions = [[tag if draw.random() < 0.7 else draw.choice(tags) for tag in sentence] for sentence in labels]
        case = {"scheme": name, "labels": labels, "predictions": predictions, "strict": {}, "default": {}}
        for average in ("micro", "macro", "weighted"):
            options = {"average": average, "zero_division": 0}
            strict = {"mode": "strict", "scheme": getattr(schemes, name)}
            case["strict"][average] = [
                measure(labels, predictions, **options, **strict)
                for measure in (seq.precision_score, seq.recall_score, seq.f1_score)
            ]
            if name != "BILOU":
                case["default"][average] = [
                    measure(labels, predictions, **options)
                    for measure in (seq.precision_score, seq.recall_score, seq.f1_score)
                ]
        case["accuracy"] = seq.accuracy_score(labels, predictions)
        report = seq.classification_report(
            labels, predictions, output_dict=True, zero_division=0, mode="strict", scheme=getattr(schemes, name)
        )
        case["report"] = {kind: list(report[kind].values()) for kind in report if not kind.endswith("avg")}
        cases.append(case)
    return cases


def error_rates():
    words = "a b c d e".split()
    pairs = [("hello world", "hello  beautiful world"), ("a b", "b c"), ("one two three", ""), (" x  y ", "x y")]
    pairs += [("", "something new"), ("", ""), ("今天天气很好", "今天天很好啊"), ("a\tb c", "a b c")]
    pairs += [(" ".join(draw.choices(words, k=draw.randint(1, 14))),
               " ".join(draw.choices(words, k=draw.randint(0, 14)))) for _ in range(60)]  # fmt: skip
    results = []
    for reference, prediction in pairs:
        row = {"reference": reference, "prediction": prediction}
        for name, measure in (("words", jiwer.process_words), ("characters", jiwer.process_characters)):
            out = measure(reference, prediction)
            rate = out.wer if name == "words" else out.cer
            parts = [[part.type, part.ref_start_idx, part.ref_end_idx, part.hyp_start_idx, part.hyp_end_idx]
                     for part in out.alignments[0]]  # fmt: skip
            row[name] = {"counts": [out.hits, out.substitutions, out.deletions, out.insertions], "rate": rate}
            if name == "words":
                row[name] |= {"preserved": out.wip, "parts": parts}
        results.append(row)
    references, predictions = (list(column) for column in zip(*pairs))
    return {
        "pairs": results,
        "wer": jiwer.wer(references, predictions),
        "cer": jiwer.cer(references, predictions),
    }


def regression():
    labels = np.round(numbers.normal(size=25), 1)
    predictions = np.round(labels + 0.5 * numbers.normal(size=25), 1)
    cases = [(labels, predictions), (np.array([2.0, 2, 2]), np.array([2.0, 2, 1])), (np.ones(3), np.ones(3))]
    cases.append((np.array([0.0, 1, 2, 3]), np.array([3.0, 2, 1, 0])))
    return [
        {
            "labels": y,
            "predictions": p,
            "r2": sk.r2_score(y, p),
            "mse": sk.mean_squared_error(y, p),
            "rmse": sk.root_mean_squared_error(y, p),
            "mae": sk.mean_absolute_error(y, p),
            "mape": sk.mean_absolute_percentage_error(y, p),
            "pearson": stats.pearsonr(p, y).statistic,
            "spearman": stats.spearmanr(p, y).statistic,
        }
        for y, p in cases
    ]


def retrieval():
    relevance = numbers.integers(0, 4, (6, 12))
    relevance[2] = 0
    scored = np.round(numbers.random((6, 12)), 1)
    untied = numbers.permuted(np.tile(np.arange(12), (6, 1)), axis=1)
    documents = [f"d{i}" for i in range(30)]
    rankings = [draw.sample(documents, 20) for _ in range(12)]
    relevant = [draw.sample(documents, draw.randint(1, 6)) for _ in range(12)]
    cutoffs = [1, 3, 5, 10]
    judge = InformationRetrievalEvaluator.__new__(InformationRetrievalEvaluator)
    judge.queries_ids = [f"q{i}" for i in range(12)]
    judge.queries = judge.queries_ids
    judge.relevant_docs = {query: set(list_) for query, list_ in zip(judge.queries_ids, relevant)}
    for name in ("mrr_at_k", "ndcg_at_k", "accuracy_at_k", "precision_recall_at_k", "map_at_k"):
        setattr(judge, name, cutoffs)
    ranked = [
        [{"corpus_id": document, "score": -place} for place, document in enumerate(ranking)] for ranking in rankings
    ]
    return {
        "relevance": relevance,
        "scores": scored,
        "ndcg": [
            {"k": k, "averageTies": not ignore, "value": sk.ndcg_score(relevance, of, k=k, ignore_ties=ignore)}
            for k in (None, 1, 3, 5)
            for ignore, of in ((False, scored), (True, untied))  # the order of ties is that of an unstable sort
        ],
        "untied": untied,
        "rankings": rankings,
        "relevant": relevant,
        "cutoffs": cutoffs,
        "expected": judge.compute_metrics(ranked),
    }


def box(side):
    w, h = (int(value) for value in numbers.integers(4, side, 2))
    return [float(numbers.integers(0, 200 - w)), float(numbers.integers(0, 200 - h)), float(w), float(h)]


def moved(one):
    shift = numbers.integers(-4, 5, 4)
    return [max(0.0, float(a + b)) if i < 2 else max(1.0, float(a + b)) for i, (a, b) in enumerate(zip(one, shift))]


def coco(truth, found, kind):
    dataset = {"images": [{"id": i, "height": 200, "width": 200} for i in range(1, 9)],
               "categories": [{"id": i} for i in range(1, 4)], "annotations": truth}  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        ground = COCO()
        ground.dataset = dataset
        ground.createIndex()
        judge = COCOeval(ground, ground.loadRes(found), kind)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    precision = judge.eval["precision"][:, :, :, 0, 2]
    by_class = [float(part[part > -1].mean()) if (part > -1).any() else -1.0 for part in np.moveaxis(precision, 2, 0)]
    return {"stats": judge.stats, "byCategory": by_class}


def detection():
    truth, found = [], []
    for image in range(1, 9):
        for category in range(1, 4):
            for _ in range(int(numbers.integers(0, 5))):
                one = box(150 if draw.random() < 0.4 else 60)
                crowd = int(draw.random() < 0.15)
                truth.append({"id": len(truth) + 1, "image_id": image, "category_id": category, "bbox": one,
                              "area": one[2] * one[3] * (0.8 if draw.random() < 0.3 else 1), "iscrowd": crowd})  # fmt: skip
                for _ in range(draw.choice([0, 1, 1, 2])):
                    found.append({"image_id": image, "category_id": category, "bbox": moved(one),
                                  "score": round(draw.random(), 1)})  # fmt: skip
        for _ in range(3):
            found.append({"image_id": image, "category_id": draw.randint(1, 3), "bbox": box(60),
                          "score": round(draw.random(), 1)})  # fmt: skip
    pairs = [(box(80), box(120)) for _ in range(8)] + [([0.0, 0, 4, 4], [2.0, 2, 4, 4]), ([0.0, 0, 4, 4], [4.0, 0, 4, 4])]
    ious = [[float(coco_mask.iou([a], [b], [crowd])[0][0]) for crowd in (0, 1)] for a, b in pairs]
    pixels = numbers.integers(0, 4, (2, 60))
    masks = numbers.random((2, 60)) < 0.4
    return {
        "truth": truth,
        "detections": [dict(one) for one in found],
        **coco(truth, [dict(one) for one in found], "bbox"),
        "boxes": {"pairs": pairs, "ious": ious},
        "pixels": {
            "labels": pixels[0],
            "predictions": pixels[1],
            "iou": sk.jaccard_score(pixels[0], pixels[1], average=None),
            "mean": sk.jaccard_score(pixels[0], pixels[1], average="macro"),
        },
        "masks": {
            "a": masks[0].astype(int),
            "b": masks[1].astype(int),
            "iou": sk.jaccard_score(masks[0], masks[1]),
            "segmentation": segmentation(),
        },
    }


def rectangle(x, y, w, h):
    mask = np.zeros((12, 12), np.uint8)
    mask[y : y + h, x : x + w] = 1
    return mask


def segmentation():
    """Masks on pictures of 12 x 12, as [x, y, width, height] of what is filled."""
    truth = [[1, 1, 5, 5], [6, 6, 4, 4], [0, 8, 3, 3]]
    found = [[1, 1, 5, 4], [7, 6, 4, 4], [2, 2, 2, 2], [0, 8, 3, 3]]
    rles = lambda list_: [coco_mask.encode(np.asfortranarray(rectangle(*one))) for one in list_]
    annotations = [
        {"id": i + 1, "image_id": 1, "category_id": 1, "segmentation": rle, "area": float(coco_mask.area(rle)),
         "bbox": truth[i], "iscrowd": int(i == 2)} for i, rle in enumerate(rles(truth))
    ]  # fmt: skip
    results = [{"image_id": 1, "category_id": 1, "segmentation": rle, "score": 0.9 - 0.1 * i}
               for i, rle in enumerate(rles(found))]  # fmt: skip
    return {"truth": truth, "detections": found, **coco(annotations, results, "segm")}


def bootstraps():
    data = np.round(numbers.gamma(2.0, size=14), 2)
    other = np.round(data + 0.3 * numbers.normal(size=14), 2)
    resamples = 80
    rows = np.random.default_rng(5).integers(0, 14, (resamples, 14))
    statistics = {"mean": lambda x, axis: np.mean(x, axis=axis), "std": lambda x, axis: np.std(x, axis=axis)}
    cases = []
    for name, statistic in statistics.items():
        for method in ("percentile", "bca"):
            for level in (0.95, 0.8):
                result = stats.bootstrap(
                    (data,), statistic, n_resamples=resamples, confidence_level=level, method=method,
                    rng=np.random.default_rng(5),
                )  # fmt: skip
                interval = result.confidence_interval
                assert np.allclose(result.bootstrap_distribution, statistic(data[rows], axis=-1))
                cases.append(
                    {"statistic": name, "method": method, "confidence": level, "low": interval.low,
                     "high": interval.high, "error": result.standard_error}
                )  # fmt: skip
    paired = []
    for method in ("percentile", "bca"):
        result = stats.bootstrap(
            (data, other), lambda a, b, axis: np.mean(a, axis=axis) - np.mean(b, axis=axis), paired=True,
            n_resamples=resamples, method=method, rng=np.random.default_rng(5),
        )  # fmt: skip
        low, high = result.confidence_interval
        paired.append({"method": method, "low": low, "high": high, "error": result.standard_error})
    return {"data": data, "other": other, "rows": rows, "cases": cases, "paired": paired}


def python_random():
    results = []
    for seed in (0, 1, 1234, 2**40 + 7):
        rnd = random.Random(seed)
        results.append(
            {
                "seed": seed,
                "random": [rnd.random() for _ in range(3)],
                "few": rnd.sample(list(range(10)), 4),
                "many": rnd.sample(list(range(5000)), 8),
                "choices": rnd.choices(range(100), k=6),
                "randrange": [rnd.randrange(n) for n in (1, 2, 7, 2**31)],
            }
        )
    normal = [[x, stats.norm.cdf(x)] for x in (-9.0, -3.5, -3.0, -1.0, -1e-9, 0.0, 0.3, 2.9, 3.1, 6.0)]
    quantiles = [[p, stats.norm.ppf(p)] for p in (1e-12, 0.001, 0.025, 0.3, 0.5, 0.77, 0.999)]
    return {"seeds": results, "normal": normal, "quantiles": quantiles}


def main():
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    parts = [classification, scores, translations, answers, entities, error_rates, regression, retrieval]
    parts += [detection, bootstraps, python_random]
    results = {part.__name__: plain(part()) for part in parts}
    write_json(GOLDEN / "metrics.json", {"madeBy": f"golden/make_metrics.py, {versions}", **results})


main()
