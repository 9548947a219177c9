"""The four searches find what the posteriors say."""

from types import SimpleNamespace

import pytest
import torch

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


def test_settings_left_out_are_the_usual_ones():
    assert Decoding("ctc_beam", {"size": 3}).beam == {**BEAM, "size": 3}
