"""Quality and intelligibility of one utterance; imports no torch, so processes start quickly."""

import math
import warnings
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pesq
import pystoi

from scoring import composite

RATE = 16000  # Hz


class NotScored(ValueError):
    """This pair of signals has no score; the message is the reason, in a few words."""


def check(name: str, signal: np.ndarray) -> None:
    """NotScored, with a name in its reason, for a signal [samples] that can have no score."""
    if len(signal) < RATE / 4:  # PESQ needs as much
        raise NotScored(f"shorter than 1/4 s: {len(signal)} samples")
    if not np.isfinite(signal).all():
        raise NotScored(f"{name} has NaN or infinite samples")
    if np.ptp(signal) == 0:
        raise NotScored(f"{name} is constant (silence)")


def score(
    names: Sequence[str], predicted: np.ndarray, target: np.ndarray
) -> tuple[dict[str, float | None], dict[str, str]]:
    """Scores by name, None where there is none, and the reason for each None; see ``Pair``."""
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
        except (ArithmeticError, IndexError, RuntimeError, ValueError) as error:  # odd signals
            reasons[name] = str(error) if isinstance(error, NotScored) else repr(error)
    return scores, reasons


class Pair:
    """Two signals [samples] at 16 kHz, full scale 1, and their scores, computed when read.

    A pair, or a single score of it, that makes no sense raises ``NotScored`` with the reason.
    """

    def __init__(self, predicted: np.ndarray, target: np.ndarray):
        predicted, target = np.asarray(predicted, np.float64), np.asarray(target, np.float64)
        if len(predicted) != len(target):
            raise NotScored(f"lengths differ: {len(predicted)} predicted, {len(target)} target")
        check("target", target)
        check("predicted signal", predicted)
        if np.abs(target).max() < 2**-16:  # half a step of 16-bit audio
            raise NotScored("target is silent")
        self.predicted, self.target = predicted, target

    @cached_property
    def pesq(self) -> float:
        """Wide-band PESQ as MOS-LQO, 1.0 to 4.64: ITU-T P.862.2 without Corrigendum 2 (2018)."""
        try:
            return float(pesq.pesq(RATE, self.target, self.predicted, "wb"))
        except pesq.NoUtterancesError:
            raise NotScored("no speech found by PESQ") from None
        except pesq.PesqError as error:
            raise NotScored(f"refused by PESQ: {error}") from None

    stoi = property(lambda self: self.intelligibility(extended=False))
    estoi = property(lambda self: self.intelligibility(extended=True))

    def intelligibility(self, extended: bool) -> float:
        """STOI (Taal et al., TASLP 2011) or eSTOI (Jensen and Taal, TASLP 2016) in percent."""
        state = np.random.get_state()
        np.random.seed(0)  # pystoi adds noise of 1e-16; equal inputs shall score equally
        try:
            with warnings.catch_warnings():
                # pystoi answers 1e-5 to too little speech, with this warning: that is no score
                warnings.filterwarnings("error", "Not enough STFT frames", RuntimeWarning)
                return 100.0 * float(pystoi.stoi(self.target, self.predicted, RATE, extended))
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
        scaled = self.target * (self.predicted @ self.target) / (self.target @ self.target)
        distortion, speech = np.sum((self.predicted - scaled) ** 2), scaled @ scaled
        if speech == 0:
            raise NotScored("predicted signal is orthogonal to the target")
        return float(10 * np.log10(speech / max(distortion, 1e-15 * speech)))
