"""Shaping of spectra, for voices and noises alike."""

import numpy as np


def tilted(signal, steepness, corner, sample_rate=16000):
    """``signal`` ``[samples]`` with its power falling as frequency to minus ``steepness`` above ``corner`` Hz."""
    spectrum = np.fft.rfft(signal)
    frequency = np.fft.rfftfreq(signal.size, 1 / sample_rate)
    return np.fft.irfft(spectrum * (1 + (frequency / corner) ** 2) ** (-steepness / 4), signal.size)
