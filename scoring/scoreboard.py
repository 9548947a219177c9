"""What all utterances of a test scored: means, intervals, refusals and groups."""

import math
from collections.abc import Iterable

from errors import listed
from scoring import bootstrap
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

    def columns(self) -> dict[str, list[tuple]]:
        """Score -> of each scored utterance (value,), or (errors, length) of a rate."""
        found = {}
        for name in METRICS:
            keys = RATES.get(name, (name,))
            rows = [tuple(r[key] for key in keys) for r in self.records if keys[0] in r]
            if rows:
                found[name] = [row for row in rows if None not in row]
        return found

    def summary(self) -> dict[str, float]:
        """Score -> mean, or rate in percent; NaN where every utterance was refused."""
        return {name: mean_or_rate(rows) for name, rows in self.columns().items()}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Score -> 95 % bootstrap interval over utterances."""
        columns = self.columns().items()
        return {name: bootstrap.interval(*zip(*rows, strict=True)) for name, rows in columns}

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
        means, intervals = self.summary(), self.intervals()
        lines = [f"{len(self._records)} utterances; mean or rate [95 % interval over utterances]"]
        for name, (low, high) in intervals.items():
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


def mean_or_rate(rows: list[tuple]) -> float:
    """Mean of (value,), or 100 errors / length of (errors, length); the order does not matter."""
    sums = [math.fsum(column) for column in zip(*rows, strict=True)]
    if len(sums) == 2:
        return 100.0 * sums[0] / sums[1] if sums[1] else math.nan
    return sums[0] / len(rows) if rows else math.nan
