"""The table as a figure: rows with 95 % intervals above, paired differences below."""

import matplotlib

matplotlib.use("Agg")  # no display needed

import matplotlib.pyplot as plt
from matplotlib.ticker import MaxNLocator

from results_table.intervals import off_zero

# Okabe and Ito's palette, told apart by all kinds of colour vision; markers differ too.
BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#777777"
PANELS = (
    ("PESQ", [("pesq", "", BLUE, "o")]),
    ("extended STOI (%)", [("estoi", "", BLUE, "o")]),
    (
        "word error rate (%)",
        [("wer", "adapted", BLUE, "o"), ("wer_independent", "independent", VERMILION, "s")],
    ),
)
NOTE = "95 % bootstrap intervals over seeds and utterances; hollow: the interval holds 0"
OFFSETS = {1: [0.0], 2: [0.16, -0.16]}  # of the markers from a row's line


def draw(table, path):
    """Write the PNG of a table (the dict of ``build_table``) that has a finished row."""
    rows, differences = (
        [e for e in table[key] if any(e["metrics"].values()) and e.get("figure", True)]
        for key in ("rows", "differences")
    )
    panels = [
        panel
        for panel in PANELS
        if any(row["metrics"][name] for row in rows for name, *_ in panel[1])
    ]
    parts = [part for part in ((rows, False), (differences, True)) if part[0]]
    heights = [len(entries) + 1.5 for entries, _ in parts]
    figure, axes = plt.subplots(
        len(parts), len(panels), figsize=(3.4 * len(panels) + 3, 0.34 * sum(heights) + 1), squeeze=False, sharey="row",
        gridspec_kw={"height_ratios": heights}, layout="constrained",
    )  # fmt: skip
    for line, (entries, differ) in zip(axes, parts):
        for axis, (title, series) in zip(line, panels):
            draw_panel(axis, entries, series, differ)
            axis.set_title(f"difference of {title}" if differ else title, fontsize=10)
        label_rows(line[0], entries)
    if len(panels[-1][1]) > 1:
        figure.legend(
            *axes[0][-1].get_legend_handles_labels(), fontsize=8, loc="outside upper right", ncols=2
        )
    figure.supxlabel(NOTE, fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_panel(axis, entries, series, differ):
    """One metric (or two) of all rows, with intervals."""
    for (name, label, colour, marker), offset in zip(series, OFFSETS[len(series)]):
        points = [
            (len(entries) - i + offset, e["metrics"][name])
            for i, e in enumerate(entries)
            if e["metrics"][name]
        ]
        for i, (height, found) in enumerate(points):
            sides = [
                [max(0, found["value"] - found["low"])],
                [max(0, found["high"] - found["value"])],
            ]
            hollow = differ and not off_zero(found)
            axis.errorbar(
                [found["value"]], [height], xerr=sides, fmt=marker, color=colour, markersize=5, capsize=2.5,
                markerfacecolor="white" if hollow else colour, label=label if i == 0 and label else None,
            )  # fmt: skip
    if differ:
        axis.axvline(0, color=GREY, linewidth=1)
    axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.tick_params(labelsize=8)


def label_rows(axis, entries):
    """Titles of the rows, from the top."""
    axis.set_yticks(range(len(entries), 0, -1), [entry["title"] for entry in entries], fontsize=8)
    axis.set_ylim(0.4, len(entries) + 0.6)
