"""The table as Markdown."""

from results_table.intervals import off_zero
from results_table.records import METRICS

WITH_INTERVAL = ("pesq", "estoi", "wer", "wer_independent")
LEGEND = """\
PESQ: wide band, 1 to 4.64. eSTOI and STOI in %. COVL: 1 to 5. SI-SDR in dB. WER and CER in %, of validation and test
together; all else of the test set. Adapted: a recognizer trained on the row's input. Independent: one trained on clean
speech alone, applied without training. In brackets: 95 % bootstrap intervals over seeds and utterances. Parameters are
those of enhancer and recognizer together, of what the row has. Minutes: training passes of enhancer + recognizer, mean
over seeds; memory: the training process at its peak."""


def markdown(table):
    """The dict of ``build_table`` -> text of ``table.md``."""
    metrics = [m for m in METRICS if any(row["metrics"][m.name] for row in table["rows"])]
    rows, differences = (found_in(table[key]) for key in ("rows", "differences"))
    missing = [row["title"] for row in table["rows"] if row not in rows]
    parts = [
        rows_text(rows, metrics),
        *([f"Not run yet: {'; '.join(missing)}."] if missing else []),
        LEGEND,
    ]
    if differences:
        parts += ["### Paired differences", differences_text(differences, metrics)]
        parts += ["Over the same utterances and seeds; **bold**: the 95 % interval leaves 0 out."]
    return "\n\n".join([*parts, "### Commands", commands_text(table)]) + "\n"


def found_in(entries):
    """The rows or differences of which anything is known."""
    return [entry for entry in entries if any(entry["metrics"].values())]


def rows_text(rows, metrics):
    """The rows."""
    titles = ["row", "seeds", *(m.title for m in metrics), "parameters", "minutes", "memory"]
    return as_table([titles, *(row_cells(row, metrics) for row in rows)])


def row_cells(row, metrics):
    """One row's cells."""
    own = [
        row["metrics"][m.name] for m in METRICS if m.run == "scores"
    ]  # a crossed run counts seeds of others
    seeds = max((len(found["seeds"]) for found in own if found), default=0)
    minutes = " + ".join(f"{value:.1f}" for value in row["training_minutes"].values()) or "-"
    size = "" if row["parameters_m"] is None else f"{row['parameters_m']:.2f} M"
    memory = "" if row["peak_memory_gb"] is None else f"{row['peak_memory_gb']:.1f} GB"
    return [
        row["title"],
        str(seeds),
        *(value_cell(row["metrics"][m.name], m) for m in metrics),
        size,
        minutes,
        memory,
    ]


def value_cell(found, metric):
    """A value, with its interval where the column has them."""
    if found is None:
        return "-"
    value = f"{found['value']:.{metric.digits}f}"
    return f"{value} {interval(found, metric.digits)}" if metric.name in WITH_INTERVAL else value


def interval(found, digits, sign=""):
    """``[low, high]``"""
    return f"[{found['low']:{sign}.{digits}f}, {found['high']:{sign}.{digits}f}]"


def differences_text(differences, metrics):
    """The paired differences."""
    rows = [
        [d["title"], *(difference_cell(d["metrics"][m.name], m) for m in metrics)]
        for d in differences
    ]
    return as_table([["difference", *(m.title for m in metrics)], *rows])


def difference_cell(found, metric):
    """A difference with its sign and interval, one more digit than a value; bold where the interval leaves 0 out."""
    if found is None:
        return "-"
    digits = metric.digits + 1 if metric.digits > 1 else metric.digits
    value = f"{found['value']:+.{digits}f}"
    return f"{f'**{value}**' if off_zero(found) else value} {interval(found, digits, '+')}"


def commands_text(table):
    """Each row's commands, those of earlier stages first, for the first seed."""
    blocks = [
        f"{row['title']}:\n\n```\n" + "\n".join(row["commands"]) + "\n```" for row in table["rows"]
    ]
    return f"Of seed {table['seeds'][0]}; `{table['command']}` runs them all.\n\n" + "\n\n".join(
        blocks
    )


def as_table(rows):
    """Lists of cells -> a Markdown table; the first list is the head."""
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
