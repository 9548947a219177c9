"""What silences stretches of the recognizer's input does as SpeechBrain's does, and keeps padding and utterances apart."""

import torch
from speechbrain.augment.time_domain import DropChunk

from training.augmentation import DropChunkAnywhere, build_augmentation

SIZES = {"drop_length_low": 10, "drop_length_high": 20}


def test_the_same_stretches_are_silenced():
    waveforms, lengths = torch.rand(4, 400) + 0.1, torch.tensor([1.0, 0.7, 0.5, 0.2])
    found = []
    for kind in (DropChunk, DropChunkAnywhere):
        torch.manual_seed(3)
        found.append((kind(**SIZES)(waveforms, lengths), torch.rand(1)))
    assert torch.equal(found[0][0], found[1][0]) and found[0][1] == found[1][1]
    silent = found[1][0].eq(0)
    assert silent.any(dim=1).all() and silent.sum(dim=1).le(3 * 20).all() and waveforms.gt(0).all()


def test_all_parts_together_change_the_speech_and_keep_its_shape():
    torch.manual_seed(0)
    augment = build_augmentation("white", [100], True, True, keep_original=True)
    waveforms, lengths = torch.randn(2, 16000), torch.tensor([1.0, 0.6])
    changed, changed_lengths = augment(waveforms, lengths)
    assert torch.equal(changed[:2], waveforms) and not torch.equal(changed[2:], waveforms)
    assert changed.shape == (4, 16000) and torch.equal(changed_lengths, lengths.repeat(2))
    assert torch.equal(augment.replicate_labels(torch.tensor([5, 7])), torch.tensor([5, 7, 5, 7]))
