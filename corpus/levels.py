"""Speech and noise levels, as full-scale RMS amplitudes (not dB)."""

import numpy as np
from scipy.signal import lfilter

SMOOTHING = 0.03  # s, time constant of the envelope
HANGOVER = 0.2  # s, pauses shorter than this count as speech
MARGIN = 15.9  # dB, the activity threshold lies this far below the active level
LADDER = 2.0 ** -np.arange(16)  # candidate thresholds, full scale down to one 16-bit step


def rms(signal):
    """Root mean square of ``[samples]``."""
    return float(np.sqrt(np.mean(np.square(signal, dtype=np.float64))))


def active_level(speech, sample_rate=16000):
    """RMS of ``speech`` ``[samples]`` over the time in which somebody speaks; 0 for silence.

    Method B of ITU-T P.56: the level is energy / active time, where "active" means that the envelope passed
    a threshold ``MARGIN`` dB below that very level within the last ``HANGOVER`` seconds.
    """
    energy = float(np.sum(np.square(speech, dtype=np.float64)))
    if energy == 0.0:
        return 0.0
    envelope = _envelope(speech, sample_rate)
    active = np.array([_active_samples(envelope, threshold, sample_rate) for threshold in LADDER])
    heard = active > 0
    levels = 10 * np.log10(energy / active[heard])
    above = np.maximum.accumulate(
        levels - 20 * np.log10(LADDER[heard])
    )  # dB from threshold up to level
    if (
        above[0] >= MARGIN or above[-1] <= MARGIN
    ):  # no crossing on the ladder: faint or steady sound
        return rms(speech)
    return float(10 ** (np.interp(MARGIN, above, levels) / 20))


def _envelope(speech, sample_rate):
    """Magnitude of ``[samples]`` smoothed by two one-pole filters."""
    pole = np.exp(-1 / (SMOOTHING * sample_rate))
    return lfilter([1 - pole], [1, -pole], lfilter([1 - pole], [1, -pole], np.abs(speech)))


def _active_samples(envelope, threshold, sample_rate):
    """How many samples lie at or within ``HANGOVER`` after an envelope of ``threshold`` or more."""
    hits = np.flatnonzero(envelope >= threshold)
    if hits.size == 0:
        return 0
    gaps = np.diff(np.append(hits, envelope.size))
    return int(np.minimum(gaps, int(HANGOVER * sample_rate)).sum())
