"""tune.json: splits of scikit-learn, quantiles of Student's t by scipy, densities and choices of Optuna's TPE on fixed
trials, and what its pruners decide about fixed curves.

usage: python golden/make_tune.py
"""

import math

import numpy as np
import optuna
import scipy
import sklearn
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.samplers._tpe import _truncnorm
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator, _ParzenEstimatorParameters
from optuna.samplers._tpe.sampler import _split_trials, default_gamma, default_weights
from optuna.trial import TrialState
from scipy import stats
from sklearn.model_selection import GroupKFold, KFold, LeaveOneOut, StratifiedKFold, TimeSeriesSplit

from common import GOLDEN, write_json

optuna.logging.set_verbosity(optuna.logging.ERROR)
# which of equal observations is the older one decides about weights; without this, numpy leaves it open
unstable_argsort = np.argsort
np.argsort = lambda values, **options: unstable_argsort(values, **({"kind": "stable"} | options))
MADE_BY = (
    f"golden/make_tune.py, scikit-learn {sklearn.__version__}, scipy {scipy.__version__}, optuna {optuna.__version__}"
)


def folds(splitter, count, labels=None, groups=None):
    pairs = splitter.split(np.zeros(count), labels, groups)
    return [{"train": train.tolist(), "test": test.tolist()} for train, test in pairs]


def splits():
    rng = np.random.RandomState(3)
    words = np.array(["spam", "ham", "eggs"])[rng.choice(3, 31, p=[0.2, 0.5, 0.3])].tolist()
    numbers = rng.randint(0, 4, 26).tolist()
    groups = rng.randint(0, 7, 30).tolist()
    names = np.array(["b", "a", "d", "c"])[rng.randint(0, 4, 12)].tolist()
    return {
        "kFold": [
            {"samples": n, "folds": k, "expected": folds(KFold(k), n)} for n, k in [(10, 5), (11, 3), (7, 7), (23, 4)]
        ],
        "stratifiedKFold": [
            {"labels": labels, "folds": k, "expected": folds(StratifiedKFold(k), len(labels), labels)}
            for labels, k in [(words, 5), (words, 3), (numbers, 4), ([1, 1, 0, 0, 1, 0, 1, 0], 2)]
        ],
        "groupKFold": [
            {"groups": g, "folds": k, "expected": folds(GroupKFold(k), len(g), groups=g)}
            for g, k in [(groups, 3), (groups, 7), (names, 2), ([5, 5, 2, 2, 9, 9], 3)]
        ],
        "leaveOneOut": [{"samples": n, "expected": folds(LeaveOneOut(), n)} for n in (2, 5)],
        "timeSeriesSplit": [
            {"samples": n, "options": options, "expected": folds(TimeSeriesSplit(**python), n)}
            for n, options, python in [
                (12, {"folds": 3}, {"n_splits": 3}),
                (20, {"folds": 4, "testSize": 2, "gap": 1}, {"n_splits": 4, "test_size": 2, "gap": 1}),
                (17, {"folds": 3, "mostTrain": 5}, {"n_splits": 3, "max_train_size": 5}),
            ]
        ],
    }


def quantiles():
    return [
        {"degrees": d, "probability": p, "expected": float(stats.t.ppf(p, d))}
        for d in (1, 2, 4, 9, 30, 200)
        for p in (0.6, 0.9, 0.975, 0.995)
    ]


def distribution_json(distribution):
    if isinstance(distribution, CategoricalDistribution):
        return {"type": "choice", "values": list(distribution.choices)}
    kind = "float" if isinstance(distribution, FloatDistribution) else "integer"
    facts = {"type": kind, "low": distribution.low, "high": distribution.high}
    if distribution.log:
        facts["log"] = True
    if distribution.step is not None:
        facts["step"] = distribution.step
    return facts


DISTRIBUTIONS = {
    "uniform": FloatDistribution(-2.0, 5.0),
    "log": FloatDistribution(1e-5, 1e-1, log=True),
    "step": FloatDistribution(0.0, 1.0, step=0.1),
    "integer": IntDistribution(1, 12),
    "even": IntDistribution(2, 20, step=2),
    "integerLog": IntDistribution(1, 256, log=True),
    "choice": CategoricalDistribution(["relu", "gelu", "tanh"]),
}


def random_value(distribution, rng):
    if isinstance(distribution, CategoricalDistribution):
        return int(rng.randint(len(distribution.choices)))
    low, high = distribution.low, distribution.high
    value = math.exp(rng.uniform(math.log(low), math.log(high))) if distribution.log else rng.uniform(low, high)
    if distribution.step is not None:
        value = low + round((value - low) / distribution.step) * distribution.step
    return float(np.clip(value, low, high))


def parzen_cases():
    parameters = _ParzenEstimatorParameters(1.0, True, False, default_weights, False)
    rng = np.random.RandomState(11)
    cases = []
    for name, distribution in DISTRIBUTIONS.items():
        for count in (0, 1, 4, 40):
            observations = [random_value(distribution, rng) for _ in range(count)]
            points = [random_value(distribution, rng) for _ in range(6)]
            estimator = _ParzenEstimator({name: np.array(observations)}, {name: distribution}, parameters)
            log_pdf = estimator.log_pdf({name: np.array(points)})
            case = {"parameter": distribution_json(distribution), "observations": observations, "points": points}
            cases.append(case | {"logDensities": log_pdf.tolist()})
    return cases


def log_masses():
    pairs = [(-1, 1), (-8, -7.5), (7.5, 8), (-30, -29), (0, 0.01), (-0.5, 0), (-3, 40), (-2.5, -2.4)]
    return [
        {"a": a, "b": b, "expected": float(_truncnorm._log_gauss_mass(np.array([float(a)]), np.array([float(b)]))[0])}
        for a, b in pairs
    ]


def study_of(direction, rng, count, with_constraints):
    """A study with trials of all states."""
    study = optuna.create_study(direction=direction)
    space = {"x": DISTRIBUTIONS["uniform"], "rate": DISTRIBUTIONS["log"], "activation": DISTRIBUTIONS["choice"]}
    for number in range(count):
        internal = {name: random_value(d, rng) for name, d in space.items()}
        params = {name: space[name].to_external_repr(value) for name, value in internal.items()}
        state = "pruned" if number % 5 == 3 else "complete"
        score = round((internal["x"] - 1) ** 2 + abs(math.log10(internal["rate"]) + 3), 4)
        reports = {step: score + 1 / (step + 1) for step in range(1 + number % 3)}
        trial = optuna.trial.create_trial(
            state=optuna.trial.TrialState.PRUNED if state == "pruned" else optuna.trial.TrialState.COMPLETE,
            value=None if state == "pruned" else score,
            params=params,
            distributions=space,
            intermediate_values=reports,
        )
        if with_constraints and number % 4 == 1:
            trial._system_attrs["constraints"] = [0.5 * (number % 3)]
        study.add_trial(trial)
    return study, space


def trial_json(trial):
    facts = {"number": trial.number, "state": trial.state.name.lower(), "values": trial.params}
    facts["reports"] = [{"step": step, "value": value} for step, value in trial.intermediate_values.items()]
    if trial.value is not None:
        facts["value"] = trial.value
    violations = [value for value in trial.constraints.values()] if trial.constraints else []
    if violations:
        facts["constraints"] = {"limit": violations[0]}
    return facts


def tpe_cases():
    cases = []
    for direction, count, with_constraints in [("minimize", 12, False), ("maximize", 33, False), ("minimize", 24, True)]:
        rng = np.random.RandomState(count)
        study, space = study_of(direction, rng, count, with_constraints)
        sampler = TPESampler(seed=5, multivariate=False, constant_liar=False)
        below, above = _split_trials(study, study.trials, default_gamma(count))
        choices = {}
        for name, distribution in space.items():
            estimators = [
                sampler._build_parzen_estimator(study, {name: distribution}, trials, handle_below=isBelow)
                for trials, isBelow in ((below, True), (above, False))
            ]
            candidates = estimators[0].sample(np.random.RandomState(7), 24)
            scores = sampler._compute_acquisition_func(candidates, *estimators)
            best = sampler._compare(candidates, scores)[name]
            choices[name] = {"candidates": candidates[name].tolist(), "scores": scores.tolist(), "best": best}
        cases.append(
            {
                "direction": direction,
                "space": {name: distribution_json(d) for name, d in space.items()},
                "trials": [trial_json(trial) for trial in study.trials],
                "below": [trial.number for trial in below],
                "choices": choices,
            }
        )
    return cases


def decisions(pruner, direction, curves):
    """Runs the curves one after another, and with two at a time; -> the step at which each is pruned, or null."""
    outcomes = {}
    for together in (1, 2):
        study = optuna.create_study(direction=direction, pruner=pruner)
        ended = []
        for start in range(0, len(curves), together):
            group = [(study.ask(), curve) for curve in curves[start : start + together]]
            steps = [None] * len(group)
            for step in range(1, len(curves[0]) + 1):
                for i, (trial, curve) in enumerate(group):
                    if steps[i] is not None:
                        continue
                    trial.report(curve[step - 1], step)
                    if trial.should_prune():
                        steps[i] = step
                        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            for i, (trial, curve) in enumerate(group):
                if steps[i] is None:
                    study.tell(trial, curve[-1])
            ended += steps
        outcomes[str(together)] = ended
    return outcomes


def pruner_cases():
    rng = np.random.RandomState(23)
    length = 27
    curves = [
        [round(float(level + scale / (step + 1) + noise), 4) for step, noise in enumerate(rng.normal(0, 0.05, length))]
        for level, scale in zip(rng.uniform(0, 1, 24), rng.uniform(0.5, 2, 24))
    ]
    pruners = [
        ({"name": "median", "options": {}}, optuna.pruners.MedianPruner()),
        (
            {"name": "median", "options": {"startupTrials": 3, "warmupSteps": 4, "interval": 3}},
            optuna.pruners.MedianPruner(3, 4, 3),
        ),
        (
            {"name": "percentile", "options": {"percentile": 25, "startupTrials": 2, "leastTrials": 4}},
            optuna.pruners.PercentilePruner(25.0, 2, n_min_trials=4),
        ),
        ({"name": "asha", "options": {}}, optuna.pruners.SuccessiveHalvingPruner(min_resource=1)),
        (
            {"name": "asha", "options": {"minBudget": 2, "reduction": 3, "skipRungs": 1}},
            optuna.pruners.SuccessiveHalvingPruner(min_resource=2, reduction_factor=3, min_early_stopping_rate=1),
        ),
        ({"name": "patience", "options": {"patience": 3}}, optuna.pruners.PatientPruner(None, 3)),
        (
            {"name": "patience", "options": {"patience": 1, "minImprovement": 0.05}},
            optuna.pruners.PatientPruner(None, 1, min_delta=0.05),
        ),
    ]
    return {
        "curves": curves,
        "cases": [
            facts | {"direction": direction, "pruned": decisions(pruner, direction, curves)}
            for facts, pruner in pruners
            for direction in ("minimize", "maximize")
        ],
    }


def front_cases():
    rng = np.random.RandomState(31)
    cases = []
    for directions, with_constraints in [
        (["minimize", "maximize"], False),
        (["maximize", "maximize"], True),
        (["minimize", "minimize", "maximize"], False),
        (["maximize", "minimize", "minimize"], True),
        (["minimize"], False),
    ]:
        study = optuna.create_study(directions=directions)
        for number in range(40):
            state = TrialState.COMPLETE if rng.rand() < 0.8 else [TrialState.FAIL, TrialState.PRUNED][rng.randint(2)]
            values = [float(value) for value in rng.randint(0, 9, len(directions))]  # with ties
            constraint = float(rng.randint(-2, 2))
            study.add_trial(
                optuna.trial.create_trial(
                    state=state,
                    values=values if state == TrialState.COMPLETE else None,
                    system_attrs={"constraints": [constraint]} if with_constraints else {},
                )
            )
        trials = []
        for trial in study.trials:
            constraints = trial.system_attrs.get("constraints")
            trials.append(
                {"state": trial.state.name.lower().replace("fail", "failed")}
                | ({"values": trial.values} if trial.values else {})
                | ({"constraint": constraints[0]} if constraints else {})
            )
        best = sorted(trial.number for trial in study.best_trials)
        cases.append({"directions": directions, "trials": trials, "best": best})
    return cases


def main():
    write_json(
        GOLDEN / "tune.json",
        {
            "madeBy": MADE_BY,
            "splits": splits(),
            "quantiles": quantiles(),
            "logMasses": log_masses(),
            "parzen": parzen_cases(),
            "tpe": tpe_cases(),
            "pruners": pruner_cases(),
            "fronts": front_cases(),
        },
    )


main()
