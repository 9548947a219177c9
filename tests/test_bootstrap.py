"""Intervals against theory, SciPy and cases with a known answer."""

import numpy as np
import pytest
import scipy.stats

from scoring import bootstrap

RNG = np.random.default_rng(0)
VALUES = RNG.normal(2.0, 0.5, 400)


def test_mean_agrees_with_theory_and_scipy():
    low, high = bootstrap.interval(VALUES)
    half = 1.96 * VALUES.std() / np.sqrt(len(VALUES))
    assert (low, high) == pytest.approx(
        (VALUES.mean() - half, VALUES.mean() + half), abs=0.15 * half
    )
    scipys = scipy.stats.bootstrap(
        (VALUES,), np.mean, n_resamples=2000, method="percentile", rng=1
    ).confidence_interval
    assert (low, high) == pytest.approx(tuple(scipys), abs=0.15 * half)


def test_same_seed_same_interval():
    assert bootstrap.interval(VALUES) == bootstrap.interval(VALUES)
    assert bootstrap.interval(VALUES) != bootstrap.interval(VALUES, seed=1)


def test_covers_the_truth_about_95_times_of_100():
    samples = RNG.normal(0.0, 1.0, (300, 60))
    hits = sum(
        low < 0 < high for low, high in (bootstrap.interval(sample, n=300) for sample in samples)
    )
    assert 0.89 < hits / len(samples) < 0.985


def test_pairing_sees_what_separate_intervals_hide():
    better = VALUES + 0.02 + RNG.normal(0, 0.01, len(VALUES))
    low, high = bootstrap.paired_interval(better, VALUES)
    assert 0.018 < low < 0.02 + 0.001 and high < 0.022
    assert bootstrap.interval(better)[0] < bootstrap.interval(VALUES)[1]


def test_mappings_pair_by_id():
    a, b = {"x": 3.0, "y": 5.0, "z": 8.0}, {"z": 7.0, "y": 4.0, "x": 2.0}
    assert bootstrap.paired_interval(a, b) == (1.0, 1.0)
    with pytest.raises(ValueError, match="w, z"):
        bootstrap.paired_interval(a, {"x": 1.0, "y": 1.0, "w": 1.0})


def test_rate_resamples_utterances_with_their_lengths():
    lengths = RNG.integers(3, 20, 500)
    errors = RNG.binomial(lengths, 0.1)
    low, high = bootstrap.ratio_interval(errors, lengths)
    rate = 100 * errors.sum() / lengths.sum()
    half = 196 * np.sqrt(0.1 * 0.9 / lengths.sum())
    assert (low, high) == pytest.approx((rate - half, rate + half), abs=0.2 * half)
    assert bootstrap.ratio_interval(lengths, lengths) == (100.0, 100.0)


def test_paired_rates():
    lengths = RNG.integers(3, 20, 500)
    errors = RNG.binomial(lengths, 0.2)
    fewer = np.where(np.arange(500) % 10 == 0, np.maximum(errors - 1, 0), errors)
    low, high = bootstrap.paired_ratio_interval(fewer, errors, lengths)
    assert low < 100 * (fewer - errors).sum() / lengths.sum() < high < 0


def test_seeds_are_a_second_level():
    by_seed = np.array([[0.0], [1.0], [-1.0], [0.5], [-0.5]]) + RNG.normal(0, 0.1, (5, 200))
    zero = np.zeros_like(by_seed)
    low, high = bootstrap.seeded_interval(by_seed, zero)
    assert low < -0.3 and high > 0.3  # five seeds spread by 0.7
    utterances_alone = bootstrap.interval(by_seed.mean(axis=0))
    assert utterances_alone[1] - utterances_alone[0] < 0.05


def test_seeds_and_utterances_pair_by_name():
    a = {1: {"x": 1.0, "y": 2.0}, 2: {"y": 5.0, "x": 4.0}}
    b = {2: {"x": 3.0, "y": 4.0}, 1: {"y": 1.0, "x": 0.0}}
    assert bootstrap.seeded_interval(a, b) == (1.0, 1.0)
    with pytest.raises(ValueError, match="seeds differ: 2, 3"):
        bootstrap.seeded_interval(a, {1: b[1], 3: b[2]})
    assert bootstrap.seeded_ratio_interval(a, b, {"y": 10, "x": 10}) == pytest.approx((10.0, 10.0))


def test_one_seed_is_the_interval_over_utterances():
    one = bootstrap.seeded_interval(VALUES[None], np.zeros((1, len(VALUES))))
    assert one == pytest.approx(bootstrap.interval(VALUES), abs=0.01)


def test_refuses_missing_scores_and_says_nothing_of_one_value():
    for missing in (None, float("nan")):
        with pytest.raises(ValueError, match="no score"):
            bootstrap.interval([1.0, missing])
    assert np.isnan(bootstrap.interval([1.0])).all() and np.isnan(bootstrap.interval([])).all()
    with pytest.raises(ValueError, match="number"):
        bootstrap.paired_interval([1.0, 2.0], [1.0])
