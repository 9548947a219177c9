"""Augmentation of waveforms in training, from SpeechBrain's parts."""

from pathlib import Path

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
    for name in names:
        if name not in NAMES:
            raise RecipeError(f"augment: {name!r} is not one of {', '.join(NAMES)}.")
    white = noise_csv == "white"
    if "noise" in names and not white and not Path(noise_csv).is_file():
        raise RecipeError(f"augment_noise: {noise_csv} does not exist. Give a CSV file, or white.")
    parts = {
        "noise": AddNoise(csv_file=None if white else noise_csv, snr_low=0, snr_high=15),
        "speed": SpeedPerturb(orig_freq=SAMPLE_RATE, speeds=[95, 100, 105]),
        "drop_freq": DropFreq(),
        "drop_chunk": DropChunk(drop_length_low=1000, drop_length_high=2000),
    }
    return Augmenter(
        concat_original=True,
        min_augmentations=len(names),
        max_augmentations=len(names),
        augmentations=[parts[name] for name in names],
    )
