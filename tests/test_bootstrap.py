"""Intervals against theory and cases with a known answer."""

import time

import numpy as np
import pytest

from scoring import bootstrap

RNG = np.random.default_rng(0)
VALUES = RNG.normal(2.0, 0.5, 400)
LENGTHS = RNG.integers(3, 20, 500)


def test_mean_agrees_with_theory():
    half = 1.96 * VALUES.std() / np.sqrt(len(VALUES))
    expected = (VALUES.mean() - half, VALUES.mean() + half)
    assert bootstrap.interval(VALUES) == pytest.approx(expected, abs=0.15 * half)
    assert bootstrap.interval(VALUES) == bootstrap.interval(VALUES)


def test_covers_the_truth_about_95_times_of_100():
    samples = RNG.normal(0.0, 1.0, (200, 60))
    hits = sum(low < 0 < high for low, high in map(bootstrap.interval, samples))
    assert 0.89 < hits / len(samples) < 0.985


def test_rate_resamples_utterances_with_their_lengths():
    errors = RNG.binomial(LENGTHS, 0.1)
    rate = 100 * errors.sum() / LENGTHS.sum()
    half = 196 * np.sqrt(0.1 * 0.9 / LENGTHS.sum())
    expected = (rate - half, rate + half)
    assert bootstrap.interval(errors, LENGTHS) == pytest.approx(expected, abs=0.2 * half)
    assert bootstrap.interval(LENGTHS, LENGTHS) == (100.0, 100.0)


def test_paired_differences_see_what_separate_intervals_hide():
    better = VALUES + 0.02 + RNG.normal(0, 0.01, len(VALUES))
    low, high = bootstrap.interval(better - VALUES)
    assert 0.017 < low < 0.021 and high < 0.023
    assert bootstrap.interval(better)[0] < bootstrap.interval(VALUES)[1]


def test_nothing_is_said_of_one_value_or_no_reference():
    assert np.isnan(bootstrap.interval([1.0])).all() and np.isnan(bootstrap.interval([])).all()
    assert np.isnan(bootstrap.interval([1, 2], [0, 0])).all()
    low, high = bootstrap.interval([0, 1], [0, 4])  # some draws have no reference
    assert (low, high) == (0, 25)


def test_missing_scores_are_refused():
    for missing in (None, float("nan")):
        with pytest.raises(ValueError, match="no score"):
            bootstrap.interval([1.0, missing])


def test_a_test_set_of_twelve_metrics_takes_no_seconds():
    start = time.process_time()
    for _ in range(12):
        bootstrap.interval(RNG.normal(size=824))
    assert time.process_time() - start < 2
