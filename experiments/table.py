"""The table of finished runs: as a dict for JSON, and as Markdown."""

import json
from statistics import mean

import numpy as np

from experiments.plan import Run, Runs
from experiments.runner import finished
from scoring.bootstrap import Columns, difference, interval
from scoring.metrics import METRICS
from scoring.scoreboard import Scoreboard

# Name -> (metric, entry of each_row whose runs are read or None for the first, digits)
COLUMNS = {
    "pesq": ("pesq", None, 2),
    "estoi": ("estoi", None, 1),
    "stoi": ("stoi", None, 1),
    "covl": ("covl", None, 2),
    "si_sdr": ("si_sdr", None, 1),
    "wer": ("wer", None, 1),
    "cer": ("cer", None, 1),
    "wer_independent": ("wer", "independent", 1),
}
LEGEND = """\
Of the test set: PESQ (wide band), STOI and eSTOI in %, SI-SDR in dB, COVL from 1 to 5, WER and CER
in %. WER, independent: by a recognizer of clean speech that was not trained on the row's input.
Minutes: training of enhancer + recognizer, mean over seeds."""
PAIRED = """\
Paired by seed and utterance, with 95 % bootstrap intervals over both.
**Bold**: significant (the interval excludes 0)."""


def build_table(runs: Runs, seeds: list[int]) -> dict:
    """All that is known of the finished runs, ready for JSON."""
    plan, scores, rows, differences = runs.plan, {}, [], []
    for name, row in plan.rows.items():
        scores[name] = columns_of(runs, seeds, row["runs"])
        rows.append(
            {
                "name": name,
                "title": row["title"],
                "metrics": {key: estimate(column) for key, column in scores[name].items()},
                **costs_of(runs, seeds, row),
                "commands": [run.command for run in runs.in_order([name], seeds[:1])],
            }
        )
    for entry in plan.differences:
        a, b = scores[entry["of"]], scores[entry["minus"]]
        found = {key: estimate(difference(a[key], b[key])) for key in COLUMNS}
        differences.append({**entry, "metrics": found})
    return {"plan": plan.name, "seeds": seeds, "rows": rows, "differences": differences}


def estimate(column: Columns) -> dict | None:
    """{"value", "low", "high", "seeds": {seed: value}} of a column; None without utterances.

    The value is the sum of numerators over that of denominators: a mean where these are 1.
    """
    names = sorted({name for values in column.values() for name in values})
    # [seeds, utterances, 2] in the order of their names; zeros where a seed lacks an utterance
    pairs = [[column[seed].get(name, (0, 0)) for name in names] for seed in sorted(column)]
    sums = np.array(pairs, dtype=np.float64).reshape(len(column), len(names), 2)
    totals = sums.sum(axis=1)
    if not totals[:, 1].any():
        return None
    low, high = interval(sums)
    numerator, denominator = totals.sum(axis=0)
    by_seed = zip(sorted(column), totals, strict=True)
    return {
        "value": float(numerator / denominator),
        "low": low,
        "high": high,
        "seeds": {seed: float(total[0] / total[1]) for seed, total in by_seed if total[1]},
    }


def significant(found: dict) -> bool:
    """Whether an interval excludes 0."""
    return found["low"] > 0 or found["high"] < 0


def columns_of(runs: Runs, seeds: list[int], names: dict) -> dict[str, Columns]:
    """The scores of one row by the names of COLUMNS, over the seeds that are finished."""
    found = {
        kind: {run.seed: scores_of(run) for run in done_of(runs, seeds, name)}
        for kind, name in names.items()
    }
    found[None] = next(iter(found.values()))
    return {
        key: {seed: s[metric] for seed, s in found.get(kind, {}).items() if s.get(metric)}
        for key, (metric, kind, _) in COLUMNS.items()
    }


def done_of(runs: Runs, seeds: list[int], name: str) -> list[Run]:
    """The finished runs of a name."""
    return [run for run in (runs.get(name, seed) for seed in seeds) if finished(run)]


def scores_of(run: Run) -> Columns:
    """Score -> utterance -> (numerator, denominator)."""
    path = run.folder / "test_utterances.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return Scoreboard(map(json.loads, lines)).columns()


def costs_of(runs: Runs, seeds: list[int], row: dict) -> dict:
    """Millions of parameters in use, and minutes of training of enhancer and recognizer."""
    minutes = {}
    for name in filter(None, (row["enhancer"], next(iter(row["runs"].values())))):
        files = [run.folder / "cost.json" for run in done_of(runs, seeds, name)]
        costs = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        if costs:
            minutes[name] = mean(cost["training_seconds"] for cost in costs) / 60
    modules = costs[0]["modules"].values() if costs else []  # of the recognizer
    used = sum(module["parameters"] for module in modules if module["used"])
    return {"parameters_m": used / 1e6, "minutes": minutes}


def markdown(table: dict) -> str:
    """The dict of ``build_table``, with the key "code" -> text."""
    rows, differences = scored(table["rows"]), scored(table["differences"])
    columns = {k: c for k, c in COLUMNS.items() if any(row["metrics"][k] for row in rows)}
    titles = [METRICS[m].label + (f", {kind}" if kind else "") for m, kind, _ in columns.values()]
    lines = [["row", "seeds", *titles, "parameters", "minutes"]]
    for row in rows:
        found = {key: row["metrics"][key] for key in columns}
        cells = [f"{f['value']:.{columns[key][2]}f}" if f else "-" for key, f in found.items()]
        minutes = " + ".join(f"{value:.1f}" for value in row["minutes"].values())
        seeds = max(len(f["seeds"]) for f in found.values() if f)
        lines.append([row["title"], str(seeds), *cells, f"{row['parameters_m']:.2f} M", minutes])
    parts = [f"Plan {table['plan']}, code {table['code']}.", as_table(lines), LEGEND]
    if missing := [row["title"] for row in table["rows"] if row not in rows]:
        parts.append(f"Not run yet: {'; '.join(missing)}.")
    if differences:
        lines = [["difference", *titles]]
        for entry in differences:
            cells = [difference_cell(entry["metrics"][key], columns[key][2]) for key in columns]
            lines.append([entry["title"], *cells])
        parts += [PAIRED, as_table(lines)]
    parts.append(f"Commands of seed {table['seeds'][0]}:")
    for row in rows:
        parts.append("\n".join([f"{row['title']}:\n\n```", *row["commands"], "```"]))
    return "\n\n".join(parts) + "\n"


def scored(entries: list[dict]) -> list[dict]:
    """The rows or differences that have a score."""
    return [entry for entry in entries if any(entry["metrics"].values())]


def difference_cell(found: dict | None, digits: int) -> str:
    """A difference with its sign and interval; a column of two digits has a third here."""
    if not found:
        return "-"
    digits += digits > 1
    value, low, high = (f"{found[end]:+.{digits}f}" for end in ("value", "low", "high"))
    return f"{f'**{value}**' if significant(found) else value} [{low}, {high}]"


def as_table(lines: list[list[str]]) -> str:
    """Lists of cells -> a Markdown table; the first list is the head."""
    head, *rest = [f"| {' | '.join(cells)} |" for cells in lines]
    return "\n".join([head, "|" + "---|" * len(lines[0]), *rest])
