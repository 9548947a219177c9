"""Noises that change places in a batch, and long utterances that are heard in parts."""

import pytest
import torch
from tiny import run

import train
from errors import RecipeError
from training import data
from training.remix import remix
from training.tokens import build_tokens


def batch():
    """Clean [3, 100], noises that tell their utterance (1, 2, 3), lengths; the second utterance is half as long."""
    clean, lens = torch.rand(3, 100), torch.tensor([1.0, 0.5, 1.0])
    noise = torch.tensor([1.0, 2.0, 3.0]).unsqueeze(1).repeat(1, 100)
    clean[1, 50:] = 0
    noise[1, 50:] = 0
    return clean, clean + noise, lens


def test_each_noise_goes_to_one_utterance_as_long_as_that_is():
    clean, noisy, lens = batch()
    noises = remix(noisy, clean, lens, gain=0.0, seed=3) - clean
    assert sorted(round(row.max().item()) for row in noises) == [1, 2, 3]
    for row, count in zip(
        noises, (100, 50, 100)
    ):  # the short noise is repeated, nothing is behind the short utterance
        torch.testing.assert_close(row[:count], row[:1].expand(count))
        assert not row[count:].any()


def test_other_steps_hear_other_mixtures_within_the_gain():
    clean, noisy, lens = batch()
    found = [remix(noisy, clean, lens, gain=6.0, seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
    sizes = sorted((found[2] - clean).amax(dim=1).tolist())
    assert all(
        own / 2 <= size <= own * 2 for own, size in zip((1, 2, 3), sizes)
    )  # 6 dB is a factor of 2


def test_alone_an_utterance_keeps_its_noise_from_another_start():
    noise = torch.arange(10.0).unsqueeze(0)
    mixed = remix(noise, torch.zeros(1, 10), torch.ones(1), gain=0.0, seed=1)
    assert sorted(mixed[0].round().int().tolist()) == list(range(10))


def test_parts_make_the_whole_and_training_takes_them(place):
    options = ["--mimic_weight=null", "--remix=5", "--piece_seconds=1", "--number_of_epochs=1"]
    assert run("enhance_mimic", *options) == 0
    annotation = "results/enhance_mimic/1/manifests/train.json"
    tokens = build_tokens("characters", "tokens", annotation, 32)
    whole, parts = (
        data.build_dataset(annotation, "mini_corpus", tokens, 16000, piece_seconds=s)
        for s in (None, 1)
    )
    assert max(entry["length"] for entry in parts.data.values()) <= 1
    for name in whole.data_ids:
        own = [
            parts[i]["noisy_sig"]
            for i, part in enumerate(parts.data_ids)
            if part.split("#")[0] == name
        ]
        assert len(own) > 1 and torch.equal(
            torch.cat(own), whole[whole.data_ids.index(name)]["noisy_sig"]
        )


@pytest.mark.parametrize("wrong", ["--remix=-1", "--remix=loud", "--piece_seconds=0"])
def test_what_cannot_be_meant_is_refused(place, wrong):
    with pytest.raises(RecipeError, match=wrong.split("=")[0][2:]):
        train.checked_settings(["hparams/enhance_mimic.yaml", wrong])
