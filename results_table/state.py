"""What is known of a run from its folder: finished, to be resumed, or made under other settings."""

import hashlib
import json
import time

import ruamel.yaml
from hyperpyyaml import resolve_references

from results_table.runs import ROOT
from scoring.scoreboard import replace
from training import report
from training.precision import fastest
from training.report import SCORED
from training.settings import read_settings

RECORD = "run.json"  # command, status, minutes, finished; from: what the runs were that it read; yaml: of hparams/
PLACES = ("metric_jobs", "num_workers")  # change nothing in the results


def read_record(run):
    """The record of a run; empty where there is none."""
    path = run.folder / RECORD
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write_record(run, **changes):
    """Change the record of a run."""
    record = {**read_record(run), "command": run.command, **changes}
    replace(run.folder / RECORD, json.dumps(record, indent=1) + "\n")


def sources(run):
    """When each needed run finished: a run that was made from others than these is not this run."""
    return {needed.name: read_record(needed).get("finished") for needed in run.needs}


class States:
    """What the folders of runs tell, each read once."""

    def __init__(self):
        self.known = {}

    def finished(self, run):
        """Whether a run and all that it needs are there, made by the present commands and settings."""
        if run not in self.known:
            self.known[run] = self._finished(run)
        return self.known[run]

    def note_finished(self, run):
        """A run has just finished."""
        self.known[run] = True

    def _finished(self, run):
        record = read_record(run)
        return (
            record.get("status") == "finished"
            and all((run.folder / name).exists() for name in files_of(run))
            and all(self.finished(needed) for needed in run.needs)
            and not foreign(run)
        )


def foreign(run):
    """Why what lies in a run's folder is another run; empty where it is this one, or nothing."""
    record = read_record(run)
    if not record:
        return ""
    if record["command"] != run.command:
        return "its command has changed"
    if record.get("from", {}) != sources(run):
        return "a run that it was made from has changed"
    if record.get("yaml") == yaml_mark():
        return ""
    changed = changed_settings(run)
    return f"settings have changed: {', '.join(changed)}" if changed else ""


def yaml_mark():
    """Hash of all that settings come from beside the command: where it is the same, nobody need read the YAML key by key."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "hparams").glob("*.yaml"))]
    return hashlib.sha256("\n".join([*texts, fastest()]).encode()).hexdigest()


def changed_settings(run):
    """``key old -> new`` for each plain key of a run's YAML whose value is not what the run was made with."""
    path = run.folder / "hyperparams.yaml"
    if not path.exists():
        return []
    old, new = plain(ruamel.yaml.YAML().load(path)), plain(resolved(run))
    keys = [key for key in old if key in new and key not in PLACES and old[key] != new[key]]
    return [f"{key} {old[key]} -> {new[key]}" for key in keys]


def files_of(run):
    """Files that a finished run has left."""
    sets = dict(run.overrides).get("score_sets", ["test"])
    return [
        f"{SCORED[name]}_{rest}" for name in sets for rest in ("stats.txt", "utterances.jsonl")
    ] + ["cost.json"]


def resolved(run):
    """A run's YAML file under its preset and overrides, as training would see it now, before objects are built."""
    arguments = [str(ROOT / run.arguments[0]), *run.arguments[1:]]
    hparams_file, _, overrides, _ = read_settings(arguments)
    with open(hparams_file, encoding="utf-8") as stream:
        return ruamel.yaml.YAML().load(resolve_references(stream, report.as_yaml(overrides)))


def plain(settings):
    """The keys that hold no objects, their values as text."""
    return {key: str(value) for key, value in settings.items() if not has_tag(value)}


def has_tag(value):
    """Whether a value, or one in it, is an object to be built."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    tag = getattr(value, "tag", None)
    return bool(tag is not None and tag.value) or any(map(has_tag, inner))


def put_aside(run):
    """Move the folder of another run out of the way; returns where it is now."""
    aside = run.folder.with_name(f"{run.folder.name}.before_{time.strftime('%Y%m%d_%H%M%S')}")
    run.folder.rename(aside)
    return aside
