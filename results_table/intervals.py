"""Means and rates over seeds and utterances, with 95 % bootstrap intervals."""

from functools import lru_cache

import numpy as np

from scoring.bootstrap import counts, ends

DRAWS = 2000


def estimate(column):
    """{"value", "low", "high", "seeds": {seed: value}} of a column, seeds -> (utterance -> (numerator, denominator)).

    Seeds are tuples: (seed,), or (seed of the enhancer, seed of the recognizer) of all pairs, which are then drawn apart.

    The value is the sum of all numerators over that of all denominators. The interval comes from resampling seeds and
    utterances (percentiles of Efron and Tibshirani, 1993). Seeds that scored the same utterances share each draw of
    them; seeds with utterances of their own (rotated speakers) draw their own. One seed leaves the interval over
    utterances, and two or three a rough one. None without utterances.
    """
    tables = {seed: table(values) for seed, values in sorted(column.items()) if values}
    total = sum((t.sum(axis=0) for t in tables.values()), np.zeros(2))
    if total[1] == 0:
        return None
    low, high = ends(
        resampled(tables, shared=len({tuple(sorted(values)) for values in column.values()}) == 1)
    )
    return {
        "value": float(total[0] / total[1]),
        "low": low,
        "high": high,
        "seeds": by_first(tables),
    }


def by_first(tables):
    """The ratio for each first seed."""
    sums = {}
    for (seed, *_), scores in tables.items():
        sums[seed] = sums.get(seed, 0) + scores.sum(axis=0)
    return {seed: float(numerator / denominator) for seed, (numerator, denominator) in sums.items()}


def table(values):
    """Utterance -> (numerator, denominator) as an array [utterances, 2], in the order of the names."""
    return np.array([values[utt_id] for utt_id in sorted(values)], dtype=np.float64)


def resampled(tables, shared):
    """The ratio in each of the draws."""
    seeds = seed_counts(list(tables))
    generators = np.random.SeedSequence(1).spawn(len(tables))
    sums = np.zeros((DRAWS, 2))
    for i, scores in enumerate(tables.values()):
        drawn = same_counts(len(scores), 1) if shared else counts(len(scores), DRAWS, generators[i])
        sums += seeds[:, i : i + 1] * (drawn @ scores)
    sums = sums[sums[:, 1] > 0]  # a draw of empty references alone has no rate
    return sums[:, 0] / sums[:, 1]


def seed_counts(keys):
    """How often each key, a tuple of seeds, is drawn, [draws, keys]: the product over the seeds, drawn place by place."""
    drawn = np.ones((DRAWS, len(keys)))
    for place, seeds in enumerate(zip(*keys)):
        names = sorted(set(seeds))
        drawn *= same_counts(len(names), 2 * place)[:, [names.index(seed) for seed in seeds]]
    return drawn


@lru_cache(maxsize=8)
def same_counts(size, seed):
    """``counts`` that all rows and metrics of as many utterances share: drawing is most of a table's time."""
    return counts(size, DRAWS, seed)


def off_zero(found):
    """Whether an interval leaves 0 out."""
    return found["low"] > 0 or found["high"] < 0
