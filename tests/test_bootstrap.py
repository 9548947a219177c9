"""Intervals over utterances against theory and cases with a known answer."""

import numpy as np
import pytest

from scoring import bootstrap

RNG = np.random.default_rng(0)


def interval(values, lengths=1):
    """Of one seed, [utterances]."""
    return bootstrap.interval(np.stack(np.broadcast_arrays(values, lengths), axis=-1)[None])


def test_covers_the_truth_about_95_times_of_100():
    samples = RNG.normal(0.0, 1.0, (200, 60))
    hits = sum(low < 0 < high for low, high in map(interval, samples))
    assert 0.89 < hits / len(samples) < 0.985


def test_rate_resamples_utterances_with_their_lengths():
    lengths = RNG.integers(3, 20, 500)
    errors = RNG.binomial(lengths, 0.1)
    rate, half = errors.sum() / lengths.sum(), 1.96 * np.sqrt(0.1 * 0.9 / lengths.sum())
    expected = (rate - half, rate + half)
    assert interval(errors, lengths) == pytest.approx(expected, abs=0.2 * half)
    assert interval(lengths, lengths) == (1.0, 1.0)


def test_nothing_is_said_of_one_value_or_no_reference():
    assert np.isnan(interval([1.0])).all() and np.isnan(interval([])).all()
    assert np.isnan(interval([1, 2], [0, 0])).all()
    assert interval([0, 1], [0, 4]) == (0.25, 0.25)  # some draws have no reference
