"""Noises that change places in a batch."""

import torch

from training.augmentation import remix


def batch():
    """Clean [3, 100], noises 1, 2 and 3, lengths; the second utterance is half as long."""
    clean, lens = torch.rand(3, 100), torch.tensor([1.0, 0.5, 1.0])
    noise = torch.tensor([1.0, 2.0, 3.0]).unsqueeze(1).repeat(1, 100)
    clean[1, 50:] = 0
    noise[1, 50:] = 0
    return clean, clean + noise, lens


def test_each_noise_goes_to_one_utterance_as_long_as_that_is():
    clean, noisy, lens = batch()
    noises = remix(noisy, clean, lens, gain=0.0, seed=3) - clean
    assert sorted(round(row.max().item()) for row in noises) == [1, 2, 3]
    for row, count in zip(noises, (100, 50, 100), strict=True):  # the short noise is repeated
        torch.testing.assert_close(row[:count], row[:1].expand(count))
        assert not row[count:].any()


def test_other_steps_have_other_mixtures_within_the_gain():
    clean, noisy, lens = batch()
    found = [remix(noisy, clean, lens, gain=6.0, seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
    sizes = sorted((found[2] - clean).amax(dim=1).tolist())
    for own, size in zip((1, 2, 3), sizes, strict=True):
        assert own / 2 <= size <= own * 2  # 6 dB is a factor of 2


def test_alone_an_utterance_keeps_its_noise_from_another_start():
    noise = torch.arange(10.0).unsqueeze(0)
    mixed = remix(noise, torch.zeros(1, 10), torch.ones(1), gain=0.0, seed=1)
    assert sorted(mixed[0].round().int().tolist()) == list(range(10))
