"""A plan in YAML -> the runs of its rows, as commands in the order in which they are made."""

import hashlib
import json
import re
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from corpus.files import parse_yaml, read_text
from errors import RecipeError, one_of

PLANS = Path(__file__).parent / "plans"
SECTIONS = ("extends", "seeds", "common", "data", "runs", "each_row", "rows", "differences")
DIFFERENCE_KEYS = ("title", "of", "minus")
MAPPINGS = ("common", "data", "runs", "each_row", "rows", "set")
NAME = re.compile(r"\{(\w+)\}")  # stands for a folder


@dataclass(frozen=True)
class Plan:
    """What the YAML says. ``base`` is the name of the plan at the root of ``extends``."""

    name: str
    base: str
    seeds: list
    common: dict
    data: dict  # name -> {"mini" or "mix": settings}
    runs: dict  # name -> {"stage", "set"}, with those that the rows make
    # Name -> {"title", "enhancer" or None, "runs": entry of each_row -> name of its run}
    rows: dict
    differences: list  # of {"title", "of", "minus"}


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
    def with_needs(self) -> list["Run"]:
        """All that it needs, then itself."""
        return [*(run for needed in self.needs for run in needed.with_needs), self]

    @property
    def title(self) -> str:
        """For messages."""
        return f"{self.name} seed {self.seed}"

    @property
    def arguments(self) -> list[str]:
        """What follows ``train.py``: text as it is, all else as JSON, which is YAML."""
        texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in self.overrides.items()}
        return [f"hparams/{self.stage}.yaml", *(f"--{key}={text}" for key, text in texts.items())]

    @property
    def command(self) -> str:
        """To read, and to paste into a shell."""
        return shlex.join(["python", "train.py", *self.arguments])

    @cached_property
    def key(self) -> str:
        """The same only where the command and those of all needed runs are the same."""
        texts = [self.command, *(needed.key for needed in self.needs)]
        return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def read_plan(name: str, above: tuple = ()) -> Plan:
    """A plan of this recipe by name, or any by its file. RecipeError says what does not fit.

    ``above``: the files of the plans that extend it.
    """
    paths = [path for path in (PLANS / f"{name}.yaml", Path(name)) if path.is_file()]
    if not paths:
        accepted = ", ".join(sorted(file.stem for file in PLANS.glob("*.yaml")))
        raise RecipeError(f"--plan: there is no {name!r}. Accepted: {accepted}, or a YAML file.")
    path = paths[0].resolve()
    if path in above:
        raise RecipeError(f"{path}: the plans extend each other. Leave one `extends` out.")
    sections = parse_yaml(read_text(path), path)
    check_keys(path, sections, SECTIONS, ("seeds", "each_row", "rows"))
    base = Plan("", path.stem, [], {}, {}, {}, {}, [])  # where it extends no other
    if "extends" in sections:
        base = read_plan(str(path.parent / sections["extends"]), (*above, path))
    common, each_row = base.common | sections.get("common", {}), sections["each_row"]
    runs, rows = {}, {}
    for name, run in [*each_row.items(), *sections.get("runs", {}).items()]:
        check_keys(f"{path}: run {name}", run, ("stage", "set"), ("stage",))
    for name, run in sections.get("runs", {}).items():
        runs[name] = {**run, "set": common | run.get("set", {})}
    for name, row in sections["rows"].items():
        check_keys(f"{path}: row {name}", row, ("title", "enhancer", "set", *each_row), ("title",))
        made, enhancer = {kind: f"{kind}_{name}" for kind in each_row}, row.get("enhancer")
        rows[name] = {"title": row["title"], "enhancer": enhancer, "runs": made}
        own = row.get("set", {})
        if enhancer:
            own = {"pretrained_enhance_path": f"{{{enhancer}}}/enhance_model.ckpt"} | own
        for kind, run in each_row.items():
            settings = common | run.get("set", {}) | own | row.get(kind, {})
            runs[made[kind]] = {**run, "set": settings}
    data, differences = base.data | sections.get("data", {}), sections.get("differences", [])
    runs, seeds = base.runs | runs, sections["seeds"]
    plan = Plan(path.stem, base.base, seeds, common, data, runs, rows, differences)
    check_names(path, plan)
    return plan


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
        if row["enhancer"]:
            one_of(f"{path}: row {name}: enhancer", row["enhancer"], plan.runs)
    for name, run in plan.runs.items():
        for needed in references(run["set"]):
            one_of(f"{path}: run {name}", needed, [*plan.runs, *plan.data, "shared"])
    for difference in plan.differences:
        check_keys(f"{path}: difference", difference, DIFFERENCE_KEYS, DIFFERENCE_KEYS)
        for key in ("of", "minus"):
            one_of(f"{path}: difference {difference['title']}", difference[key], plan.rows)


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
            one_of("--rows", name, self.plan.rows)
        names = [name for row in rows for name in self.plan.rows[row]["runs"].values()]
        pairs = [(name, seed) for seed in seeds for name in names]
        return list(dict.fromkeys(run for pair in pairs for run in self.get(*pair).with_needs))
