"""The table of finished runs: as a dict for JSON, and as Markdown."""

import json
from statistics import mean

from experiments.plan import Row, Run, Runs
from experiments.runner import finished
from experiments.statistics import Column, difference, estimate, significant
from scoring.metrics import METRICS

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
    plan = runs.plan
    scores = {
        name: {key: column_of(runs, seeds, row, *COLUMNS[key][:2]) for key in COLUMNS}
        for name, row in plan.rows.items()
    }
    differences = []
    for entry in plan.differences:
        a, b = scores[entry["of"]], scores[entry["minus"]]
        found = {key: estimate(difference(a[key], b[key])) for key in COLUMNS}
        differences.append({**entry, "metrics": found})
    rows = [
        {
            "name": name,
            "title": row.title,
            "metrics": {key: estimate(column) for key, column in scores[name].items()},
            **costs_of(runs, seeds, row),
            "commands": [run.command for run in runs.in_order([name], seeds[:1])],
        }
        for name, row in plan.rows.items()
    ]
    return {"plan": plan.name, "seeds": seeds, "rows": rows, "differences": differences}


def column_of(runs: Runs, seeds: list[int], row: Row, metric: str, kind: str | None) -> Column:
    """The scores of one row, over the seeds that are finished."""
    name = row.runs.get(kind or next(iter(row.runs)))
    done = done_of(runs, seeds, name) if name else []
    columns = {run.seed: scores_of(run, metric) for run in done}
    return {seed: values for seed, values in columns.items() if values}


def done_of(runs: Runs, seeds: list[int], name: str) -> list[Run]:
    """The finished runs of a name."""
    return [run for run in (runs.get(name, seed) for seed in seeds) if finished(run)]


def scores_of(run: Run, metric: str) -> dict[str, tuple[float, float]]:
    """Utterance -> (numerator, denominator), of the utterances that have a score."""
    path = run.folder / "test_utterances.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    records = [json.loads(line) for line in lines]
    errors, length = METRICS[metric].errors, METRICS[metric].length
    if errors:
        return {r["id"]: (100.0 * r[errors], r[length]) for r in records if errors in r}
    return {r["id"]: (r[metric], 1.0) for r in records if r.get(metric) is not None}


def costs_of(runs: Runs, seeds: list[int], row: Row) -> dict:
    """Millions of parameters in use, and minutes of training of enhancer and recognizer."""
    costs = {}
    for name in filter(None, (row.enhancer, next(iter(row.runs.values())))):
        files = [run.folder / "cost.json" for run in done_of(runs, seeds, name)]
        costs[name] = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    modules = [module for cost in costs[name][:1] for module in cost["modules"].values()]
    return {
        "parameters_m": sum(module["parameters"] for module in modules if module["used"]) / 1e6,
        "minutes": {
            name: mean(cost["training_seconds"] for cost in found) / 60
            for name, found in costs.items()
            if found
        },
    }


def markdown(table: dict) -> str:
    """The dict of ``build_table``, with the key "code" -> text."""
    rows, differences = known(table["rows"]), known(table["differences"])
    keys = [key for key in COLUMNS if any(row["metrics"][key] for row in rows)]
    titles = [title_of(key) for key in keys]
    lines = [["row", "seeds", *titles, "parameters", "minutes"]]
    lines += [row_cells(row, keys) for row in rows]
    parts = [f"Plan {table['plan']}, code {table['code']}.", as_table(lines), LEGEND]
    missing = [row["title"] for row in table["rows"] if row not in rows]
    if missing:
        parts.append(f"Not run yet: {'; '.join(missing)}.")
    if differences:
        lines = [[entry["title"], *difference_cells(entry, keys)] for entry in differences]
        parts += [PAIRED, as_table([["difference", *titles], *lines])]
    parts.append(f"Commands of seed {table['seeds'][0]}:")
    for row in rows:
        parts.append("\n".join([f"{row['title']}:\n\n```", *row["commands"], "```"]))
    return "\n\n".join(parts) + "\n"


def title_of(key: str) -> str:
    """The head of a column."""
    metric, kind, _ = COLUMNS[key]
    return METRICS[metric].label + (f", {kind}" if kind else "")


def known(entries: list[dict]) -> list[dict]:
    """The rows or differences that have a score."""
    return [entry for entry in entries if any(entry["metrics"].values())]


def row_cells(row: dict, keys: list[str]) -> list[str]:
    """The cells of one row."""
    found = {key: row["metrics"][key] for key in keys}
    values = [f"{f['value']:.{COLUMNS[key][2]}f}" if f else "-" for key, f in found.items()]
    minutes = " + ".join(f"{value:.1f}" for value in row["minutes"].values())
    seeds = str(max(len(f["seeds"]) for f in found.values() if f))
    return [row["title"], seeds, *values, f"{row['parameters_m']:.2f} M", minutes]


def difference_cells(entry: dict, keys: list[str]) -> list[str]:
    """Differences with their sign and interval; a column of two digits has a third here."""
    cells = []
    for key in keys:
        found, digits = entry["metrics"][key], COLUMNS[key][2]
        if found:
            digits += digits > 1
            value, low, high = (f"{found[end]:+.{digits}f}" for end in ("value", "low", "high"))
            cells.append(f"{f'**{value}**' if significant(found) else value} [{low}, {high}]")
        else:
            cells.append("-")
    return cells


def as_table(lines: list[list[str]]) -> str:
    """Lists of cells -> a Markdown table; the first list is the head."""
    head, *rest = [f"| {' | '.join(cells)} |" for cells in lines]
    return "\n".join([head, "|" + "---|" * len(lines[0]), *rest])
