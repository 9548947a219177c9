"""The table of finished runs: as a dict for JSON, and as Markdown."""

import json
from statistics import mean

from experiments.plan import Run, Runs
from experiments.runner import finished
from experiments.statistics import Column, difference, estimate, significant
from scoring.metrics import METRICS, RATES

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
        scores[name] = {
            key: column_of(runs, seeds, row["runs"], metric, kind)
            for key, (metric, kind, _) in COLUMNS.items()
        }
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


def column_of(runs: Runs, seeds: list[int], names: dict, metric: str, kind: str | None) -> Column:
    """The scores of one row, over the seeds that are finished."""
    name = names.get(kind or next(iter(names)))
    columns = {run.seed: scores_of(run, metric) for run in done_of(runs, seeds, name)}
    return {seed: values for seed, values in columns.items() if values}


def done_of(runs: Runs, seeds: list[int], name: str | None) -> list[Run]:
    """The finished runs of a name."""
    return [run for run in (runs.get(name, seed) for seed in seeds if name) if finished(run)]


def scores_of(run: Run, metric: str) -> dict[str, tuple[float, float]]:
    """Utterance -> (numerator, denominator), of the utterances that have a score."""
    path = run.folder / "test_utterances.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    records = [json.loads(line) for line in lines]
    if metric in RATES:
        errors, length = RATES[metric]
        return {r["id"]: (100.0 * r[errors], r[length]) for r in records if errors in r}
    return {r["id"]: (r[metric], 1.0) for r in records if r.get(metric) is not None}


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
    columns = {
        key: column for key, column in COLUMNS.items() if any(row["metrics"][key] for row in rows)
    }
    titles = [
        METRICS[metric].label + (f", {kind}" if kind else "")
        for metric, kind, _ in columns.values()
    ]
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
