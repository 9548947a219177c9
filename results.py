"""The results table by one command: ``python results.py [--seeds 1 2 3] [--rows noisy frozen_mse]``.

Runs every row of a plan through train.py, as far as it is not there yet, and writes table.md, table.json and table.png.
The same command again goes on where it stopped.
"""

import argparse
import json
import signal
import sys
import time
from pathlib import Path

from errors import RecipeError
from results_table.campaign import Campaign
from results_table.corpora import overrides_of, prepare_corpora
from results_table.estimates import estimate, minutes_spent
from results_table.locking import only_one
from results_table.markdown import markdown
from results_table.plan import read_plan
from results_table.runs import ROOT, Runs
from results_table.state import States, foreign
from results_table.table import build_table
from scoring.scoreboard import replace
from training.settings import parse_yaml

# Where the runs of a table go, and the name of its files there
TABLES = {
    "mini": ("results/table", "table"),
    "words": ("results/table", "words"),
    "digits": ("results/table_digits", "table"),
    "real": ("results/table_real", "table"),
}
DATA = "mini corpus; its word errors on more utterances; real digits; real speech scored on VoiceBank-DEMAND"


def parser():
    """The command line."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = made.add_argument
    add("--data", choices=TABLES, default="mini", help=DATA)
    add("--seeds", type=int, nargs="+", metavar="N", help="training seeds (default: the plan's)")
    add(
        "--rows",
        nargs="+",
        metavar="ROW",
        help="rows to run, by name (default: all; --dry_run lists them)",
    )
    add(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="runs side by side, which share the cores (default: 1)",
    )
    add(
        "--dry_run", action="store_true", help="show what is finished and what is left, run nothing"
    )
    add(
        "--table_only", action="store_true", help="write the table of what is finished, run nothing"
    )
    add(
        "--output_folder",
        metavar="DIR",
        help="where everything goes (default: results/table, for digits and real _digits and _real)",
    )
    add(
        "--shared_data",
        metavar="DIR",
        help="folder of the real data (default: RECIPE_SHARED_DATA or ../shared/data)",
    )
    add("--plan", metavar="FILE", help="another plan (default: results_table/plans/<data>.yaml)")
    add(
        "--set",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="overrides for all runs, below those of the plan",
    )
    return made


def extra_overrides(pairs):
    """``key=value`` texts -> dict, values read as YAML."""
    for pair in pairs:
        if "=" not in pair:
            raise RecipeError(f"--set: {pair!r} is not KEY=VALUE, as number_of_epochs=2.")
    return {
        key: parse_yaml(value, "--set") for key, value in (pair.split("=", 1) for pair in pairs)
    }


def table_folder(options):
    """The table's folder, relative to the recipe where it lies inside: commands become readable."""
    folder = (
        (Path.cwd() / options.output_folder).resolve()
        if options.output_folder
        else ROOT / TABLES[options.data][0]
    )
    return folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder


def write_table(runs, states, seeds, options):
    """Table, JSON and figure of what is finished; returns the table's text."""
    from results_table.figure import draw

    folder, name = ROOT / runs.folder, TABLES[options.data][1]
    what = f"--plan {options.plan}" if options.plan else f"--data {options.data}"
    table = {**build_table(runs, states, seeds), "command": f"python results.py {what}"}
    text = markdown(table)
    replace(folder / f"{name}.json", json.dumps(table, indent=1) + "\n")
    replace(folder / f"{name}.md", text)
    if any(any(row["metrics"].values()) for row in table["rows"]):
        draw(table, folder / f"{name}.png")
    return text


class Seldom:
    """A function called at most once a minute: calls between are dropped. A large table takes seconds of a core that trains."""

    def __init__(self, function, seconds=60):
        self.function, self.seconds, self.next = function, seconds, 0.0

    def __call__(self):
        """Call the function, if it is time."""
        if time.monotonic() >= self.next:
            self.function()
            self.next = time.monotonic() + self.seconds


def show_plan(runs, wanted, states):
    """What is finished, what is left, and how long that may take."""
    finished = [run for run in wanted if states.finished(run)]
    taken = minutes_spent(finished)
    for run in wanted:
        minutes = estimate(run, taken)
        expected = "? min" if minutes is None else f"{minutes:.1f} min"
        print(
            f"{'done' if run in finished else 'left':5} {expected:>9}  {run.title:40} {foreign(run)}".rstrip()
        )
    print(f"Rows: {' '.join(runs.plan.rows)}")
    print(Campaign(wanted, states).left())


def say(line):
    """A line with the time of day, at once."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def run(options):
    """Do what the command line asks; returns the exit code: 0, or 1 if a run failed."""
    plan = read_plan(options.plan or ROOT / "results_table" / "plans" / f"{options.data}.yaml")
    seeds = options.seeds or plan.seeds
    folder, extra = table_folder(options), extra_overrides(options.set)
    runs = Runs(plan, folder, extra, lambda seed: overrides_of(plan.data, folder, seed))
    wanted, states = runs.in_order(options.rows or list(plan.rows), seeds), States()
    if options.dry_run:
        show_plan(runs, wanted, states)
        return 0
    complete = True
    with only_one(ROOT / folder) as lock:
        if not options.table_only:
            prepare_corpora(plan.data, wanted, options.shared_data)
            campaign = Campaign(wanted, states, options.jobs, say, lock=(lock,))
            complete = campaign.run(Seldom(lambda: write_table(runs, states, seeds, options)))
        text = write_table(runs, states, seeds, options)
    print(text.split("### Commands")[0])
    return 0 if complete else 1


def main(arguments=None):
    """Exit code: 0; 1 if a run failed; 2 after an error that the user can mend; 130 after Ctrl-C."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return run(parser().parse_args(arguments))
    except RecipeError as problem:
        print(f"results.py: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("results.py: stopped; the same command goes on from here.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
