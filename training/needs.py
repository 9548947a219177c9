"""What a stage computes: all that its listed losses and metrics read, and no more."""

from collections.abc import Iterable
from typing import Any

from errors import RecipeError
from scoring.metrics import QUALITY, RATES, scores_of

SIGNALS = ("noisy_wav", "clean_wav", "lens", "enhanced_wav", "signal")
SPECTRA = ("enhanced_features", "clean_features", "mask")
PERCEPTUAL = ("perceptual_enhanced", "perceptual_clean")
TARGETS = ("tokens", "token_lens", "tokens_eos", "token_eos_lens", "blank", "input_lens")
RECOGNIZED = ("encoded", "ctc_log_probs", "seq_log_probs", "hypotheses")
# All that train.py makes, and a loss may read
PREDICTIONS = (*SIGNALS, *SPECTRA, *PERCEPTUAL, *TARGETS, *RECOGNIZED)


class Needs:
    """Which predictions are made, decided once from the names that losses and metrics read.

    ``clean_input``: whether clean speech takes the place of ``input_signal``.
    """

    def __init__(self, reads: Iterable[str], hparams: dict[str, Any], clean_input: bool = False):
        reads, decoding = set(reads), hparams["decoding"]
        source = "clean" if clean_input else hparams["input_signal"]
        self.hypotheses = "hypotheses" in reads
        if self.hypotheses and decoding is None:
            raise RecipeError("wer, cer and per need a recognizer, which this stage does not have.")
        searched = decoding.networks if self.hypotheses else ()
        searches_ctc = self.hypotheses and decoding.needs == "ctc_log_probs"
        self.ctc = "ctc_log_probs" in reads or searches_ctc
        self.seq = "seq_log_probs" in reads
        self.encoded = self.ctc or bool(reads & {*TARGETS, *RECOGNIZED})
        self.signal = self.encoded or "signal" in reads
        self.perceptual = bool(reads & {*PERCEPTUAL})
        perceived = hparams.get("perceptual_reads") if self.perceptual else None
        self.clean_features = "clean_features" in reads or perceived == "features"
        self.enhanced_features = "enhanced_features" in reads or perceived == "features"
        self.mask = "mask" in reads
        from_wav = perceived == "wav" or self.signal and source == "enhanced"
        self.enhanced_wav = "enhanced_wav" in reads or from_wav
        self.enhanced = self.enhanced_wav or self.enhanced_features or self.mask
        self.ctc_output = self.ctc or "ctc_log_probs" in searched
        self.attention_decoder = self.seq or "seq_log_probs" in searched

    def modules(self) -> set[str]:
        """Names of the networks that are called."""
        called = {
            "enhance_model": self.enhanced,
            "perceptual_model": self.perceptual,
            "encoder": self.encoded,
            "ctc_output": self.ctc_output,
            "attention_decoder": self.attention_decoder,
        }
        return {name for name, is_called in called.items() if is_called}


def needs_of(hparams: dict[str, Any], metrics: Iterable[str] = (), losses: bool = True) -> Needs:
    """What these metrics and, if wanted, all listed losses need."""
    listed = [loss for loss in hparams["losses"].values() if loss.listed and losses]
    reads = [name for loss in listed for name in loss.reads]
    scores = scores_of(metrics)
    reads += ["signal"] * any(score in QUALITY for score in scores)
    reads += ["hypotheses"] * any(score in RATES for score in scores)
    return Needs(reads, hparams)


def reads_text(hparams: dict[str, Any]) -> bool:
    """Whether a listed loss or metric stands on transcripts."""
    return needs_of(hparams, [*hparams["valid_metrics"], *hparams["test_metrics"]]).encoded


def reached_by_losses(hparams: dict[str, Any], epoch: int) -> set[str]:
    """Names of the modules that get a gradient in an epoch, were none frozen."""
    losses = [loss for loss in hparams["losses"].values() if loss.trains(epoch)]
    reads = [name for loss in losses for name in loss.reads]
    return Needs(reads, hparams, clean_input=epoch <= hparams["clean_epochs"]).modules()
