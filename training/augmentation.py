"""Augmentation of waveforms, from SpeechBrain's parts."""

import torch
from speechbrain.augment.augmenter import Augmenter
from speechbrain.augment.time_domain import AddNoise, DropChunk, DropFreq, SpeedPerturb


class DropChunkAnywhere(DropChunk):
    """SpeechBrain's DropChunk, which asks for each length and silences each stretch by itself: a GPU would be waited for every time."""

    def forward(self, waveforms, lengths):
        """[batch, samples], relative lengths -> [batch, samples]"""
        kept = super().forward(torch.ones(waveforms.shape), lengths.cpu())
        return waveforms * kept.to(waveforms.device, non_blocking=True)


def build_augmentation(
    noise_manifest=None,
    speeds=None,
    drop_frequencies=False,
    drop_chunks=False,
    keep_original=False,
    sample_rate=16000,
):
    """An Augmenter for waveforms [batch, samples], or None when all is off.

    Arguments
    ---------
    noise_manifest : str or None
        CSV of noise files, or ``white``; mixed at 0 to 15 dB.
    speeds : list of int or None
        Speeds to draw from (% of the original).
    drop_frequencies, drop_chunks : bool
        Remove random bands; silence random stretches.
    keep_original : bool
        Put the untouched utterances beside the changed ones in each batch.
    """
    parts = []
    if noise_manifest:
        parts.append(
            AddNoise(
                csv_file=None if noise_manifest == "white" else noise_manifest,
                snr_low=0,
                snr_high=15,
            )
        )
    if speeds:
        parts.append(SpeedPerturb(orig_freq=sample_rate, speeds=list(speeds)))
    if drop_frequencies:
        parts.append(DropFreq())
    if drop_chunks:
        parts.append(DropChunkAnywhere(drop_length_low=1000, drop_length_high=2000))
    if not parts:
        return None
    return Augmenter(
        concat_original=keep_original,
        min_augmentations=len(parts),
        max_augmentations=len(parts),
        augmentations=parts,
    )
