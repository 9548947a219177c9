"""Means, rates and differences over seeds and utterances against values that are known."""

import numpy as np
import pytest

from experiments.table import estimate, significant
from scoring.bootstrap import difference


def column(values):
    """[seeds, utterances] -> a column of means."""
    return {
        seed: {f"u{i:03}": (float(value), 1.0) for i, value in enumerate(row)}
        for seed, row in enumerate(values, start=1)
    }


def drawn(generator, seeds, utterances, of_seeds=1.0, of_utterances=1.0, of_pairs=0.5):
    """Scores with a part for each seed, a part for each utterance, and noise."""
    return (
        of_seeds * generator.normal(size=(seeds, 1))
        + of_utterances * generator.normal(size=(1, utterances))
        + of_pairs * generator.normal(size=(seeds, utterances))
    )


def test_one_seed_has_the_interval_of_a_mean():
    values = np.random.default_rng(0).normal(5, 2, size=(1, 400))
    found = estimate(column(values))
    assert found["value"] == pytest.approx(values.mean())
    error = 1.96 * values.std() / 20
    assert found["high"] - found["value"] == pytest.approx(error, rel=0.1)
    assert found["value"] - found["low"] == pytest.approx(error, rel=0.1)


def test_the_interval_covers_the_true_mean_over_new_seeds_and_utterances():
    generator = np.random.default_rng(1)
    trials = [estimate(column(drawn(generator, 10, 40))) for _ in range(200)]
    covered = np.mean([found["low"] <= 0 <= found["high"] for found in trials])
    assert 0.88 <= covered <= 0.98  # ten seeds are few: a little below 95 %


def test_without_seeds_in_the_draw_the_interval_would_be_too_narrow():
    generator = np.random.default_rng(2)
    values = drawn(generator, 8, 200, of_seeds=2.0)
    both, one = estimate(column(values)), estimate(column(values.mean(axis=0, keepdims=True)))
    assert both["high"] - both["low"] > 3 * (one["high"] - one["low"])


def test_pairing_takes_out_what_both_rows_share():
    generator = np.random.default_rng(3)
    shared = drawn(generator, 3, 100, of_utterances=5.0)
    a = shared + 0.2 + 0.1 * generator.normal(size=shared.shape)
    paired = estimate(difference(column(a), column(shared)))
    assert paired["value"] == pytest.approx(0.2, abs=0.03) and significant(paired)
    assert not significant(estimate(column(a)))


def test_a_rate_divides_sums():
    errors = {
        1: {"a": (100.0, 10.0), "b": (0.0, 30.0)},
        2: {"a": (300.0, 10.0), "b": (0.0, 30.0)},
    }
    found = estimate(errors)
    assert found["value"] == 5.0 and found["seeds"] == {1: 2.5, 2: 7.5}
    assert found["low"] <= 2.5 and found["high"] >= 7.5


def test_an_empty_reference_counts_its_errors():
    found = estimate({1: {"a": (100.0, 0.0), "b": (100.0, 10.0), "c": (0.0, 10.0)}})
    assert found["value"] == 10.0 and np.isfinite([found["low"], found["high"]]).all()


def test_what_has_no_score_in_one_row_is_left_out_of_the_pair():
    a, b = column(np.ones((2, 50))), column(np.zeros((1, 50)))
    del a[1]["u003"], b[1]["u004"]
    pair = difference(a, b)
    assert pair.keys() == {1} and len(pair[1]) == 48
    assert estimate(pair)["value"] == 1.0


def test_an_utterance_without_score_in_one_seed_leaves_the_other_seeds_mean():
    values = column(np.array([[1.0, 3.0], [1.0, 3.0]]))
    del values[1]["u001"]
    assert estimate(values)["seeds"] == {1: 1.0, 2: 2.0}
    assert estimate(values)["value"] == pytest.approx(5 / 3)


def test_nothing_has_no_estimate():
    assert estimate({}) is None and estimate({1: {}}) is None


def test_the_same_scores_have_the_same_interval_to_the_digit():
    values = column(np.random.default_rng(4).normal(size=(3, 30)))
    again = dict(reversed([(s, dict(reversed(row.items()))) for s, row in values.items()]))
    assert estimate(values) == estimate(again)
