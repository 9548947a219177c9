"""The differences of a table as a figure: a row for each, a panel for each metric."""

from pathlib import Path

from matplotlib.figure import Figure

from experiments.table import scored, significant
from scoring.metrics import METRICS

# Okabe and Ito's palette, told apart by all kinds of colour vision; the markers differ, too.
SERIES = {  # of COLUMNS -> its panel, colour, marker, place in the row
    "pesq": ("pesq", "#0072B2", "o", 0),
    "estoi": ("estoi", "#0072B2", "o", 0),
    "wer": ("wer", "#0072B2", "o", -0.15),
    "wer_independent": ("wer", "#D55E00", "s", 0.15),
}


def draw(table: dict, path: Path):
    """Write the PNG of the differences that have scores, 850 pixels wide on a page.

    Differences to noisy speech are left out where there are others, which they would dwarf.
    """
    entries = scored(table["differences"])
    entries = [entry for entry in entries if not entry["title"].endswith("- noisy")] or entries
    series = {key: s for key, s in SERIES.items() if any(e["metrics"][key] for e in entries)}
    panels = list(dict.fromkeys(panel for panel, *_ in series.values()))
    figure = Figure(figsize=(8.8, 0.3 * len(entries) + 1.3), layout="constrained")
    drawn = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    axes = dict(zip(panels, drawn, strict=True))
    for panel, axis in axes.items():
        metric = METRICS[panel]
        unit = " (points)" if metric.unit == "%" else ""
        axis.set_title(f"difference in {metric.label}{unit}", fontsize=9)
        axis.set_xlabel("better →" if metric.higher_is_better else "← better", fontsize=9)
        axis.axvline(0, color="grey", linewidth=1)
        axis.grid(axis="x", color="#dddddd")
        axis.tick_params(labelsize=8)
    for key, (panel, colour, marker, shift) in series.items():
        for height, entry in enumerate(entries):
            if found := entry["metrics"][key]:
                face, place = colour if significant(found) else "white", height + shift
                axes[panel].plot([found["low"], found["high"]], [place, place], color=colour)
                axes[panel].plot(found["value"], place, marker, color=colour, markerfacecolor=face)
    drawn[0].set_yticks(range(len(entries)), [entry["title"] for entry in entries])
    drawn[0].invert_yaxis()
    words = "; WER: circles of adapted, squares of independent recognizers" * ("wer" in panels)
    figure.supxlabel(f"95 % intervals; hollow: the interval includes 0{words}", fontsize=8)
    figure.savefig(path, dpi=150)
