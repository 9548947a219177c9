"""The four searches find what the posteriors say, and mistyped settings are told."""

from types import SimpleNamespace

import pytest
import torch

from errors import RecipeError
from training.decoding import BEAM, Decoding

TOKENS = SimpleNamespace(blank=4, begin=1, end=2)  # the blank may be any index


def posteriors(path):
    """Log posteriors [1, time, 6] that are sure of a path."""
    return torch.nn.functional.one_hot(torch.tensor([path]), 6).mul(0.9).add(0.02).log()


@pytest.mark.parametrize("kind", ["ctc_greedy", "ctc_beam"])
def test_ctc_leaves_out_repetitions_and_the_blank_of_the_tokens(kind):
    search = Decoding(kind, {"size": 3}).build(TOKENS, 6)
    assert search(posteriors([3, 3, 4, 3, 5, 4, 0]), torch.ones(1)) == [[3, 3, 5, 0]]
    assert search(posteriors([3, 4, 2, 5]), torch.ones(1)) == [[3]]  # ends at the end of sentence


def test_what_a_search_calls_is_said():
    ctc, attention = "ctc_log_probs", "seq_log_probs"
    assert Decoding("ctc_beam").networks == {ctc}
    assert Decoding("attention_greedy", {"ctc_weight": 0.4}).networks == {attention}
    assert Decoding("attention_beam", {"ctc_weight": 0.4}).networks == {attention, ctc}
    assert [Decoding(kind).needs for kind in ("ctc_beam", "attention_beam")] == [ctc, "encoded"]


@pytest.mark.parametrize(
    "beam, words",
    [
        ({"width": 4}, "'width' is not one of size, ctc_weight"),
        ({"size": 0}, "size is 0; accepted: a whole number above 0"),
        ({"size": 2.5}, "size is 2.5"),
        ({"temperature": "hot"}, "temperature is 'hot'; accepted: a number"),
        ({"lm_weight": -1}, "lm_weight is -1"),
        ({"coverage": True}, "coverage is True"),
    ],
)
def test_mistyped_settings_are_told(beam, words):
    with pytest.raises(RecipeError, match=words):
        Decoding("attention_beam", beam)


def test_kinds_and_settings_left_out():
    with pytest.raises(RecipeError, match="'viterbi' is not one of ctc_greedy"):
        Decoding("viterbi")
    assert Decoding("ctc_beam", {"size": 3}).beam == {**BEAM, "size": 3}
