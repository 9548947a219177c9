"""The table of finished runs: as a dict for JSON, and as Markdown."""

import json
from dataclasses import dataclass
from statistics import mean

from experiments.plan import Row, Run, Runs
from experiments.runner import finished
from experiments.statistics import Column, difference, estimate, significant


@dataclass(frozen=True)
class Metric:
    """A column of the table.

    ``numerator`` and ``denominator`` are keys of the records by utterance; without the latter the
    column is a mean over utterances. ``kind``: the run of ``each_row`` that it is read from, by
    default the first.
    """

    name: str
    title: str
    digits: int
    numerator: str
    denominator: str | None = None
    kind: str | None = None

    def of(self, record: dict) -> tuple[float, float] | None:
        """(numerator, denominator) of an utterance; None where it has no score."""
        value = record.get(self.numerator)
        if value is None:
            return None
        return (100.0 * value, record[self.denominator]) if self.denominator else (value, 1.0)


WORDS = ("word_errors", "words")
METRICS = (
    Metric("pesq", "PESQ", 2, "pesq"),
    Metric("estoi", "eSTOI", 1, "estoi"),
    Metric("stoi", "STOI", 1, "stoi"),
    Metric("covl", "COVL", 2, "covl"),
    Metric("si_sdr", "SI-SDR", 1, "si_sdr"),
    Metric("wer", "WER", 1, *WORDS),
    Metric("cer", "CER", 1, "char_errors", "chars"),
    Metric("wer_independent", "WER, independent", 1, *WORDS, kind="independent"),
)
LEGEND = """\
Of the test set: PESQ (wide band), STOI and eSTOI in %, COVL from 1 to 5, SI-SDR in dB, WER and CER
in %. WER, independent: by a recognizer of clean speech that was not trained on the row's input.
Minutes: training of enhancer + recognizer, mean over seeds."""


def build_table(runs: Runs, seeds: list[int]) -> dict:
    """All that is known of the finished runs, ready for JSON."""
    plan = runs.plan
    columns = {
        name: {metric.name: column_of(runs, seeds, row, metric) for metric in METRICS}
        for name, row in plan.rows.items()
    }
    differences = []
    for entry in plan.differences:
        a, b = columns[entry["of"]], columns[entry["minus"]]
        differences.append({**entry, "metrics": {k: estimate(difference(a[k], b[k])) for k in a}})
    rows = [
        {
            "name": name,
            "title": row.title,
            "metrics": {metric: estimate(column) for metric, column in columns[name].items()},
            **costs_of(runs, seeds, row),
            "commands": [run.command for run in runs.in_order([name], seeds[:1])],
        }
        for name, row in plan.rows.items()
    ]
    return {"plan": plan.name, "seeds": seeds, "rows": rows, "differences": differences}


def column_of(runs: Runs, seeds: list[int], row: Row, metric: Metric) -> Column:
    """The scores of one row and metric, over the seeds that are finished."""
    done = done_of(runs, seeds, row.runs.get(metric.kind or next(iter(row.runs))))
    columns = {run.seed: scores(run, metric) for run in done}
    return {seed: values for seed, values in columns.items() if values}


def done_of(runs: Runs, seeds: list[int], name: str | None) -> list[Run]:
    """The finished runs of a name; none of no name."""
    return (
        [run for run in (runs.get(name, seed) for seed in seeds) if finished(run)] if name else []
    )


def scores(run: Run, metric: Metric) -> dict[str, tuple[float, float]]:
    """Utterance -> (numerator, denominator), of the utterances that have a score."""
    path = run.folder / "test_utterances.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    pairs = {record["id"]: metric.of(record) for record in map(json.loads, lines)}
    return {name: pair for name, pair in pairs.items() if pair is not None}


def costs_of(runs: Runs, seeds: list[int], row: Row) -> dict:
    """Millions of parameters in use, and minutes of training of enhancer and recognizer."""
    found = {}
    for name in filter(None, (row.enhancer, next(iter(row.runs.values())))):
        files = [run.folder / "cost.json" for run in done_of(runs, seeds, name)]
        found[name] = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    modules = [module for cost in found[name][:1] for module in cost["modules"].values()]
    return {
        "parameters_m": sum(module["parameters"] for module in modules if module["used"]) / 1e6,
        "minutes": {
            name: mean(cost["training_seconds"] for cost in costs) / 60
            for name, costs in found.items()
            if costs
        },
    }


def markdown(table: dict) -> str:
    """The dict of ``build_table`` -> text."""
    rows, differences = (known(table[key]) for key in ("rows", "differences"))
    metrics = [metric for metric in METRICS if any(row["metrics"][metric.name] for row in rows)]
    titles = [metric.title for metric in metrics]
    lines = [["row", "seeds", *titles, "parameters", "minutes"]]
    lines += [row_cells(row, metrics) for row in rows]
    parts = [f"Plan {table['plan']}, code {table['code']}.", as_table(lines), LEGEND]
    missing = [row["title"] for row in table["rows"] if row not in rows]
    if missing:
        parts.append(f"Not run yet: {'; '.join(missing)}.")
    if differences:
        lines = [["difference", *titles]]
        lines += [[d["title"], *difference_cells(d, metrics)] for d in differences]
        parts.append("Paired by seed and utterance, with 95 % bootstrap intervals over both. "
                     "**Bold**: significant (the interval excludes 0).")  # fmt: skip
        parts.append(as_table(lines))
    parts.append(f"Commands of seed {table['seeds'][0]}:")
    parts += [f"{row['title']}:\n\n```\n{chr(10).join(row['commands'])}\n```" for row in rows]
    return "\n\n".join(parts) + "\n"


def known(entries: list[dict]) -> list[dict]:
    """The rows or differences that have a score."""
    return [entry for entry in entries if any(entry["metrics"].values())]


def row_cells(row: dict, metrics: list[Metric]) -> list[str]:
    """The cells of one row."""
    found = [row["metrics"][metric.name] for metric in metrics]
    values = [
        f"{f['value']:.{m.digits}f}" if f else "-" for f, m in zip(found, metrics, strict=True)
    ]
    minutes = " + ".join(f"{value:.1f}" for value in row["minutes"].values())
    seeds = str(max(len(f["seeds"]) for f in found if f))
    return [row["title"], seeds, *values, f"{row['parameters_m']:.2f} M", minutes]


def difference_cells(entry: dict, metrics: list[Metric]) -> list[str]:
    """Differences with their sign and interval; a metric of two digits has a third here."""
    cells = []
    for metric in metrics:
        found = entry["metrics"][metric.name]
        if found is None:
            cells.append("-")
            continue
        digits = metric.digits + (metric.digits > 1)
        value, low, high = (f"{found[key]:+.{digits}f}" for key in ("value", "low", "high"))
        cells.append(f"{f'**{value}**' if significant(found) else value} [{low}, {high}]")
    return cells


def as_table(lines: list[list[str]]) -> str:
    """Lists of cells -> a Markdown table; the first list is the head."""
    head, *rest = [f"| {' | '.join(cells)} |" for cells in lines]
    return "\n".join([head, "|" + "---|" * len(lines[0]), *rest])
