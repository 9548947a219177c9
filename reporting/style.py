"""The look of all figures: colours that colour-blind people can tell apart, and figures without a display."""

from matplotlib.figure import Figure

# Okabe and Ito, "Color Universal Design" (2008); the order puts the most different ones first.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
MAP = "cividis"  # Nunez, Anderton and Renslow (2018): the same order with and without colour vision

LABELS = {
    "pesq": "PESQ (wide band)", "stoi": "STOI (%)", "estoi": "extended STOI (%)", "csig": "CSIG", "cbak": "CBAK",
    "covl": "COVL", "si_sdr": "SI-SDR (dB)", "wer": "word error rate (%)", "cer": "character error rate (%)",
    "per": "phone error rate (%)",
}  # fmt: skip


def figure(width, height):
    """An empty figure (inches) whose parts keep out of each other's way."""
    return Figure(figsize=(width, height), layout="constrained", dpi=100)


def tidy(axes):
    """Axes without the lines that hold no information."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, alpha=0.3)
    return axes
