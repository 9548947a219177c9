"""Quality and intelligibility of one utterance.

Nothing here imports torch, so that scoring processes start quickly.
"""

import math
import warnings
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pesq
import pystoi

from scoring import composite

RATE = 16000  # Hz
SHORTEST = 0.25  # s; PESQ needs as much
SILENCE = 2**-16  # peak; half a step of 16-bit audio
# What arithmetic on odd signals raises, NotScored among them. Others are programming errors.
NUMERICAL_ERRORS = (ArithmeticError, IndexError, RuntimeError, ValueError)


class NotScored(ValueError):
    """This pair of signals has no score; the message is the reason, in a few words."""


def score(
    names: Sequence[str], predicted: np.ndarray, target: np.ndarray
) -> tuple[dict[str, float | None], dict[str, str]]:
    """Scores by name, None where there is none, and by name the reason for each None.

    ``predicted``, ``target``: [samples] at 16 kHz.
    """
    scores, reasons = dict.fromkeys(names), {}
    try:
        pair = Pair(predicted, target)
    except NotScored as refusal:
        return scores, dict.fromkeys(names, str(refusal))
    for name in names:
        try:
            value = float(getattr(pair, name))
            if not math.isfinite(value):
                raise NotScored(f"score is {value}")
            scores[name] = value
        except NUMERICAL_ERRORS as error:
            kind = "" if isinstance(error, NotScored) else f"{type(error).__name__}: "
            reasons[name] = f"{kind}{error}"
    return scores, reasons


class Pair:
    """Two signals of one utterance and their scores, each computed when it is read.

    ``predicted``, ``target``: [samples] at 16 kHz, full scale 1; they stay untouched. A pair, or
    a single score of it, that makes no sense raises ``NotScored`` with the reason.
    """

    def __init__(self, predicted: np.ndarray, target: np.ndarray):
        self.predicted, self.target = checked(predicted, target)

    @cached_property
    def pesq(self) -> float:
        """Wide-band PESQ as MOS-LQO, 1.0 to 4.64 (ITU-T P.862.2).

        The ``pesq`` package lacks Corrigendum 2 (2018), like most published results.
        """
        try:
            return float(pesq.pesq(RATE, self.target, self.predicted, "wb"))
        except pesq.NoUtterancesError:
            raise NotScored("no speech found by PESQ") from None
        except pesq.PesqError as error:
            raise NotScored(f"refused by PESQ: {error}") from None

    @property
    def stoi(self) -> float:
        """STOI in percent, about 0 to 100 (Taal et al., IEEE TASLP 2011)."""
        return self.intelligibility(extended=False)

    @property
    def estoi(self) -> float:
        """Extended STOI in percent (Jensen and Taal, IEEE/ACM TASLP 2016); below STOI."""
        return self.intelligibility(extended=True)

    def intelligibility(self, extended: bool) -> float:
        """STOI or extended STOI in percent; refuses less than 30 frames (0.4 s) of speech."""
        state = np.random.get_state()
        np.random.seed(0)  # pystoi adds noise of 1e-16; equal inputs shall score equally
        try:
            with warnings.catch_warnings():
                # pystoi answers 1e-5 to too little speech, with this warning: that is no score
                warnings.filterwarnings("error", "Not enough STFT frames", RuntimeWarning)
                found = pystoi.stoi(self.target, self.predicted, RATE, extended=extended)
            return 100.0 * float(found)
        except RuntimeWarning:
            raise NotScored("less than 0.4 s of speech for STOI") from None
        finally:
            np.random.set_state(state)

    @cached_property
    def ratings(self) -> dict[str, float]:
        """CSIG, CBAK and COVL (see ``composite``)."""
        return composite.ratings(self.predicted, self.target, self.pesq)

    csig = property(lambda self: self.ratings["csig"])
    cbak = property(lambda self: self.ratings["cbak"])
    covl = property(lambda self: self.ratings["covl"])

    @property
    def si_sdr(self) -> float:
        """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al., ICASSP 2019).

        Means are not removed. A copy up to a factor gets 150 dB: beyond, rounding takes over.
        """
        predicted, target = self.predicted, self.target
        scaled = target * (predicted @ target) / (target @ target)
        distortion, speech = np.sum((predicted - scaled) ** 2), scaled @ scaled
        if speech == 0:
            raise NotScored("predicted signal is orthogonal to the target")
        return float(10 * np.log10(speech / max(distortion, 1e-15 * speech)))


def checked(predicted: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both signals as float64 [samples]; ``NotScored`` with the first reason against them."""
    predicted, target = np.asarray(predicted, np.float64), np.asarray(target, np.float64)
    if len(predicted) != len(target):
        raise NotScored(f"lengths differ: {len(predicted)} predicted, {len(target)} target samples")
    if len(target) < SHORTEST * RATE:
        raise NotScored(f"shorter than 1/4 s: {len(target)} samples")
    for name, signal in (("target", target), ("predicted signal", predicted)):
        if not np.isfinite(signal).all():
            raise NotScored(f"{name} has NaN or infinite samples")
        if np.ptp(signal) == 0:
            raise NotScored(f"{name} is constant (silence)")
    if np.abs(target).max() < SILENCE:
        raise NotScored("target is silent")
    return predicted, target
