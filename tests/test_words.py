"""Error rates by hand."""

import math

import pytest

from scoring.words import ErrorRates


def test_rates_by_hand():
    rates = ErrorRates()
    rates.add("a", ["THE", "CAT", "SAT"], ["THE", "CAP", "SAT"])  # 1 of 3 words, 1 of 11 characters
    rates.add("b", "ON THE MAT", "ON MAT")  # 1 of 3 words, 4 of 10 characters
    rates.add("c", "YES", "YES SIR")  # 1 of 1 word, 4 of 3 characters
    assert rates.summary() == pytest.approx({"wer": 100 * 3 / 7, "cer": 100 * 9 / 24})
    assert [(r["word_errors"], r["words"]) for r in rates.records] == [(1, 3), (1, 3), (1, 1)]
    assert [(r["char_errors"], r["chars"]) for r in rates.records] == [(1, 11), (4, 10), (4, 3)]


def test_rate_is_of_sums_not_a_mean_of_rates():
    rates = ErrorRates(["word"])
    rates.add_batch(["a", "b"], ["ONE", "ONE TWO THREE FOUR"], ["TWO", "ONE TWO THREE FOUR"])
    assert rates.summary() == {"wer": 20.0}


def test_empty_hypothesis_is_all_deleted():
    rates = ErrorRates()
    rates.add("a", "ONE TWO", [])
    rates.add("b", "ONE TWO", [""])
    assert rates.summary() == {"wer": 100.0, "cer": 100.0}
    assert not rates.empty_references()


def test_empty_reference_is_counted_and_named():
    rates = ErrorRates()
    rates.add("silent", "", "NOISE HEARD")
    rates.add("quiet", "", "")
    assert all(math.isnan(rate) for rate in rates.summary().values())
    rates.add("spoken", "ONE TWO THREE FOUR", "ONE TWO THREE FOUR")
    assert rates.summary()["wer"] == 50.0
    assert rates.empty_references() == ["silent", "quiet"]


def test_phones():
    rates = ErrorRates(["phone"])
    rates.add("a", "DH AH K AE T", "DH AH K AH T")
    assert rates.summary() == {"per": 20.0}
    assert (rates.records[0]["phone_errors"], rates.records[0]["phones"]) == (1, 5)


def test_mistakes():
    with pytest.raises(ValueError, match="known are"):
        ErrorRates(["syllable"])
    with pytest.raises(ValueError):
        ErrorRates().add_batch(["a", "b"], ["x"], ["x"])
