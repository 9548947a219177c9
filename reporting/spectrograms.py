"""One utterance as a picture: noisy, enhanced and clean spectrograms, and the mask beneath."""

import numpy as np
import torch

from reporting.style import MAP, figure

RANGE = 70.0  # dB shown below the loudest point


def decibels(signal, size=512, hop=128):
    """[samples] -> level [freq, time] in dB."""
    signal = torch.from_numpy(np.ascontiguousarray(signal, dtype=np.float32))
    spectrum = torch.stft(
        signal, size, hop, window=torch.hann_window(size), return_complex=True, pad_mode="constant"
    )
    return 20 * torch.log10(spectrum.abs().clamp(min=1e-7)).numpy()


def spectrogram_figure(name, signals, mask, sample_rate):
    """A matplotlib Figure of panels above each other, with time in s and frequency in kHz.

    Arguments
    ---------
    name : str
        The utterance, for the title.
    signals : dict
        Panel's title -> [samples]; all share one scale in dB.
    mask : array
        [time, freq] in 0..1, or None.
    """
    levels = {title: decibels(signal) for title, signal in signals.items()}
    top = max(level.max() for level in levels.values())
    panels = len(levels) + (mask is not None)
    made = figure(9, 1.9 * panels + 0.6)
    axes = made.subplots(panels, 1, sharex=True, squeeze=False)[:, 0]
    for panel, (title, level) in zip(axes, levels.items()):
        seconds = len(signals[title]) / sample_rate
        image = draw(panel, level, seconds, sample_rate, top - RANGE, top)
        panel.set_title(title, loc="left", fontsize=10)
    made.colorbar(image, ax=list(axes[: len(levels)]), label="level (dB)", aspect=40, pad=0.01)
    if mask is not None:
        image = draw(axes[-1], np.asarray(mask, dtype=np.float32).T, seconds, sample_rate, 0, 1)
        axes[-1].set_title("mask", loc="left", fontsize=10)
        made.colorbar(image, ax=axes[-1], label="share kept", aspect=13, pad=0.01)
    axes[-1].set_xlabel("time (s)")
    made.suptitle(name, fontsize=11)
    return made


def draw(panel, values, seconds, sample_rate, low, high):
    """Values [freq, time] as an image with axes in s and kHz."""
    extent = (0, seconds, 0, sample_rate / 2000)
    panel.set_ylabel("kHz")
    return panel.imshow(
        values, origin="lower", aspect="auto", extent=extent, vmin=low, vmax=high, cmap=MAP
    )
