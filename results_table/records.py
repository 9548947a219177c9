"""The scores of the finished runs of a row, by seed and utterance."""

import json
from dataclasses import dataclass

from scoring.words import NAMES


@dataclass(frozen=True)
class Metric:
    """A column: where its values stand in the records, and how it is written.

    ``numerator`` and ``denominator`` are keys of a record; without the latter it is a mean over utterances. ``files``:
    the sets that count (the published protocol takes word errors of validation and test together). ``run``: scores or
    independent, which of a row's runs it is read from.
    """

    name: str
    title: str
    digits: int
    numerator: str
    denominator: str | None = None
    run: str = "scores"
    better: int = 1

    @property
    def files(self):
        """Files of records that it is read from."""
        return ("averaged_valid", "test") if self.denominator else ("test",)

    def of(self, record):
        """(numerator, denominator) of an utterance, or None where the metric refused it or was not asked."""
        value = record.get(self.numerator)
        if self.denominator is None:
            return None if value is None else (value, 1.0)
        return None if value is None else (100.0 * value, record[self.denominator])


WORD, CHAR = NAMES["word"][:2], NAMES["char"][:2]
METRICS = (
    Metric("pesq", "PESQ", 2, "pesq"),
    Metric("estoi", "eSTOI", 1, "estoi"),
    Metric("stoi", "STOI", 1, "stoi"),
    Metric("covl", "COVL", 2, "covl"),
    Metric("si_sdr", "SI-SDR", 1, "si_sdr"),
    Metric("wer", "WER, adapted", 1, *WORD, better=-1),
    Metric("cer", "CER, adapted", 1, *CHAR, better=-1),
    Metric("wer_independent", "WER, independent", 1, *WORD, run="independent", better=-1),
)


def read_lines(path):
    """Records of a JSON lines file; none where it is not there."""
    if not path.exists():
        return []
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def column(metric, folders):
    """Key -> (utterance -> (numerator, denominator)) of one metric, from the runs' folders by key (seeds)."""
    found = {}
    for seed, folder in folders.items():
        records = [
            record
            for name in metric.files
            for record in read_lines(folder / f"{name}_utterances.jsonl")
        ]
        values = {record["id"]: metric.of(record) for record in records}
        found[seed] = {utt_id: value for utt_id, value in values.items() if value is not None}
    return {seed: values for seed, values in found.items() if values}


def difference(a, b):
    """Column of a - b, over the seeds and utterances that both have; their references are the same."""
    return {
        seed: {
            utt_id: (a[seed][utt_id][0] - b[seed][utt_id][0], a[seed][utt_id][1])
            for utt_id in a[seed].keys() & b[seed].keys()
        }
        for seed in a.keys() & b.keys()
    }
