"""Mix speech with noise at a stated signal-to-noise ratio."""

import numpy as np

from corpus.levels import active_level, rms
from errors import RecipeError

PEAK = 0.98  # of full scale; a louder mixture is turned down


def mix_at_snr(speech, noise, snr_db, sample_rate=16000):
    """Add ``noise`` to ``speech``: returns ``(noisy, clean)``, float32 ``[samples]``, as long as ``speech``.

    The SNR (dB) is the active speech level (ITU-T P.56, pauses left out) over the RMS of the noise stretch used,
    both over the full band: the measure by which VoiceBank-DEMAND was mixed. A short noise is repeated, a
    long one is cut. If the mixture would clip, noisy and clean are turned down by one same gain, so
    ``noisy - clean`` is the scaled noise still.

    Raises RecipeError for empty, silent, many-channel or non-finite sound.
    """
    speech, noise = _checked(speech, "speech"), _checked(noise, "noise")
    noise = np.resize(noise, speech.size)
    noise_level = rms(noise)
    if noise_level == 0.0:
        raise RecipeError(
            "The noise is silent over the length of the speech. Choose a stretch that holds sound."
        )
    noise_gain = active_level(speech, sample_rate) / noise_level / 10 ** (snr_db / 20)
    noisy = speech + noise_gain * noise
    gain = min(1.0, PEAK / max(np.abs(noisy).max(), np.abs(speech).max()))
    return (gain * noisy).astype(np.float32), (gain * speech).astype(np.float32)


def _checked(signal, name):
    """``signal`` as float64 ``[samples]``, or RecipeError if it cannot be mixed."""
    signal = np.asarray(signal, dtype=np.float64)
    if signal.ndim != 1:
        raise RecipeError(
            f"The {name} has shape {signal.shape}; accepted: [samples]. Average its channels."
        )
    if not np.isfinite(signal).all():
        raise RecipeError(
            f"The {name} holds values that are not finite numbers. Check the file it came from."
        )
    if signal.size == 0 or not signal.any():
        raise RecipeError(
            f"The {name} is empty or silent; no signal-to-noise ratio can be set. Leave this file out."
        )
    return signal
