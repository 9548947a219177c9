"""The results table by one command: ``python results.py --plan mini [--seeds 1 2] [--jobs 2]``.

Runs what the plan's rows need through train.py, as far as it is not finished, and writes a table,
its figures as JSON, and a picture. The same command again goes on where it stopped.
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from corpus.files import alone_in, parse_yaml, typed_path, write_text
from errors import RecipeError
from experiments import corpora
from experiments.plan import Runs, read_plan
from experiments.runner import code_version, finished, run_all
from experiments.table import build_table, markdown, scored

ROOT = Path(__file__).resolve().parent
SHARED = os.environ.get("RECIPE_SHARED_DATA", "../shared/data")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    shape = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser(description=__doc__, formatter_class=shape)
    add = made.add_argument
    help = "mini, words, published, real, or a YAML file (default: mini)"
    add("--plan", default="mini", help=help)
    add("--seeds", type=int, nargs="+", metavar="N", help="training seeds (default: the plan's)")
    add("--rows", nargs="+", metavar="ROW", help="rows to run (default: all; --dry_run lists them)")
    add("--jobs", type=int, default=1, metavar="N", help="runs at the same time (default: 1)")
    add("--dry_run", action="store_true", help="show what is finished and what is left")
    add("--output_folder", type=typed_path, help="for tables and runs (default: results/tables)")
    add("--shared_data", type=typed_path, help="real recordings (default: ../shared/data)")
    add("--code", metavar="VERSION", help="go on with the runs of this version of the code")
    add("--set", nargs="+", default=[], metavar="KEY=VALUE", help="overrides of all runs")
    return made


def run(options: argparse.Namespace) -> int:
    """Do what the command line asks; returns the exit code: 0, or 1 if a run failed."""
    if options.jobs < 1:
        raise RecipeError(f"--jobs={options.jobs}: accepted are whole numbers from 1 on.")
    plan = read_plan(options.plan)
    seeds = options.seeds or plan.seeds
    tables = Path(options.output_folder or f"results/tables/{plan.base}")
    code = version_of(options, tables)
    folder, shared = tables / code, Path(options.shared_data or SHARED)
    data = corpora.places(plan, folder / "data", shared)
    if odd := [text for text in options.set if "=" not in text]:
        raise RecipeError(f"--set: {odd[0]!r} is not KEY=VALUE, such as number_of_epochs=2.")
    extra = dict(text.split("=", 1) for text in options.set)
    extra = {key: parse_yaml(value, f"--set {key}") for key, value in extra.items()}
    runs = Runs(plan, folder / "runs", {**data, "shared": str(shared)}, extra)
    wanted = runs.in_order(options.rows or list(plan.rows), seeds)
    if options.dry_run:
        for item in wanted:
            print(f"{'finished' if finished(item) else 'left':8} {item.title}")
        print(f"{sum(not finished(item) for item in wanted)} runs are left.")
        print(f"Rows: {' '.join(plan.rows)}")
        return 0
    with alone_in(folder):
        for name, spec in plan.data.items():
            corpora.make(spec, Path(data[name]), {**data, "shared": shared})
        try:
            failed = run_all(wanted, options.jobs, None if options.code else code)
        finally:
            write_table(runs, seeds, folder, code)
    return int(failed > 0)


def version_of(options: argparse.Namespace, tables: Path) -> str:
    """The version of the code whose runs count. Tells of others, which are not mixed with them."""
    code = options.code or code_version()
    others = [f.name for f in sorted(tables.glob("*")) if (f / "runs").is_dir() and f.name != code]
    if options.code and not (tables / code).is_dir():
        raise RecipeError(f"--code: no runs of version {code} in {tables}. There: {others}.")
    if others:
        print(f"This is version {code} of the code. Not in its table: {', '.join(others)}.")
        print(f"Where a change of code moves no result, go on with them: --code={others[-1]}")
    return code


def write_table(runs: Runs, seeds: list[int], folder: Path, code: str):
    """Table, JSON and figure of what is finished."""
    table = {"code": code, **build_table(runs, seeds)}
    text, path = markdown(table), folder / f"{runs.plan.name}.md"
    write_text(path, text)
    write_text(path.with_suffix(".json"), json.dumps(table, indent=1) + "\n")
    if scored(table["differences"]):
        from experiments.figure import draw

        draw(table, path.with_suffix(".png"))
    print(f"{text.split('Commands of')[0]}{path}")


def main(arguments: list[str] | None = None) -> int:
    """0; 1 if a run failed; 2 after an error that the user can mend; 130 after Ctrl-C."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = parser().parse_args(arguments)
    for name in ("output_folder", "shared_data", "plan"):
        if (path := getattr(options, name)) and (name != "plan" or Path(path).is_file()):
            setattr(options, name, path if os.path.isabs(path) else os.path.relpath(path, ROOT))
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
