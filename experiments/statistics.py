"""Means and rates over seeds and utterances, with 95 % bootstrap intervals.

Percentile method: B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993. Rates:
M. Bisani and H. Ney, "Bootstrap estimates for confidence intervals in ASR", ICASSP 2004.
"""

from functools import lru_cache

import numpy as np

DRAWS = 2000
LEVELS = (2.5, 97.5)  # percent

Column = dict[int, dict[str, tuple[float, float]]]  # seed -> utterance -> (numerator, denominator)


def estimate(column: Column) -> dict | None:
    """{"value", "low", "high", "seeds": {seed: value}} of a column; None without utterances.

    The value is the sum of numerators over that of denominators: a mean where these are 1. Each
    draw takes seeds and utterances with replacement; all seeds share the drawn utterances. With
    one seed this is the interval over utterances; with two or three the part of seeds is rough.
    """
    names = sorted({name for values in column.values() for name in values})
    # [seeds, utterances, 2] in the order of their names; zeros where a seed lacks an utterance
    pairs = [[column[seed].get(name, (0, 0)) for name in names] for seed in sorted(column)]
    sums = np.array(pairs, dtype=np.float64).reshape(len(column), len(names), 2)
    totals = sums.sum(axis=1)
    if not totals[:, 1].any():
        return None
    seeds, utterances = (draws(size, place) for place, size in enumerate(sums.shape[:2]))
    drawn = [((seeds @ part) * utterances).sum(axis=1) for part in np.moveaxis(sums, 2, 0)]
    some = drawn[1] > 0  # a draw of empty references alone has no rate
    low, high = np.percentile(drawn[0][some] / drawn[1][some], LEVELS)
    numerator, denominator = totals.sum(axis=0)
    by_seed = zip(sorted(column), totals, strict=True)
    return {
        "value": float(numerator / denominator),
        "low": float(low),
        "high": float(high),
        "seeds": {seed: float(total[0] / total[1]) for seed, total in by_seed if total[1]},
    }


@lru_cache(maxsize=8)
def draws(size: int, seed: int) -> np.ndarray:
    """How often each of ``size`` items is drawn, [draws, size]; the same for all columns."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(size, np.full(size, 1 / size), size=DRAWS).astype(np.float64)


def difference(a: Column, b: Column) -> Column:
    """Column of a - b over the seeds and utterances that both have, with references in common."""
    return {
        seed: {
            name: (a[seed][name][0] - b[seed][name][0], a[seed][name][1])
            for name in sorted(a[seed].keys() & b[seed].keys())
        }
        for seed in sorted(a.keys() & b.keys())
    }


def significant(found: dict) -> bool:
    """Whether an interval excludes 0."""
    return found["low"] > 0 or found["high"] < 0
