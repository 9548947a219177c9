"""Quality and intelligibility of one utterance: pure functions ``metric(predicted, target, rate=16000) -> float``.

Signals are float arrays of shape [samples], full scale 1, and stay untouched. A pair that cannot be scored raises
``NotScored`` with the reason. Nothing here imports torch, so that scoring processes start quickly.
"""

import warnings
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import pesq
import pystoi
from pystoi.utils import resample_oct

from scoring import composite

RATE = 16000  # Hz
STOI_RATE = 10000  # Hz, at which STOI is defined
SHORTEST = 0.25  # s; PESQ needs as much
SILENCE = 2**-16  # peak; half a step of 16-bit audio
REMEMBERED = 4  # pairs; each keeps its samples, so not many


class NotScored(ValueError):
    """This pair of signals has no score; the message is the reason, in a few words."""


def pesq_wb(predicted, target, rate=RATE):
    """Return wide-band PESQ as MOS-LQO, 1.0 to 4.64 (ITU-T P.862.2).

    The ``pesq`` package lacks Corrigendum 2 (2018) of P.862.2, like nearly all published results on VoiceBank-DEMAND.
    """
    if rate != 16000:
        raise ValueError(f"wide-band PESQ is defined at 16000 Hz, not at {rate} Hz: resample first")
    predicted, target = checked(predicted, target, rate)
    return cached_pesq(predicted.tobytes(), target.tobytes())


@lru_cache(maxsize=REMEMBERED)
def cached_pesq(predicted, target):
    """Return PESQ of float64 samples given as bytes; remembered, for PESQ is dear and three ratings need it again."""
    predicted, target = np.frombuffer(predicted), np.frombuffer(target)
    try:
        return float(pesq.pesq(RATE, target, predicted, "wb"))
    except pesq.NoUtterancesError:
        raise NotScored("no speech found by PESQ") from None
    except pesq.PesqError as error:
        raise NotScored(f"refused by PESQ: {error}") from None


def stoi(predicted, target, rate=RATE):
    """Return STOI in percent, about 0 to 100 (Taal et al., IEEE TASLP 2011)."""
    return intelligibility(predicted, target, rate, extended=False)


def estoi(predicted, target, rate=RATE):
    """Return extended STOI in percent, about 0 to 100 (Jensen and Taal, IEEE/ACM TASLP 2016); 5 to 10 below STOI."""
    return intelligibility(predicted, target, rate, extended=True)


def intelligibility(predicted, target, rate, extended):
    """Return STOI or extended STOI in percent; refuses less than 30 frames (0.4 s) of speech."""
    predicted, target = (
        at_stoi_rate(signal.tobytes(), rate) for signal in checked(predicted, target, rate)
    )
    with seeded_numpy(), warnings.catch_warnings():
        # pystoi answers 1e-5 to too little speech, with this warning: that is no score
        warnings.filterwarnings("error", message="Not enough STFT frames", category=RuntimeWarning)
        try:
            return 100.0 * float(pystoi.stoi(target, predicted, STOI_RATE, extended=extended))
        except RuntimeWarning:
            raise NotScored("less than 0.4 s of speech for STOI") from None


@lru_cache(maxsize=2 * REMEMBERED)
def at_stoi_rate(signal, rate):
    """Return float64 samples given as bytes, resampled as ``pystoi`` does it: STOI and extended STOI hear the same."""
    signal = np.frombuffer(signal)
    return signal if rate == STOI_RATE else resample_oct(signal, STOI_RATE, rate)


@contextmanager
def seeded_numpy(seed=0):
    """Fix numpy's global generator inside the block: pystoi adds noise of 1e-16, and equal inputs shall score equally."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)


def csig(predicted, target, rate=RATE):
    """Return the predicted rating of signal distortion, 1 to 5 (see ``composite``)."""
    return ratings(predicted, target, rate)["csig"]


def cbak(predicted, target, rate=RATE):
    """Return the predicted rating of background noise, 1 to 5 (see ``composite``)."""
    return ratings(predicted, target, rate)["cbak"]


def covl(predicted, target, rate=RATE):
    """Return the predicted overall rating, 1 to 5 (see ``composite``)."""
    return ratings(predicted, target, rate)["covl"]


def ratings(predicted, target, rate=RATE):
    """Return ``{"csig", "cbak", "covl"}`` of Hu and Loizou (2008) with wide-band PESQ."""
    mos = pesq_wb(predicted, target, rate)
    predicted, target = checked(predicted, target, rate)
    return dict(cached_ratings(predicted.tobytes(), target.tobytes(), rate, mos))


@lru_cache(maxsize=REMEMBERED)
def cached_ratings(predicted, target, rate, mos):
    """Return the three ratings of float64 samples given as bytes: asked for one by one, computed once."""
    return composite.ratings(np.frombuffer(predicted), np.frombuffer(target), rate, mos)


def si_sdr(predicted, target, rate=RATE):
    """Return the scale-invariant signal-to-distortion ratio in dB (Le Roux et al., ICASSP 2019).

    Means are not removed. A copy up to a factor gets 150 dB: beyond, float64 rounding takes over.
    """
    predicted, target = checked(predicted, target, rate)
    scaled = target * (predicted @ target) / (target @ target)
    distortion = np.sum((predicted - scaled) ** 2)
    speech = scaled @ scaled
    if speech == 0:
        raise NotScored("predicted signal is orthogonal to the target")
    return float(10 * np.log10(speech / max(distortion, 1e-15 * speech)))


METRICS = {
    "pesq": pesq_wb,
    "stoi": stoi,
    "estoi": estoi,
    "csig": csig,
    "cbak": cbak,
    "covl": covl,
    "si_sdr": si_sdr,
}


def checked(predicted, target, rate):
    """Return both signals as float64 [samples], or raise ``NotScored`` with the first reason found."""
    predicted, target = np.asarray(predicted, np.float64), np.asarray(target, np.float64)
    if predicted.ndim != 1 or target.ndim != 1:
        raise ValueError(f"signals have shape [samples], not {predicted.shape} and {target.shape}")
    if len(predicted) != len(target):
        raise NotScored(f"lengths differ: {len(predicted)} predicted, {len(target)} target samples")
    if len(target) < SHORTEST * rate:
        raise NotScored(f"shorter than 1/4 s: {len(target)} samples")
    for name, signal in (("target", target), ("predicted signal", predicted)):
        if not np.isfinite(signal).all():
            raise NotScored(f"{name} has NaN or infinite samples")
        if np.ptp(signal) == 0:
            raise NotScored(f"{name} is constant (silence)")
    if np.abs(target).max() < SILENCE:
        raise NotScored("target is silent")
    return predicted, target
