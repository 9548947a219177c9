"""Bootstrap intervals (95 %, percentile method) over utterances.

B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993; for word error rates M. Bisani
and H. Ney, ICASSP 2004.
"""

from collections.abc import Sequence

import numpy as np
import scipy.stats

DRAWS = 2000


def interval(values: Sequence = (), lengths: Sequence | None = None) -> tuple[float, float]:
    """(low, high) of mean(values), or of 100 sum(values) / sum(lengths), such as WER in percent.

    Both are [utterances]. Of two systems give the differences, paired by utterance. NaNs where
    fewer than two utterances leave nothing to resample.
    """
    columns = [np.asarray(x, np.float64) for x in (values, lengths) if x is not None]
    if not all(np.isfinite(column).all() for column in columns):
        raise ValueError("leave out the utterances that have no score")
    if len(columns[0]) < 2 or not np.sum(columns[-1] if len(columns) > 1 else 1):
        return np.nan, np.nan
    statistic = np.mean if lengths is None else rate
    options = {"n_resamples": DRAWS, "method": "percentile", "paired": True, "rng": 0}
    low, high = scipy.stats.bootstrap(columns, statistic, **options).confidence_interval
    return float(low), float(high)


def rate(values: np.ndarray, lengths: np.ndarray, axis: int) -> np.ndarray:
    """100 sum(values) / sum(lengths); a resample without any reference counts 0."""
    values, lengths = 100.0 * values.sum(axis), lengths.sum(axis)
    return np.divide(values, lengths, out=np.zeros_like(values), where=lengths > 0)
