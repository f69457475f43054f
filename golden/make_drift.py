"""Writes golden/track/drift.json: distances and tests of scipy and numpy for pairs of samples and of counts."""
import json
from pathlib import Path

import numpy as np
import scipy
from scipy.spatial.distance import jensenshannon
from scipy.special import gammaincc, gammaln, kolmogorov
from scipy.stats import chi2_contingency, ks_2samp


def smirnov(a, b):
    statistic = ks_2samp(a, b).statistic
    return {
        "a": a.tolist(),
        "b": b.tolist(),
        "statistic": statistic,
        "pValue": kolmogorov(statistic * np.sqrt(len(a) * len(b) / (len(a) + len(b)))),
    }


def counts(expected, actual):
    expected, actual = np.array(expected, float), np.array(actual, float)
    both = (expected + actual) > 0
    test = chi2_contingency([expected[both], actual[both]], correction=False)
    p, q = (np.maximum(x / x.sum(), 1e-4) for x in (expected, actual))
    return {
        "expected": expected.tolist(),
        "actual": actual.tolist(),
        "chiSquare": {"statistic": test.statistic, "pValue": test.pvalue},
        "jensenShannon": jensenshannon(expected, actual, base=2),
        "populationStability": float(np.sum((q - p) * np.log(q / p))),
    }


def main():
    random = np.random.default_rng(7)
    normal = lambda n, mean=0.0: random.normal(mean, 1, n).round(4)
    values = normal(31)
    points = [(0.5, 0.2), (0.5, 30.0), (1.0, 1.0), (3.5, 4.6), (20.0, 12.0), (100.0, 140.0), (7.0, 200.0)]
    result = {
        "madeBy": f"golden/make_drift.py, scipy {scipy.__version__}, numpy {np.__version__}",
        "kolmogorovSmirnov": [
            smirnov(normal(40), normal(60)),
            smirnov(normal(40), normal(25, 1.0)),
            smirnov(random.integers(0, 5, 50).astype(float), random.integers(0, 5, 30).astype(float)),
            smirnov(np.array([1.0]), np.array([2.0, 3.0])),
            smirnov(normal(200), normal(200, 0.6)),
        ],
        "counts": [
            counts([50, 30, 20], [48, 35, 17]),
            counts([500, 300, 200, 5], [10, 3, 80, 0]),
            counts([10, 0, 5, 0], [8, 0, 7, 3]),
            counts([1000] * 10, [12, 9, 11, 8, 10, 10, 7, 13, 9, 11]),
        ],
        "gammaQ": [[a, x, gammaincc(a, x)] for a, x in points],
        "logGamma": [[x, gammaln(x)] for x in (0.1, 0.5, 1.0, 3.7, 50.0, 1e4)],
        "kolmogorov": [[x, kolmogorov(x)] for x in (0.2, 0.4, 0.7, 0.99, 1.0, 1.01, 1.5, 2.5, 4.0)],
        "quantiles": {"values": values.tolist(), "at": [[q, np.quantile(values, q)] for q in (0, 0.1, 0.5, 0.95, 0.99, 1)]},
    }
    target = Path(__file__).parent / "track" / "drift.json"
    target.write_text(json.dumps(result, separators=(",", ":")) + "\n")


main()
