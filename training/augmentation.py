"""Augmentation of waveforms in training: SpeechBrain's parts, and an exchange of noises."""

from pathlib import Path

import torch
from speechbrain.augment.augmenter import Augmenter
from speechbrain.augment.time_domain import AddNoise, DropChunk, DropFreq, SpeedPerturb

from corpus.layout import SAMPLE_RATE
from errors import RecipeError

NAMES = ("noise", "speed", "drop_freq", "drop_chunk")


def build_augmentation(names: list[str] | None, noise_csv: str = "white") -> Augmenter | None:
    """An Augmenter for waveforms [batch, samples], which returns them and an augmented copy.

    ``names``, in the order of their use: noise (0 to 15 dB; ``noise_csv`` is ``white``, or files as
    SpeechBrain's AddNoise lists them), speed (95, 100 or 105 %), drop_freq (random bands removed),
    drop_chunk (random stretches silenced).
    """
    if not names:
        return None
    white = noise_csv == "white"
    if "noise" in names and not white and not Path(noise_csv).is_file():
        raise RecipeError(f"augment_noise: {noise_csv} does not exist. Give a CSV file, or white.")
    parts = {
        "noise": AddNoise(csv_file=None if white else noise_csv, snr_low=0, snr_high=15),
        "speed": SpeedPerturb(orig_freq=SAMPLE_RATE, speeds=[95, 100, 105]),
        "drop_freq": DropFreq(),
        "drop_chunk": DropChunk(drop_length_low=1000, drop_length_high=2000, drop_count_high=5),
    }
    chosen, number = [parts[name] for name in names], len(names)
    all_at_once = dict(min_augmentations=number, max_augmentations=number)
    return Augmenter(concat_original=True, augmentations=chosen, **all_at_once)


def remix(
    noisy: torch.Tensor, clean: torch.Tensor, lens: torch.Tensor, gain: float, seed: int
) -> torch.Tensor:
    """Clean speech with noises (noisy - clean) of other utterances (arXiv:2006.12847).

    Signals are [batch, samples]. Each noise starts at a random sample, is repeated where it is too
    short, and changed in level by -gain to gain (dB). Padding stays as it is in ``clean``.
    """
    draw = torch.Generator().manual_seed(seed)
    batch, samples = noisy.shape
    counts = (lens * samples).round().long().clamp(min=1)
    givers = torch.randperm(batch, generator=draw).to(noisy.device)
    starts = (torch.rand(batch, generator=draw).to(noisy.device) * counts).long()
    gains = 10 ** (gain * (2 * torch.rand(batch, generator=draw) - 1) / 20)
    time = torch.arange(samples, device=noisy.device)
    taken = (time + starts[givers, None]) % counts[givers, None]  # samples of the givers' noises
    noise = (noisy - clean)[givers].gather(1, taken) * gains.to(noisy)[:, None]
    return clean + noise * (time < counts[:, None])
