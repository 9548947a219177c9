"""Everything that a table says, as one dict, from the folders of finished runs."""

import json
from statistics import mean

from results_table.intervals import estimate
from results_table.records import METRICS, column, difference


def build_table(runs, states, seeds):
    """The table of what is finished: {"seeds", "rows": [...], "differences": [...]}, ready for JSON.

    Arguments
    ---------
    runs : Runs
    states : States
    seeds : list of int
        Seeds that may count; a row counts those that are finished.
    """
    plan = runs.plan
    columns = {
        (name, m.name): scores(runs, states, seeds, row, m)
        for name, row in plan.rows.items()
        for m in METRICS
    }
    return {
        "seeds": list(seeds),
        "rows": [row_of(runs, states, seeds, row, columns) for row in plan.rows.values()],
        "differences": [difference_of(entry, columns) for entry in plan.differences],
    }


def scores(runs, states, seeds, row, metric):
    """Column of one row and metric over the seeds that are finished; empty where the row has no such run."""
    name = getattr(row, metric.run)
    wanted = runs.crossing(name, seeds) if name else {}
    return column(metric, {key: run.folder for key, run in wanted.items() if states.finished(run)})


def row_of(runs, states, seeds, row, columns):
    """One row: its metrics, what it cost, and the commands of its first seed."""
    return {
        "name": row.name,
        "title": row.title,
        "metrics": {m.name: estimate(columns[row.name, m.name]) for m in METRICS},
        **costs(runs, states, seeds, row),
        "commands": [run.command for run in runs.of_row(row, seeds[0])],
    }


def difference_of(entry, columns):
    """One paired difference, in every metric that both rows have."""
    pairs = {
        m.name: (columns[entry["of"], m.name], columns[entry["minus"], m.name]) for m in METRICS
    }
    return {**entry, "metrics": {name: estimate(difference(*pair)) for name, pair in pairs.items()}}


def costs(runs, states, seeds, row):
    """Parameters (M), training minutes (mean over seeds) and peak memory (GB, the largest) of enhancer and recognizer."""
    names = list(dict.fromkeys(name for name in (row.enhancer, row.scores) if name))
    found = {
        name: [c for c in (cost_of(runs, states, name, seed) for seed in seeds) if c]
        for name in names
    }
    all_costs = [cost for costs_of_run in found.values() for cost in costs_of_run]
    if not found[row.scores]:
        return {"parameters_m": None, "training_minutes": {}, "peak_memory_gb": None}
    return {
        "parameters_m": parameters(found[row.scores]),
        "training_minutes": {
            name: minutes for name, cs in found.items() if (minutes := training_minutes(cs))
        },
        "peak_memory_gb": max(cost["peak_memory_gb"] for cost in all_costs),
    }


def training_minutes(costs_of_run):
    """Mean over seeds; 0 where nothing was trained."""
    return mean([cost["training_seconds"] / 60 for cost in costs_of_run] or [0])


def parameters(costs_of_run):
    """Millions of parameters of the networks of a run that work after training, which a judge does not."""
    return sum(m["parameters"] for m in costs_of_run[0]["modules"].values() if m["used"]) / 1e6


def cost_of(runs, states, name, seed):
    """``cost.json`` of a finished run, else None."""
    run = runs.get(name, seed)
    return (
        json.loads((run.folder / "cost.json").read_text(encoding="utf-8"))
        if states.finished(run)
        else None
    )
