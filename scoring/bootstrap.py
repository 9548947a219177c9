"""Bootstrap intervals (95 %, percentile method) over utterances, and over seeds of training.

B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993; for word error rates M. Bisani
and H. Ney, ICASSP 2004.
"""

from functools import lru_cache

import numpy as np

# Seed, or score -> utterance -> (numerator, denominator)
Columns = dict[int | str, dict[str, tuple[float, float]]]
DRAWS = 2000
LEVELS = (2.5, 97.5)  # percent


def interval(pairs: np.ndarray) -> tuple[float, float]:
    """(low, high) of the numerators' sum over the denominators', [seeds, utterances, 2].

    That is a mean where denominators are 1. Each draw takes seeds and utterances with replacement;
    all seeds share the drawn utterances. With two or three seeds their part is rough. NaNs where
    fewer than two utterances leave nothing to draw.
    """
    if pairs.shape[1] < 2 or not pairs[..., 1].any():
        return np.nan, np.nan
    seeds, utterances = (draws(size, place) for place, size in enumerate(pairs.shape[:2]))
    drawn = [((seeds @ part) * utterances).sum(axis=1) for part in np.moveaxis(pairs, 2, 0)]
    some = drawn[1] > 0  # a draw of empty references alone has no rate
    low, high = np.percentile(drawn[0][some] / drawn[1][some], LEVELS)
    return float(low), float(high)


@lru_cache(maxsize=8)
def draws(size: int, seed: int) -> np.ndarray:
    """How often each of ``size`` items is drawn, [draws, size]; the same for all columns."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(size, np.full(size, 1 / size), size=DRAWS).astype(np.float64)


def difference(a: Columns, b: Columns) -> Columns:
    """a - b over the seeds (scores) and utterances that both have, with references in common."""
    return {
        key: {
            name: (a[key][name][0] - b[key][name][0], a[key][name][1])
            for name in sorted(a[key].keys() & b[key].keys())
        }
        for key in sorted(a.keys() & b.keys())
    }
