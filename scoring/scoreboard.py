"""What all utterances of a test scored: means, intervals, refusals and groups."""

import math
from collections.abc import Iterable

import numpy as np

from errors import listed
from scoring.bootstrap import Columns, interval
from scoring.metrics import METRICS, RATES

GROUPS = {"snr": "SNR (dB)", "noise": "noise"}  # facts by which the table groups the scores


class Scoreboard:
    """Records of utterances by id: scores, word errors and facts such as noise and SNR (dB).

    A record holds ``id``; scores by the names of ``metrics.METRICS``, None with a reason in
    ``not_scored`` where refused; errors and lengths of rates, which are summed before dividing.
    """

    def __init__(self, records: Iterable[dict] = ()):
        self._records = {}
        self.merge(records)

    def merge(self, records: Iterable[dict]) -> None:
        """Add records; a second one of the same id completes the first, so it counts once."""
        for record in records:
            known = self._records.setdefault(str(record["id"]), {"not_scored": {}})
            known |= record | {"not_scored": known["not_scored"] | record.get("not_scored", {})}

    @property
    def records(self) -> list[dict]:
        """Records sorted by id: which rank or process was first changes nothing."""
        return [self._records[utt_id] for utt_id in sorted(self._records)]

    def columns(self) -> Columns:
        """Score -> of each scored utterance (value, 1), or (100 errors, length) of a rate."""
        found = {}
        for name in METRICS:
            key, length = RATES.get(name, (name, None))
            unit = 100.0 if length else 1.0
            asked = [record for record in self.records if key in record]
            rows = {r["id"]: (unit * r[key], r.get(length, 1)) for r in asked if r[key] is not None}
            found |= {name: rows} if asked else {}
        return found

    def summary(self) -> dict[str, float]:
        """Score -> mean, or rate in percent; NaN where every utterance was refused."""
        return means(self.columns())

    def by(self, fact: str) -> dict:
        """Value of a fact, in order -> Scoreboard of its utterances, those without it left out."""
        groups = {}
        for record in self.records:
            if record.get(fact) is not None:
                groups.setdefault(record[fact], Scoreboard()).merge([record])
        return dict(sorted(groups.items(), key=lambda group: (isinstance(group[0], str), group[0])))

    def not_scored_lines(self) -> list[str]:
        """For each score with refusals their number, and lines that name the first few."""
        lines = []
        for name in METRICS:
            asked = [r for r in self.records if name in r]
            why = [f"{r['id']} ({r['not_scored'].get(name)})" for r in asked if r[name] is None]
            if why:
                lines.append(f"{name}: {len(why)} of {len(asked)} not scored:\n{listed(why)}")
        return lines

    def table(self) -> str:
        """Means with intervals, what was refused, then means by SNR and by noise, as text."""
        means = self.summary()
        lines = [f"{len(self._records)} utterances; mean or rate [95 % interval over utterances]"]
        for name, (low, high) in intervals(self.columns()).items():
            lines.append(f"{name}: {means[name]:.4f} [{low:.3f}, {high:.3f}]")
        empty = [str(r["id"]) for r in self.records if r.get("reference") == ""]
        lines += [f"{len(empty)} with empty reference:\n{listed(empty)}"] * bool(empty)
        lines += self.not_scored_lines()
        for fact, title in GROUPS.items():
            groups = self.by(fact)
            rows = [[], [title, "utterances", *means]] if groups else []
            for value, board in groups.items():
                cells = [f"{board.summary().get(name, math.nan):.3f}" for name in means]
                rows.append([str(value), str(len(board.records)), *cells])
            lines += ["".join(f"{cell:12}" for cell in row).rstrip() for row in rows]
        return "\n".join(lines) + "\n"


def means(columns: Columns) -> dict[str, float]:
    """Score -> mean, or rate in percent; the order of utterances does not matter."""
    sums = {n: [math.fsum(x) for x in zip(*c.values(), strict=True)] for n, c in columns.items()}
    return {name: x[0] / x[1] if x and x[1] else math.nan for name, x in sums.items()}


def intervals(columns: Columns) -> dict[str, tuple[float, float]]:
    """Score -> 95 % interval over utterances."""
    return {n: interval(np.reshape([*c.values()], (1, -1, 2))) for n, c in columns.items()}
