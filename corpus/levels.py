"""Levels of speech and noise, as full-scale RMS amplitudes (not dB), and mixing at an SNR."""

import numpy as np
from scipy.signal import lfilter

from corpus.layout import SAMPLE_RATE
from errors import RecipeError

SMOOTHING = 0.03  # s, time constant of the envelope
HANGOVER = 0.2  # s, pauses shorter than this count as speech
MARGIN = 15.9  # dB, the activity threshold lies this far below the active level
LADDER = 2.0 ** -np.arange(16)  # candidate thresholds, full scale down to one 16-bit step
PEAK = 0.98  # of full scale; a louder mixture is turned down


def rms(signal: np.ndarray) -> float:
    """Root mean square of ``[samples]``."""
    return float(np.sqrt(np.mean(np.square(signal, dtype=np.float64))))


def active_level(speech: np.ndarray) -> float:
    """RMS of ``[samples]`` at 16 kHz over the time in which somebody speaks; 0 for silence.

    Method B of ITU-T P.56: energy over active time, in which the envelope passed a threshold
    ``MARGIN`` dB below that very level within the last ``HANGOVER`` seconds.
    """
    energy = float(np.sum(np.square(speech, dtype=np.float64)))
    if energy == 0.0:
        return 0.0
    pole = np.exp(-1 / (SMOOTHING * SAMPLE_RATE))
    envelope = lfilter([1 - pole], [1, -pole], lfilter([1 - pole], [1, -pole], np.abs(speech)))
    active = np.array([_active_samples(envelope, threshold) for threshold in LADDER])
    reached = active > 0
    if not reached.any():  # too short or too faint for any threshold
        return rms(speech)
    levels = 10 * np.log10(energy / active[reached])
    above = np.maximum.accumulate(levels - 20 * np.log10(LADDER[reached]))  # dB over the threshold
    if above[0] >= MARGIN or above[-1] <= MARGIN:  # no crossing: faint or steady sound
        return rms(speech)
    return float(10 ** (np.interp(MARGIN, above, levels) / 20))


def _active_samples(envelope, threshold):
    """How many samples lie at or within ``HANGOVER`` after an envelope of ``threshold`` or more."""
    hits = np.flatnonzero(envelope >= threshold)
    gaps = np.diff(np.append(hits, envelope.size))
    return int(np.minimum(gaps, int(HANGOVER * SAMPLE_RATE)).sum())


def mix_at_snr(speech: np.ndarray, noise: np.ndarray, snr_db: float) -> tuple:
    """Add noise to speech at 16 kHz: (noisy, clean), float32 [samples], as long as ``speech``.

    The SNR is the active level of the speech over the RMS of the noise, as in VoiceBank-DEMAND.
    A short noise is repeated, a long one cut. One gain turns both down if the sum would clip.
    """
    speech, noise = (np.asarray(signal, dtype=np.float64) for signal in (speech, noise))
    if not np.isfinite(speech).all() or not np.isfinite(noise).all():
        raise RecipeError("the speech or the noise holds values that are not finite numbers")
    noise = np.resize(noise, speech.size)
    if not speech.any() or not noise.any():
        raise RecipeError(f"the {'noise' if speech.any() else 'speech'} is empty or silent")
    noisy = speech + active_level(speech) / rms(noise) / 10 ** (snr_db / 20) * noise
    gain = min(1.0, PEAK / max(np.abs(noisy).max(), np.abs(speech).max()))
    return (gain * noisy).astype(np.float32), (gain * speech).astype(np.float32)
