"""The end of a stage as one picture: curves over the epochs, and test scores by SNR and by kind of noise."""

import json
import re
from pathlib import Path

from reporting.style import COLOURS, LABELS, MARKERS, figure, tidy
from scoring.scoreboard import Scoreboard

NUMBER = r"(train |valid )?([a-z_]+): (-?[\d.]+(?:e[+-]?\d+)?|nan|inf)"
SHOWN = ("wer", "per", "pesq", "estoi", "si_sdr")  # of the test, as far as they are there
SMALLEST = 2  # utterances of a group


def curves_of(log):
    """A ``train_log.txt`` -> ``{"train" or "valid": {name: {epoch: value}}}``; an epoch trained twice counts as last seen."""
    curves = {"train": {}, "valid": {}}
    for line in Path(log).read_text(encoding="utf-8").splitlines() if Path(log).is_file() else []:
        epoch = re.match(r"epoch: (\d+)", line)
        for part, name, value in re.findall(NUMBER, line) if epoch else []:
            if part:
                curves[part.strip()].setdefault(name, {})[int(epoch[1])] = float(value)
    return curves


def with_conditions(records, annotation):
    """Records of utterances with noise and SNR (dB) out of a manifest, as far as it has them."""
    entries = (
        json.loads(Path(annotation).read_text(encoding="utf-8"))
        if Path(annotation).is_file()
        else {}
    )
    return [
        {**record, **{key: entries.get(record["id"], {}).get(key) for key in ("noise", "snr")}}
        for record in records
    ]


def summary_figure(title, log, records, annotation):
    """A Figure, or None where there is nothing to show yet.

    Arguments
    ---------
    title : str
        Its title.
    log : path
        The run's ``train_log.txt``.
    records : list of dict
        The test's utterances.
    annotation : path
        The test's manifest.
    """
    curves, records = curves_of(log), with_conditions(records, annotation)
    board = Scoreboard()
    board.merge(records)
    metrics = [name for name in SHOWN if name in board.summary()]
    rows = {"over the epochs": loss_panels(curves), **score_panels(records, metrics)}
    rows = {heading: row for heading, row in rows.items() if row}
    if not rows:
        return None
    made = figure(3.1 * max(map(len, rows.values())) + 0.6, 3.1 * len(rows) + 0.4)
    grids = made.subfigures(len(rows), 1, squeeze=False)[:, 0]
    for grid, (heading, row) in zip(grids, rows.items()):
        grid.suptitle(heading, x=0.01, horizontalalignment="left", fontweight="bold")
        for axes, paint in zip(grid.subplots(1, len(row), squeeze=False)[0], row):
            paint(tidy(axes))
    made.suptitle(title, fontsize=12)
    return made


def loss_panels(curves):
    """One painter for each quantity over the epochs: losses with both sets in one panel, then validation's metrics."""
    skipped = {"lr", "gradient_norm", "clipped_steps", "skipped_steps", "left_out"}
    names = [
        name for name in curves["train"] if name not in skipped and not name.endswith("_weight")
    ]
    names += [name for name in curves["valid"] if name not in names]
    names += [name for name in ("gradient_norm",) if name in curves["train"]]
    return [lambda axes, name=name: paint_curve(axes, name, curves) for name in names]


def paint_curve(axes, name, curves):
    """A quantity over the epochs, in training and validation."""
    for index, (part, label) in enumerate((("train", "training"), ("valid", "validation"))):
        if points := curves[part].get(name):
            epochs = sorted(points)
            values = [points[epoch] for epoch in epochs]
            axes.plot(
                epochs,
                values,
                color=COLOURS[index],
                marker=MARKERS[index],
                markersize=4,
                label=label,
            )
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set(
        xlabel="epoch", title=LABELS.get(name, f"loss: {name}" if name != "loss" else "loss, total")
    )
    if name == "gradient_norm":
        axes.set_title("gradient norm")
    axes.legend(fontsize=8, frameon=False)


def score_panels(records, metrics):
    """Heading -> painters: metrics by SNR, then by noise; none where no utterance knows them."""
    rows = {}
    for key, heading, paint in (
        ("snr", "test, by SNR", paint_by_snr),
        ("noise", "test, by kind of noise", paint_by_noise),
    ):
        groups = grouped(records, key)
        if len(groups) > 1:
            rows[heading] = [
                lambda axes, m=m, paint=paint, groups=groups: paint(axes, m, groups)
                for m in metrics
            ]
    return rows


def grouped(records, key):
    """Value -> Scoreboard of its utterances, small groups left out."""
    groups = {}
    for record in records:
        if record.get(key) is not None:
            groups.setdefault(record[key], Scoreboard()).add(record)
    return {
        value: groups[value] for value in sorted(groups) if len(groups[value].records) >= SMALLEST
    }


def points_of(metric, groups):
    """(values of the condition, means, distances down and up to the 95 % interval)."""
    points = [
        (value, board.summary()[metric], *board.intervals()[metric])
        for value, board in groups.items()
        if metric in board.summary()
    ]
    points = [point for point in points if point[1] == point[1]]
    return (
        [p[0] for p in points],
        [p[1] for p in points],
        [[p[1] - p[2] for p in points], [p[3] - p[1] for p in points]],
    )


def paint_by_snr(axes, metric, groups):
    """A metric of the test over the SNR."""
    snrs, means, bars = points_of(metric, groups)
    axes.errorbar(
        snrs, means, yerr=bars, color=COLOURS[0], marker=MARKERS[0], markersize=4, capsize=3
    )
    axes.set(xlabel="SNR of the noisy speech (dB)", title=LABELS[metric])
    axes.set_xticks(snrs)


def paint_by_noise(axes, metric, groups):
    """A metric of the test for each kind of noise."""
    kinds, means, bars = points_of(metric, groups)
    axes.errorbar(
        means,
        range(len(kinds)),
        xerr=bars,
        color=COLOURS[1],
        marker=MARKERS[1],
        markersize=5,
        capsize=3,
        linestyle="none",
    )
    axes.set_yticks(range(len(kinds)), kinds)
    axes.set(xlabel="mean and 95 % interval", title=LABELS[metric], ylim=(-0.5, len(kinds) - 0.5))
