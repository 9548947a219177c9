"""Speech and noise levels, as full-scale RMS amplitudes (not dB)."""

import numpy as np
from scipy.signal import lfilter

SMOOTHING = 0.03  # s, time constant of the envelope
HANGOVER = 0.2  # s, pauses shorter than this count as speech
MARGIN = 15.9  # dB, the activity threshold lies this far below the active level
LADDER = 2.0 ** -np.arange(16)  # candidate thresholds, full scale down to one 16-bit step


def rms(signal: np.ndarray) -> float:
    """Root mean square of ``[samples]``."""
    return float(np.sqrt(np.mean(np.square(signal, dtype=np.float64))))


def active_level(speech: np.ndarray, sample_rate: int = 16000) -> float:
    """RMS of ``[samples]`` over the time in which somebody speaks; 0 for silence.

    Method B of ITU-T P.56: energy over active time, in which the envelope passed a threshold
    ``MARGIN`` dB below that very level within the last ``HANGOVER`` seconds.
    """
    energy = float(np.sum(np.square(speech, dtype=np.float64)))
    if energy == 0.0:
        return 0.0
    pole = np.exp(-1 / (SMOOTHING * sample_rate))
    envelope = lfilter([1 - pole], [1, -pole], lfilter([1 - pole], [1, -pole], np.abs(speech)))
    active = np.array([_active_samples(envelope, threshold, sample_rate) for threshold in LADDER])
    reached = active > 0
    if not reached.any():  # too short or too faint for any threshold
        return rms(speech)
    levels = 10 * np.log10(energy / active[reached])
    above = np.maximum.accumulate(levels - 20 * np.log10(LADDER[reached]))  # dB over the threshold
    if above[0] >= MARGIN or above[-1] <= MARGIN:  # no crossing: faint or steady sound
        return rms(speech)
    return float(10 ** (np.interp(MARGIN, above, levels) / 20))


def _active_samples(envelope, threshold, sample_rate):
    """How many samples lie at or within ``HANGOVER`` after an envelope of ``threshold`` or more."""
    hits = np.flatnonzero(envelope >= threshold)
    if hits.size == 0:
        return 0
    gaps = np.diff(np.append(hits, envelope.size))
    return int(np.minimum(gaps, int(HANGOVER * sample_rate)).sum())
