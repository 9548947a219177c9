"""What all utterances of a test scored: means, who was refused and why, and files to read them in."""

import json
import math
import os
import sys
from pathlib import Path

from scoring import bootstrap
from scoring.quality import METRICS
from scoring.words import NAMES, percent

RATES = {rate: (errors, length) for errors, length, rate in NAMES.values()}
SHOWN = 8  # refused utterances named in a log line


class Scoreboard:
    """Records of utterances by id: quality metrics, word errors and facts such as speaker, noise and SNR.

    ``means``: record keys to average over the utterances that have them. ``rates``: name -> (key of errors, key of
    reference length), summed before dividing, in percent. What no record has does not show up.
    """

    def __init__(self, means=tuple(METRICS), rates=None):
        self.means = tuple(means)
        self.rates = dict(RATES if rates is None else rates)
        self._records = {}

    def add(self, record):
        """Add a record ``{"id": ...}``; a second one of the same id completes or replaces the first."""
        known = self._records.setdefault(str(record["id"]), {"not_scored": {}})
        refused = {**known["not_scored"], **record.get("not_scored", {})}
        known.update(record)
        known["not_scored"] = {
            name: reason for name, reason in refused.items() if known.get(name) is None
        }

    def merge(self, records):
        """Add records of this or other ranks; an utterance that several ranks scored counts once."""
        for record in records:
            self.add(record)

    @property
    def records(self):
        """Records sorted by id, so that nothing depends on which rank or worker was first."""
        return [self._records[utt_id] for utt_id in sorted(self._records)]

    def summary(self, records=None):
        """Return name -> mean over scored utterances, or rate in percent; NaN where every utterance was refused."""
        records = self.records if records is None else records
        means = {
            name: mean(scored(records, name))
            for name in self.means
            if any(name in r for r in records)
        }
        return {
            **means,
            **{
                name: percent(*map(sum, columns))
                for name, columns in self._columns(records).items()
            },
        }

    def intervals(self):
        """Return name -> 95 % bootstrap interval over utterances of each entry of the summary."""
        records = self.records
        means = {
            name: bootstrap.interval(scored(records, name))
            for name in self.means
            if any(name in r for r in records)
        }
        return {
            **means,
            **{name: bootstrap.ratio_interval(*c) for name, c in self._columns(records).items()},
        }

    def by(self, key):
        """Return value of ``key`` -> summary of its utterances, numbers in order; None holds those without one."""
        groups = {}
        for record in self.records:
            groups.setdefault(record.get(key), []).append(record)
        in_order = sorted(groups.items(), key=lambda group: rank(group[0]))
        return {
            value: {"utterances": len(group), **self.summary(group)} for value, group in in_order
        }

    def not_scored(self):
        """Return metric -> (refused, all, ["id: reason", ...]) of the metrics that refused an utterance."""
        found = {}
        for name in self.means:
            asked = [record for record in self.records if name in record]
            refused = [
                f"{r['id']}: {r['not_scored'].get(name, 'no reason given')}"
                for r in asked
                if r[name] is None
            ]
            if refused:
                found[name] = len(refused), len(asked), refused
        return found

    def not_scored_lines(self):
        """Return a line for each refusing metric, ``pesq: 2 of 824 not scored: p232_001 (no speech found), ...``"""
        return [self._line(name, *found) for name, found in self.not_scored().items()]

    def write(self, path):
        """Write records to ``path`` (JSON lines) and a table to read beside it (.txt), each at once or not at all."""
        path = Path(path)
        replace(path, "".join(json.dumps(record, default=plain) + "\n" for record in self.records))
        replace(path.with_suffix(".txt"), self.table())

    def read(self, path):
        """Add the records of a file that ``write`` wrote."""
        with open(path, encoding="utf-8") as lines:
            self.merge(map(json.loads, lines))

    def table(self):
        """Return means, intervals, refusals and utterances without reference as text."""
        intervals = self.intervals()
        lines = [f"{len(self._records)} utterances; mean or rate, 95 % interval over utterances"]
        for name, value in self.summary().items():
            low, high = intervals[name]
            lines.append(f"{name:8} {value:9.3f}  [{low:.3f}, {high:.3f}]")
        empty = [r["id"] for r in self.records if r.get("reference") == ""]
        if empty:
            lines.append(f"empty reference: {len(empty)}: {shortened(empty)}")
        return "\n".join(lines + self.not_scored_lines()) + "\n"

    def _columns(self, records):
        """Return rate name -> (errors, lengths) of the records that have both."""
        found = {
            name: [(r[e], r[n]) for r in records if e in r and n in r]
            for name, (e, n) in self.rates.items()
        }
        return {name: tuple(zip(*pairs)) for name, pairs in found.items() if pairs}

    @staticmethod
    def _line(name, refused, asked, reasons):
        named = (
            f"{utt_id} ({reason})" for utt_id, reason in (text.split(": ", 1) for text in reasons)
        )
        return f"{name}: {refused} of {asked} not scored: {shortened(list(named))}"


def gather_records(records):
    """Return the records of all ranks, each utterance once, sorted by id; without torch.distributed those given.

    Samplers repeat utterances to fill up the last batch of a rank; those would count twice otherwise.
    """
    distributed = getattr(
        sys.modules.get("torch"), "distributed", None
    )  # who runs several ranks has imported torch
    gathered = [list(records)]
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        gathered = [None] * distributed.get_world_size()
        distributed.all_gather_object(gathered, list(records))
    unique = {str(record["id"]): record for rank_records in gathered for record in rank_records}
    return [unique[utt_id] for utt_id in sorted(unique)]


def scored(records, name):
    """Return the values of one metric, without the refused utterances."""
    return [record[name] for record in records if record.get(name) is not None]


def mean(values):
    """Return the mean (exact sum: order does not matter), NaN of nothing."""
    return math.fsum(values) / len(values) if values else float("nan")


def rank(value):
    """Sort numbers by size, then text, then None."""
    return (value is None, isinstance(value, str), value if value is not None else 0)


def shortened(names):
    """Join the first few names."""
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def plain(value):
    """Turn numpy numbers into Python's for JSON."""
    return value.item()


def replace(path, text):
    """Write a file beside ``path`` and move it there: readers find the old or the new one, never a half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
