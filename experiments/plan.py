"""A plan in YAML -> the runs of its rows, as commands in the order in which they are made."""

import hashlib
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import ruamel.yaml
from ruamel.yaml.error import YAMLError

from corpus.files import read_text
from errors import RecipeError

PLANS = Path(__file__).parent / "plans"
SECTIONS = ("extends", "seeds", "common", "data", "runs", "each_row", "rows", "differences")
RUN_KEYS = ("stage", "set")
ROW_KEYS = ("title", "enhancer", "set")  # and the names of each_row
DIFFERENCE_KEYS = ("title", "of", "minus")
MAPPINGS = ("common", "data", "runs", "each_row", "rows", "set")
NAME = re.compile(r"\{(\w+)\}")  # stands for a folder


@dataclass(frozen=True)
class Row:
    """A row of the table."""

    title: str
    enhancer: str | None  # name of the run that trained it
    runs: dict  # entry of each_row -> name of its run


@dataclass(frozen=True)
class Plan:
    """What the YAML says. ``base`` is the name of the plan at the root of ``extends``."""

    name: str
    base: str
    seeds: list
    common: dict
    data: dict  # name -> {"mini" or "mix": settings}
    runs: dict  # name -> {"stage", "set"}, with those that the rows make
    rows: dict  # name -> Row
    differences: list  # of {"title", "of", "minus"}


NOTHING = Plan("", "", [], {}, {}, {}, {}, [])  # what a plan extends that names no other


@dataclass(frozen=True, eq=False)
class Run:
    """One ``python train.py``; ``needs`` are the runs whose files it reads."""

    name: str
    seed: int
    stage: str
    folder: Path
    overrides: dict
    needs: tuple

    @property
    def title(self) -> str:
        """For messages."""
        return f"{self.name} seed {self.seed}"

    @property
    def arguments(self) -> list[str]:
        """What follows ``train.py``."""
        pairs = [f"--{key}={as_text(value)}" for key, value in self.overrides.items()]
        return [f"hparams/{self.stage}.yaml", *pairs]

    @property
    def command(self) -> str:
        """To read, and to paste into a shell."""
        return shlex.join(["python", "train.py", *self.arguments])

    @cached_property
    def key(self) -> str:
        """The same only where the command and those of all needed runs are the same."""
        texts = [self.command, *(needed.key for needed in self.needs)]
        return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def as_text(value) -> str:
    """A value of an override: text as it is, all else as JSON, which is YAML."""
    return value if isinstance(value, str) else json.dumps(value)


def read_plan(name: str) -> Plan:
    """A plan of this recipe by name, or any by its file. RecipeError says what does not fit."""
    path = PLANS / f"{name}.yaml"
    if not path.is_file():
        path = Path(name)
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in PLANS.glob("*.yaml")))
        raise RecipeError(f"--plan: there is no {name!r}. Accepted: {known}, or a YAML file.")
    sections = as_yaml(read_text(path), path)
    check_keys(path, sections, SECTIONS, ("seeds", "each_row", "rows"))
    base = NOTHING
    if "extends" in sections:
        base = read_plan(str(path.parent / sections["extends"]))
    common = base.common | sections.get("common", {})
    own, each_row = sections.get("runs", {}), sections["each_row"]
    for name, run in [*own.items(), *each_row.items()]:
        check_keys(f"{path}: run {name}", run, RUN_KEYS, ("stage",))
    runs = {name: {**run, "set": common | run.get("set", {})} for name, run in own.items()}
    rows = {}
    for name, row in sections["rows"].items():
        check_keys(f"{path}: row {name}", row, (*ROW_KEYS, *each_row), ("title",))
        made = {kind: f"{kind}_{name}" for kind in each_row}
        rows[name] = Row(row["title"], row.get("enhancer"), made)
        for kind, run in each_row.items():
            runs[made[kind]] = {**run, "set": common | run.get("set", {}) | of_row(row, kind)}
    plan = Plan(
        name=path.stem,
        base=base.base or path.stem,
        seeds=sections["seeds"],
        common=common,
        data=base.data | sections.get("data", {}),
        runs=base.runs | runs,
        rows=rows,
        differences=sections.get("differences", []),
    )
    check_names(path, plan)
    return plan


def as_yaml(text: str, where):
    """Plain YAML -> its value; RecipeError names the place."""
    try:
        return ruamel.yaml.YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError) as problem:  # ValueError: 2020-13-45 is read as a date
        reason = " ".join(str(problem).split())
        raise RecipeError(f"{where}: this is not YAML of plain values: {reason}") from problem


def of_row(row: dict, kind: str) -> dict:
    """The overrides that a row adds to those of a kind of ``each_row``."""
    enhancer = {}
    if "enhancer" in row:
        enhancer = {"pretrained_enhance_path": f"{{{row['enhancer']}}}/enhance_model.ckpt"}
    return enhancer | row.get("set", {}) | row.get(kind, {})


def check_keys(where, found, accepted, required):
    """RecipeError unless a mapping has the required keys and no others than the accepted ones."""
    if not isinstance(found, dict):
        raise RecipeError(f"{where}: {found!r} is no mapping. Keys: {', '.join(accepted)}.")
    odd = [f"{key} is not known" for key in found if key not in accepted]
    odd += [f"{key} is missing" for key in required if key not in found]
    odd += [f"{key} is no mapping" for key in MAPPINGS if not isinstance(found.get(key, {}), dict)]
    if odd:
        raise RecipeError(f"{where}: {'; '.join(odd)}. Accepted: {', '.join(accepted)}.")


def check_names(path, plan: Plan):
    """Every run, corpus and row that is named exists."""
    for name, row in plan.rows.items():
        if row.enhancer:
            known(f"{path}: row {name}", row.enhancer, plan.runs)
    for name, run in plan.runs.items():
        for needed in references(run["set"]):
            known(f"{path}: run {name}", needed, [*plan.runs, *plan.data, "shared"])
    for difference in plan.differences:
        check_keys(f"{path}: difference", difference, DIFFERENCE_KEYS, DIFFERENCE_KEYS)
        for key in ("of", "minus"):
            known(f"{path}: difference {difference['title']}", difference[key], plan.rows)


def known(where, name, names):
    """RecipeError for a name that the plan does not have."""
    if name not in names:
        raise RecipeError(f"{where}: there is no {name!r}. Known: {', '.join(names)}.")


def references(settings: dict) -> list[str]:
    """Names in curly brackets in the values of settings, each once."""
    texts = [value for value in settings.values() if isinstance(value, str)]
    return list(dict.fromkeys(name for text in texts for name in NAME.findall(text)))


class Runs:
    """The runs of a plan, made when asked for, each with the folder ``<name>/<seed>``.

    ``places``: folders of names in curly brackets that are no runs. ``extra``: overrides of all
    runs, below the plan's own.
    """

    def __init__(self, plan: Plan, folder: Path, places: dict, extra: dict | None = None):
        self.plan, self.folder, self.places, self.extra = plan, folder, places, extra or {}
        self.made = {}

    def get(self, name: str, seed: int, above: tuple = ()) -> Run:
        """The run of a name and seed. RecipeError if runs need each other."""
        if name in above:
            raise RecipeError(f"plan: the runs {' -> '.join([*above, name])} need each other.")
        if (name, seed) not in self.made:
            spec, folder = self.plan.runs[name], self.folder / name / str(seed)
            names = [needed for needed in references(spec["set"]) if needed in self.plan.runs]
            needs = {needed: self.get(needed, seed, (*above, name)) for needed in names}
            places = {**self.places, **{needed: run.folder for needed, run in needs.items()}}
            own = {
                key: NAME.sub(lambda m: str(places[m[1]]), value) if type(value) is str else value
                for key, value in spec["set"].items()
            }
            overrides = {"seed": seed, "output_folder": str(folder), **self.extra, **own}
            run = Run(name, seed, spec["stage"], folder, overrides, tuple(needs.values()))
            self.made[name, seed] = run
        return self.made[name, seed]

    def in_order(self, rows: list[str], seeds: list[int]) -> list[Run]:
        """All runs of these rows, seed by seed, what is needed first."""
        for name in rows:
            known("--rows", name, self.plan.rows)
        names = [name for row in rows for name in self.plan.rows[row].runs.values()]
        pairs = [(name, seed) for seed in seeds for name in names]
        return list(dict.fromkeys(run for pair in pairs for run in with_needs(self.get(*pair))))


def with_needs(run: Run) -> Iterator[Run]:
    """All that a run needs, then the run."""
    for needed in run.needs:
        yield from with_needs(needed)
    yield run
