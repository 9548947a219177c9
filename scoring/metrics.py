"""The one table of metrics: their label, unit and direction, and what a listed name consists of."""

from collections.abc import Iterable
from dataclasses import dataclass

from errors import RecipeError, one_of


@dataclass(frozen=True)
class Metric:
    """One score of a test: a mean over utterances, or a rate in percent.

    ``rate``: keys of a record, whose sums over the utterances are divided: errors, length.
    """

    label: str
    unit: str
    higher_is_better: bool = True
    rate: tuple[str, str] | None = None

    @property
    def title(self) -> str:
        """Label with unit, for axes and tables."""
        return f"{self.label} ({self.unit})"


METRICS = {
    "pesq": Metric("PESQ", "MOS-LQO"),
    "stoi": Metric("STOI", "%"),
    "estoi": Metric("eSTOI", "%"),
    "csig": Metric("CSIG", "1 to 5"),
    "cbak": Metric("CBAK", "1 to 5"),
    "covl": Metric("COVL", "1 to 5"),
    "si_sdr": Metric("SI-SDR", "dB"),
    "dnsmos_sig": Metric("DNSMOS SIG", "1 to 5"),
    "dnsmos_bak": Metric("DNSMOS BAK", "1 to 5"),
    "dnsmos_ovrl": Metric("DNSMOS OVRL", "1 to 5"),
    "distillmos": Metric("DistillMOS", "1 to 5"),
    "wer": Metric("WER", "%", False, ("word_errors", "words")),
    "cer": Metric("CER", "%", False, ("char_errors", "chars")),
    "per": Metric("PER", "%", False, ("phone_errors", "phones")),
}
RATES = {name: metric.rate for name, metric in METRICS.items() if metric.rate}  # read the words
COMPOSITE = ("csig", "cbak", "covl")
QUALITY = ("pesq", "stoi", "estoi", *COMPOSITE, "si_sdr")  # compare the signal with clean speech
LISTABLE = ("pesq", "stoi", "estoi", "composite", "si_sdr", *RATES)  # what a training may ask for


def scores_of(names: Iterable[str]) -> list[str]:
    """The scores that listed metrics consist of: ``composite`` is three of them."""
    found = []
    for name in names:
        if name not in LISTABLE and name not in METRICS:
            raise RecipeError(f"Unknown metric {name}. Known ones: {', '.join(LISTABLE)}.")
        found += COMPOSITE if name == "composite" else [name]
    return list(dict.fromkeys(found))


def higher_is_better(name: str) -> bool:
    """The direction of a single score, or of ``loss``, by which a checkpoint may be selected."""
    one_of("select_by", name, ("loss", *METRICS))
    return name != "loss" and METRICS[name].higher_is_better
