"""A plan: which runs a table needs, with what overrides, in what order. Read from YAML."""

import string
from dataclasses import dataclass
from pathlib import Path

from errors import RecipeError
from training.settings import parse_yaml

# Of section data: how a corpus is mixed, as in `python data_prep.py mix --help`
MIX_KEYS = (
    "only",
    "without",
    "test_noises",
    "made_noises",
    "test_speakers",
    "valid_speakers",
    "snrs_train",
    "snrs_test",
)
SECTIONS = (
    "extends",
    "seeds",
    "common",
    "data",
    "runs",
    "adapted",
    "independent",
    "rows",
    "order",
    "differences",
)
OPTIONAL = ("extends", "common", "data", "runs", "adapted", "independent")
DATA_KEYS = ("speech", "noise", "score_on", "rotate", *MIX_KEYS)
RUN_KEYS = ("stage", "set", "seed_offset", "crossed")
DIFFERENCE_KEYS = ("title", "of", "minus", "figure")
ROW_KEYS = ("title", "enhancer", "input", "adapted", "independent", "scores")


@dataclass(frozen=True)
class Row:
    """A row of the table: the run that it is scored by, that of the independent recognizer, and the enhancer's."""

    name: str
    title: str
    scores: str
    independent: str | None
    enhancer: str | None

    @property
    def runs(self):
        """Names of the runs that score it."""
        return [name for name in (self.scores, self.independent) if name]


@dataclass(frozen=True)
class Plan:
    """``runs``: name -> {stage, set, seed_offset}; ``rows``: name -> Row; ``order``: groups of row names."""

    seeds: list
    common: dict
    data: dict
    runs: dict
    rows: dict
    order: list
    differences: list


NOTHING = Plan([], {}, {}, {}, {}, [], [])  # what a plan extends that says no other


def read_plan(path):
    """A plan's YAML file -> Plan, checked. RecipeError names what does not fit.

    A plan that ``extends`` another one, named by its path from this one, may name all runs of that plan, has them under the same
    ``common`` overrides, and has none of its rows.
    """
    if not Path(path).is_file():
        raise RecipeError(
            f"--plan: no such file {path}. Plans of this recipe lie in results_table/plans/."
        )
    sections = parse_yaml(Path(path).read_text(encoding="utf-8"), path) or {}
    check_keys(path, sections, SECTIONS, [name for name in SECTIONS if name not in OPTIONAL])
    if sections.get("data"):
        check_keys(f"{path}: data", sections["data"], DATA_KEYS, ["speech", "noise"])
    base = read_plan(Path(path).parent / sections["extends"]) if "extends" in sections else NOTHING
    runs, rows = {**base.runs, **(sections.get("runs") or {})}, {}
    for name, row in sections["rows"].items():
        check_keys(f"{path}: row {name}", row, ROW_KEYS, ["title"])
        rows[name], made = read_row(name, row, sections)
        runs.update(made)
    for name, run in runs.items():
        check_keys(f"{path}: run {name}", run, RUN_KEYS, ["stage"])
    common = {**base.common, **(sections.get("common") or {})}
    plan = Plan(
        list(sections["seeds"]), common, sections.get("data") or {}, runs, rows,
        sections["order"], sections["differences"] or [],
    )  # fmt: skip
    check_names(path, plan)
    check_sets(path, plan)
    return plan


def read_row(name, row, sections):
    """One row -> (Row, its own runs by name). A row with ``scores`` names a run of the plan and makes none."""
    if "scores" in row:
        return Row(
            name, row["title"], row["scores"], row.get("independent"), row.get("enhancer")
        ), {}
    made = {
        f"{kind}_{name}": of_template(kind, row, sections)
        for kind in ("adapted", "independent")
        if kind in sections
    }
    independent = f"independent_{name}" if "independent" in sections else None
    return Row(name, row["title"], f"adapted_{name}", independent, row.get("enhancer")), made


def of_template(kind, row, sections):
    """A run of the plan's section ``kind``, with the row's input and what the row adds to this kind."""
    template = sections[kind]
    return {
        **template,
        "set": {**(row.get("input") or {}), **template.get("set", {}), **(row.get(kind) or {})},
    }


def check_keys(where, found, accepted, required):
    """RecipeError unless a mapping has the required keys and no others than the accepted ones."""
    odd = [f"{key} is not known" for key in found if key not in accepted]
    odd += [f"{key} is missing" for key in required if key not in found]
    if odd:
        raise RecipeError(f"{where}: {'; '.join(odd)}. Accepted: {', '.join(accepted)}.")


def check_names(path, plan):
    """Every run and row that is named exists, and every row has a place in the order."""
    for row in plan.rows.values():
        for name in filter(None, [*row.runs, row.enhancer]):
            known(f"{path}: row {row.name}", name, plan.runs)
    for name, run in plan.runs.items():
        for needed in (*needs_of(run), *run.get("crossed", ())):
            known(f"{path}: run {name}", needed, plan.runs)
    for group in plan.order:
        for name in group:
            known(f"{path}: order", name, plan.rows)
    for difference in plan.differences:
        check_keys(f"{path}: difference", difference, DIFFERENCE_KEYS, DIFFERENCE_KEYS[:3])
        for key in ("of", "minus"):
            known(f"{path}: difference {difference['title']}", difference[key], plan.rows)
    placed = {name for group in plan.order for name in group}
    if placed != plan.rows.keys():
        raise RecipeError(
            f"{path}: order has no place for {', '.join(sorted(plan.rows.keys() - placed))}."
        )


def check_sets(path, plan):
    """RecipeError for a row that would count word errors of the test alone where validation is to be scored too."""
    for row in plan.rows.values():
        for name in row.runs:
            settings = {**plan.common, **plan.runs[name].get("set", {})}
            lacking = [
                m for m in ("wer", "cer") if m not in (settings.get("valid_metrics", [m]) or [])
            ]
            if "valid" in settings.get("score_sets", []) and lacking:
                raise RecipeError(
                    f"{path}: row {row.name}: run {name} scores validation by valid_metrics={settings['valid_metrics']}, "
                    f"without {', '.join(lacking)}: its words would be those of the test alone. Add them, or take valid out of score_sets."
                )


def known(where, name, names):
    """RecipeError for a name that the plan does not have."""
    if name not in names:
        raise RecipeError(f"{where}: there is no {name!r}. Known: {', '.join(names)}.")


def needs_of(run):
    """Names of the runs whose folders the overrides of a run name, in order, each once."""
    texts = [value for value in run.get("set", {}).values() if isinstance(value, str)]
    return list(
        dict.fromkeys(
            name for text in texts for _, name, _, _ in string.Formatter().parse(text) if name
        )
    )
