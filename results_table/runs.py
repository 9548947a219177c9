"""The runs of a plan for its rows and seeds, as commands, in the order in which they are worth most."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from errors import RecipeError
from results_table.plan import known, needs_of

ROOT = (
    Path(__file__).resolve().parents[1]
)  # commands are run here: they name hparams/ by a relative path


@dataclass(frozen=True, eq=False)
class Run:
    """One ``python train.py``: ``overrides`` are complete, ``needs`` are the runs whose files it reads.

    ``by`` is the seed of its crossed needs where that is not its own.
    """

    name: str
    seed: int
    stage: str
    place: str
    overrides: tuple
    needs: tuple = ()
    by: int | None = None

    @property
    def folder(self):
        """Where the run leaves everything; ``place`` is how its command says it."""
        return ROOT / self.place

    @property
    def title(self):
        """For the log."""
        return f"{self.name} seed {self.seed}" + (f" by {self.by}" if self.by else "")

    @property
    def arguments(self):
        """What stands behind ``train.py``."""
        return [
            f"hparams/{self.stage}.yaml",
            *(f"--{key}={as_text(value)}" for key, value in self.overrides),
        ]

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
        The table's folder, relative to the recipe's or absolute; a run's own is ``runs/<name>/<seed>`` in it, or
        ``runs/<name>/<seed>_by_<seed of its crossed needs>``.
    extra : dict
        Overrides for all runs, below those of the plan's runs.
    data : callable
        Seed -> overrides that tell where the data of this seed are.
    """

    def __init__(self, plan, folder, extra=None, data=lambda seed: {}):
        self.plan, self.folder, self.extra, self.data = plan, Path(folder), extra or {}, data
        self.made = {}

    def place_of(self, name, seed, by=None):
        """Output folder of a run, as its command says it."""
        return (self.folder / "runs" / name / (f"{seed}_by_{by}" if by else str(seed))).as_posix()

    def get(self, name, seed, by=None, above=()):
        """The Run of a name and seed. RecipeError if runs need each other.

        ``by``: the seed of what the plan calls crossed among its needs, by default its own. A run that needs nothing else
        is the run of that seed: nothing of it is of its own seed.
        """
        if name in above:
            raise RecipeError(f"plan: the runs {' -> '.join([*above, name])} need each other.")
        spec = self.plan.runs[name]
        crossed = spec.get("crossed", ())
        by = by if crossed and by != seed else None
        if by and not set(needs_of(spec)) - set(crossed):
            seed, by = by, None
        if (name, seed, by) not in self.made:
            seeds = {needed: by if by and needed in crossed else seed for needed in needs_of(spec)}
            needs = tuple(
                self.get(needed, of, above=(*above, name)) for needed, of in seeds.items()
            )
            place = self.place_of(name, seed, by)
            folders = {needed: self.place_of(needed, of) for needed, of in seeds.items()}
            overrides = self.overrides(spec, seed, place, folders)
            self.made[name, seed, by] = Run(name, seed, spec["stage"], place, overrides, needs, by)
        return self.made[name, seed, by]

    def overrides(self, spec, seed, place, folders):
        """All overrides of a run whose output folder is ``place``, references to other runs filled in from ``folders``."""
        own = {
            k: v.format_map(folders) if isinstance(v, str) else v
            for k, v in spec.get("set", {}).items()
        }
        first = {"seed": seed + spec.get("seed_offset", 0), "output_folder": place}
        return tuple({**first, **self.plan.common, **self.data(seed), **self.extra, **own}.items())

    def crossing(self, name, seeds):
        """(seed,) or, for a run with crossed needs, (seed, seed of these) -> Run, for all pairs of seeds."""
        if self.plan.runs[name].get("crossed"):
            return {(seed, by): self.get(name, seed, by) for seed in seeds for by in seeds}
        return {(seed,): self.get(name, seed) for seed in seeds}

    def of_row(self, row, seed):
        """Runs that a row needs, those of earlier stages first."""
        found = {}
        for name in row.runs:
            collect(self.get(name, seed), found)
        return list(found)

    def in_order(self, rows, seeds):
        """All runs for these rows (names) and seeds, group by group of the plan; in a group seed by seed, then the crossed."""
        for name in rows:
            known("--rows", name, self.plan.rows)
        found = {}
        for group in self.plan.order:
            for seed in seeds:
                for name in group:
                    if name in rows:
                        found.update(dict.fromkeys(self.of_row(self.plan.rows[name], seed)))
            for name in (run for row in group if row in rows for run in self.plan.rows[row].runs):
                found.update(dict.fromkeys(self.crossing(name, seeds).values()))
        return list(found)


def collect(run, found):
    """Put a run behind all that it needs into ``found``, a dict that keeps the order."""
    for needed in run.needs:
        collect(needed, found)
    found[run] = None
