"""The recognizer's input is augmented by the listed parts, with the original as the first copy."""

import pytest
import soundfile
import torch
from corpora import RATE, sound

from errors import RecipeError
from training.augmentation import NAMES, build_augmentation

WAVEFORMS, LENGTHS = torch.randn(2, RATE), torch.tensor([1.0, 0.6])


def test_all_parts_together_change_a_second_copy_and_keep_its_length():
    torch.manual_seed(0)
    augment = build_augmentation(list(NAMES))
    changed, lengths = augment(WAVEFORMS, LENGTHS)
    assert torch.equal(changed[:2, :RATE], WAVEFORMS)
    assert changed.shape[0] == 4 and not torch.equal(changed[2:, :RATE], WAVEFORMS)
    assert torch.allclose(lengths * changed.shape[1], LENGTHS.repeat(2) * RATE, rtol=0.06)
    assert torch.equal(augment.replicate_labels(torch.tensor([5, 7])), torch.tensor([5, 7, 5, 7]))


@pytest.mark.parametrize("kind", ["white", "csv"])
def test_noise_is_0_to_15_db_below_the_speech(tmp_path, kind):
    if kind == "csv":
        soundfile.write(tmp_path / "n.wav", sound("n", 2.0), RATE)
        row = f"n,2.0,{tmp_path}/n.wav,wav,\n"
        (tmp_path / "noise.csv").write_text("ID,duration,wav,wav_format,wav_opts\n" + row)
        kind = str(tmp_path / "noise.csv")
    torch.manual_seed(0)
    speech = torch.sin(torch.arange(RATE) * 0.2).repeat(8, 1)
    mixed = build_augmentation(["noise"], kind)(speech, torch.ones(8))[0][8:]
    gain = (mixed * speech).sum(dim=1, keepdim=True) / speech.square().sum(dim=1, keepdim=True)
    noise = mixed - gain * speech
    levels = 20 * torch.log10((gain * speech).std(dim=1) / noise.std(dim=1))
    assert levels.min() > -1 and levels.max() < 16 and levels.max() - levels.min() > 3  # dB


def test_none_is_none_and_a_missing_list_of_noises_is_told(tmp_path):
    assert build_augmentation(None) is None and build_augmentation([]) is None
    with pytest.raises(RecipeError, match="gone.csv does not exist"):
        build_augmentation(["noise"], "gone.csv")
