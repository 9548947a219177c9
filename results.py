"""The results table by one command: ``python results.py --plan mini [--seeds 1 2] [--jobs 2]``.

Runs what the plan's rows need through train.py, as far as it is not finished, and writes a table,
its figures as JSON, and a picture. The same command again goes on where it stopped.
"""

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

from corpus.files import write_text
from errors import RecipeError
from experiments import corpora
from experiments.plan import Runs, as_yaml, read_plan
from experiments.runner import code_version, finished, run_all
from experiments.table import build_table, known, markdown

ROOT = Path(__file__).resolve().parent
HELP = {
    "plan": "mini, words, real (experiments/plans), or a YAML file (default: mini)",
    "seeds": "training seeds (default: the plan's)",
    "rows": "rows to run, by name (default: all; --dry_run lists them)",
    "jobs": "runs at the same time (default: 1)",
    "dry_run": "show what is finished and what is left, run nothing",
    "table_only": "write the table of what is finished, run nothing",
    "output_folder": "where everything goes (default: results/tables/<plan>)",
    "shared_data": "folder of real recordings (default: RECIPE_SHARED_DATA or ../shared/data)",
    "code": "take the runs of this version of the code for those of the present one",
    "set": "overrides of all runs, below those of the plan",
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--plan", default="mini", help=HELP["plan"])
    made.add_argument("--seeds", type=int, nargs="+", metavar="N", help=HELP["seeds"])
    made.add_argument("--rows", nargs="+", metavar="ROW", help=HELP["rows"])
    made.add_argument("--jobs", type=int, default=1, metavar="N", help=HELP["jobs"])
    made.add_argument("--dry_run", action="store_true", help=HELP["dry_run"])
    made.add_argument("--table_only", action="store_true", help=HELP["table_only"])
    made.add_argument("--output_folder", metavar="DIR", help=HELP["output_folder"])
    made.add_argument("--shared_data", metavar="DIR", help=HELP["shared_data"])
    made.add_argument("--code", metavar="VERSION", help=HELP["code"])
    made.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help=HELP["set"])
    return made


def run(options: argparse.Namespace) -> int:
    """Do what the command line asks; returns the exit code: 0, or 1 if a run failed."""
    plan, code = read_plan(options.plan), options.code or code_version()
    extra = dict(pair(text) for text in options.set)
    if options.jobs < 1:
        raise RecipeError(f"--jobs={options.jobs}: accepted are whole numbers from 1 on.")
    tables = Path(options.output_folder or f"results/tables/{plan.base}")
    folder, shared = tables / code, corpora.shared_folder(options.shared_data)
    data = corpora.places(plan, folder / "data", shared)
    runs = Runs(plan, folder / "runs", {**data, "shared": str(shared)}, extra)
    seeds = options.seeds or plan.seeds
    wanted = runs.in_order(options.rows or list(plan.rows), seeds)
    tell_others(tables, code)
    if options.dry_run:
        for item in wanted:
            print(f"{'finished' if finished(item) else 'left':8} {item.title}")
        print(f"{sum(not finished(item) for item in wanted)} runs are left.")
        print(f"Rows: {' '.join(plan.rows)}")
        return 0
    failed = 0
    try:
        if not options.table_only:
            for name, spec in plan.data.items():
                corpora.make(spec, Path(data[name]), shared)
            failed = run_all(wanted, options.jobs, say, None if options.code else code)
    finally:
        write_table(runs, seeds, folder, code)
    return 1 if failed else 0


def pair(text: str) -> tuple:
    """``key=value`` -> (key, value), the value read as YAML."""
    key, sign, value = text.partition("=")
    if not sign:
        raise RecipeError(f"--set: {text!r} is not KEY=VALUE, such as number_of_epochs=2.")
    return key, as_yaml(value, f"--set {key}")


def tell_others(tables: Path, code: str):
    """Name the versions of the code whose runs are in no table of this one."""
    others = [f.name for f in sorted(tables.glob("*")) if (f / "runs").is_dir() and f.name != code]
    if others:
        print(f"This is version {code} of the code. Not in its table: {', '.join(others)}.")
        print(f"Where a change of code moves no result, use those runs by --code={others[-1]}.")


def write_table(runs: Runs, seeds: list[int], folder: Path, code: str):
    """Table, JSON and figure of what is finished."""
    table = {"code": code, **build_table(runs, seeds)}
    text, path = markdown(table), folder / f"{runs.plan.name}.md"
    write_text(path, text)
    write_text(path.with_suffix(".json"), json.dumps(table, indent=1) + "\n")
    if known(table["rows"]):
        from experiments.figure import draw

        draw(table, path.with_suffix(".png"))
    print(f"{text.split('Commands of')[0]}{path}")


def say(line: str):
    """A line with the time of day, at once."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """0; 1 if a run failed; 2 after an error that the user can mend; 130 after Ctrl-C."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = parser().parse_args(arguments)
    for name in ("output_folder", "shared_data"):
        if getattr(options, name):
            setattr(options, name, os.path.abspath(getattr(options, name)))
    if Path(options.plan).is_file():
        options.plan = os.path.abspath(options.plan)
    os.chdir(ROOT)  # commands name hparams/ and results/ from there
    try:
        return run(options)
    except RecipeError as problem:
        print(f"results.py: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("results.py: stopped; the same command goes on from here.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
