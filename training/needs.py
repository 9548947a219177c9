"""What a stage computes: all that its listed losses and metrics read, and no more."""

from collections.abc import Iterable
from typing import Any

from scoring.metrics import predictions_read


class Needs:
    """Which predictions are made, decided once from the names that are read.

    Arguments
    ---------
    reads : iterable of str
        Names of predictions, as losses and metrics list them.
    hparams : dict
        ``input_signal``, ``decoding``, ``perceptual_reads``.
    clean_input : bool
        Whether clean speech takes the place of ``input_signal``.
    """

    def __init__(self, reads: Iterable[str], hparams: dict[str, Any], clean_input: bool = False):
        reads = set(reads)
        source = "clean" if clean_input else hparams["input_signal"]
        ctc_search = hparams["decoding"].reads == "ctc_log_probs"
        self.hypotheses = "hypotheses" in reads
        self.ctc = "ctc_log_probs" in reads or self.hypotheses and ctc_search
        self.seq = "seq_log_probs" in reads
        self.encoded = self.ctc or self.seq or self.hypotheses
        self.signal = self.encoded or "signal" in reads
        self.perceptual = any(name.startswith("perceptual_") for name in reads)
        perceived = hparams.get("perceptual_reads") if self.perceptual else None
        self.clean_features = "clean_features" in reads or perceived == "features"
        self.enhanced_features = "enhanced_features" in reads or perceived == "features"
        self.mask = "mask" in reads
        self.enhanced_wav = (
            "enhanced_wav" in reads or perceived == "wav" or self.signal and source == "enhanced"
        )
        self.enhanced = self.enhanced_wav or self.enhanced_features or self.mask
        self.searches_seq = self.hypotheses and not ctc_search
        self.searches_ctc = self.hypotheses and hparams["decoding"].scores_ctc

    def modules(self) -> set[str]:
        """Names of the networks that are called."""
        called = {
            "enhance_model": self.enhanced,
            "perceptual_model": self.perceptual,
            "encoder": self.encoded,
            "ctc_output": self.ctc or self.searches_ctc,
            "attention_decoder": self.seq or self.searches_seq,
        }
        return {name for name, is_called in called.items() if is_called}


def needs_of(hparams: dict[str, Any], metrics: Iterable[str] = ()) -> Needs:
    """What all listed losses and these metrics need."""
    reads = [name for loss in hparams["losses"].values() if loss.listed for name in loss.reads]
    return Needs([*reads, *predictions_read(metrics)], hparams)


def learning(hparams: dict[str, Any], epoch: int) -> set[str]:
    """Names of the modules that get a gradient in an epoch, were none frozen."""
    losses = [loss for loss in hparams["losses"].values() if loss.trains(epoch)]
    reads = [name for loss in losses for name in loss.reads]
    return Needs(reads, hparams, clean_input=epoch <= hparams["clean_epochs"]).modules()
