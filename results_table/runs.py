"""The runs of a plan for its rows and seeds, as commands, in the order in which they are worth most."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from errors import RecipeError
from results_table.plan import known, needs_of

ROOT = Path(__file__).resolve().parents[1]  # commands are run here: they name hparams/ by a relative path


@dataclass(frozen=True, eq=False)
class Run:
    """One ``python train.py``: ``overrides`` are complete, ``needs`` are the runs whose files it reads."""

    name: str
    seed: int
    stage: str
    place: str
    overrides: tuple
    needs: tuple = ()

    @property
    def folder(self):
        """Where the run leaves everything; ``place`` is how its command says it."""
        return ROOT / self.place

    @property
    def title(self):
        """For the log."""
        return f"{self.name} seed {self.seed}"

    @property
    def arguments(self):
        """What stands behind ``train.py``."""
        return [f"hparams/{self.stage}.yaml", *(f"--{key}={as_text(value)}" for key, value in self.overrides)]

    @property
    def command(self):
        """To read, and to paste into a shell."""
        return shlex.join(["python", "train.py", *self.arguments])


def as_text(value):
    """A value of an override as YAML on one line."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(as_text, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {as_text(item)}" for key, item in value.items()) + "}"
    return "null" if value is None else str(value)


class Runs:
    """All runs of a plan, made when asked for.

    Arguments
    ---------
    plan : Plan
    folder : Path
        The table's folder, relative to the recipe's or absolute; a run's own is ``runs/<name>/<seed>`` in it.
    extra : dict
        Overrides for all runs, below those of the plan's runs.
    data : callable
        Seed -> overrides that tell where the data of this seed are.
    """

    def __init__(self, plan, folder, extra=None, data=lambda seed: {}):
        self.plan, self.folder, self.extra, self.data = plan, Path(folder), extra or {}, data
        self.made = {}

    def place_of(self, name, seed):
        """Output folder of a run, as its command says it."""
        return (self.folder / "runs" / name / str(seed)).as_posix()

    def get(self, name, seed, above=()):
        """The Run of a name and seed. RecipeError if runs need each other."""
        if name in above:
            raise RecipeError(f"plan: the runs {' -> '.join([*above, name])} need each other.")
        if (name, seed) not in self.made:
            spec = self.plan.runs[name]
            needs = tuple(self.get(needed, seed, (*above, name)) for needed in needs_of(spec))
            overrides = self.overrides(name, spec, seed)
            self.made[name, seed] = Run(name, seed, spec["stage"], self.place_of(name, seed), overrides, needs)
        return self.made[name, seed]

    def overrides(self, name, spec, seed):
        """All overrides of a run, references to other runs filled in."""
        folders = {needed: self.place_of(needed, seed) for needed in needs_of(spec)}
        own = {k: v.format_map(folders) if isinstance(v, str) else v for k, v in spec.get("set", {}).items()}
        place = {"seed": seed + spec.get("seed_offset", 0), "output_folder": self.place_of(name, seed)}
        return tuple({**place, **self.plan.common, **self.data(seed), **self.extra, **own}.items())

    def of_row(self, row, seed):
        """Runs that a row needs, those of earlier stages first."""
        found = {}
        for name in row.runs:
            collect(self.get(name, seed), found)
        return list(found)

    def in_order(self, rows, seeds):
        """All runs for these rows (names) and seeds: group by group of the plan, within a group seed by seed."""
        for name in rows:
            known("--rows", name, self.plan.rows)
        found = {}
        for group in self.plan.order:
            for seed in seeds:
                for name in group:
                    if name in rows:
                        found.update(dict.fromkeys(self.of_row(self.plan.rows[name], seed)))
        return list(found)


def collect(run, found):
    """Put a run behind all that it needs into ``found``, a dict that keeps the order."""
    for needed in run.needs:
        collect(needed, found)
    found[run] = None
