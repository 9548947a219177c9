"""The table as a figure: rows above, paired differences below, with 95 % intervals."""

from pathlib import Path

from matplotlib.figure import Figure

from experiments.table import scored, significant

# Okabe and Ito's palette, told apart by all kinds of colour vision; the markers differ, too.
BLUE, VERMILION = "#0072B2", "#D55E00"
PANELS = {
    "PESQ": [("pesq", None, BLUE, "o")],
    "eSTOI (%)": [("estoi", None, BLUE, "o")],
    "WER (%)": [("wer", "adapted", BLUE, "o"), ("wer_independent", "independent", VERMILION, "s")],
}
SHIFT = 0.15  # of the second marker from the first, in rows


def draw(table: dict, path: Path):
    """Write the PNG of a table that has a row with scores."""
    parts = [part for part in (scored(table["rows"]), scored(table["differences"])) if part]
    heights = [len(entries) + 1.5 for entries in parts]
    panels = {t: s for t, s in PANELS.items() if any(e["metrics"][s[0][0]] for e in parts[0])}
    figure = Figure(figsize=(4.4 * len(panels), 0.34 * sum(heights) + 1), layout="constrained")
    shape = dict(squeeze=False, sharey="row", height_ratios=heights)
    axes = figure.subplots(len(parts), len(panels), **shape)
    for line, entries in zip(axes, parts, strict=True):
        for axis, (title, series) in zip(line, panels.items(), strict=True):
            axis.set_title(f"difference in {title}" if "of" in entries[0] else title, fontsize=10)
            for place, (name, label, colour, marker) in enumerate(series):
                draw_series(axis, entries, name, place * SHIFT, colour, marker)
                axis.plot([], [], marker, color=colour, label=label)
            axis.grid(axis="x", color="#dddddd")
        line[0].set_yticks(range(len(entries)), [entry["title"] for entry in entries], fontsize=8)
        line[0].invert_yaxis()
    if "WER (%)" in panels:
        axes[0][-1].legend(fontsize=8)
    figure.supxlabel("95 % bootstrap intervals; hollow: the interval includes 0", fontsize=8)
    figure.savefig(path, dpi=150)


def draw_series(axis, entries: list[dict], name: str, shift: float, colour: str, marker: str):
    """One metric of all entries; a difference that is not significant is hollow."""
    for height, entry in enumerate(entries):
        found = entry["metrics"][name]
        if found:
            hollow = "of" in entry and not significant(found)
            face = "white" if hollow else colour
            axis.plot([found["low"], found["high"]], [height + shift] * 2, color=colour)
            axis.plot(found["value"], height + shift, marker, color=colour, markerfacecolor=face)
    if "of" in entries[0]:
        axis.axvline(0, color="grey", linewidth=1)
