"""The scores of a pass over a set, taken while the networks compute: the object the Brain holds."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import jiwer
from torch import Tensor, distributed

from corpus.files import write_text
from scoring.metrics import QUALITY, RATES, scores_of
from scoring.pool import MetricPool
from scoring.scoreboard import Scoreboard

logger = logging.getLogger(__name__)
FACTS = ("speaker", "noise", "snr")  # of a manifest's entry, that go into the record
Texts = Sequence[str] | None


class Scores:
    """Quality is scored in processes of its own, words in this one.

    Each pass: ``begin``; ``add_quality``, ``add_words`` for each batch; ``collect``; ``write``.
    """

    def __init__(self):
        self.pool, self.board, self.rates = MetricPool(), Scoreboard(), []

    def begin(self, metrics: Iterable[str]) -> None:
        """Forget the pass before. ``metrics``: names out of ``metrics.LISTABLE``."""
        names = scores_of(metrics)
        self.pool.collect()  # what an interrupted pass has left
        self.pool.metrics = [name for name in names if name in QUALITY]
        self.rates = [name for name in names if name in RATES]
        self.board = Scoreboard()

    def add_quality(self, ids: Sequence, signals: Tensor, cleans: Tensor, lens: Tensor) -> None:
        """Queue a batch [batch, samples] with relative lengths [batch], without its padding."""
        if not self.pool.metrics:
            return
        counts = (lens * cleans.shape[1]).round().int().tolist()
        signals, cleans = (x.detach().float().cpu().numpy() for x in (signals, cleans))
        for utt_id, signal, clean, count in zip(ids, signals, cleans, counts, strict=True):
            self.pool.submit(utt_id, signal[:count], clean[:count])

    def add_words(self, ids: Sequence[str], words: Texts, phones: Texts, hypotheses: Texts) -> None:
        """Count errors against the words (wer, cer) or phones (per) that were said."""
        for name in self.rates:
            references = phones if name == "per" else words
            for utterance in zip(ids, references, hypotheses, strict=True):
                self.board.merge([word_errors(*utterance, [name])])

    def collect(self, facts: Mapping[str, dict] | None = None) -> dict[str, float]:
        """Score -> mean over all ranks' utterances, each counted once. All ranks must call it.

        ``facts``: utterance id -> its entry in the manifest, whose ``FACTS`` go into its record.
        """
        self.board.merge(self.pool.collect())
        self.board = Scoreboard(gather(self.board.records))
        for record in self.board.records:
            known = (facts or {}).get(record["id"], {})
            record.update({fact: known[fact] for fact in FACTS if fact in known})
        for line in self.board.not_scored_lines():
            logger.warning(line)
        return self.board.summary()

    def write(self, folder: str | Path, name: str, losses: dict | None = None) -> None:
        """Leave ``<name>_utterances.jsonl`` and ``<name>_stats.txt``; one rank calls it.

        ``losses``: other means of the set, which head the statistics.
        """
        lines = "".join(json.dumps(record) + "\n" for record in self.board.records)
        write_text(Path(folder) / f"{name}_utterances.jsonl", lines)
        heads = "".join(f"{key}: {value:.4f}\n" for key, value in (losses or {}).items())
        write_text(Path(folder) / f"{name}_stats.txt", heads + self.board.table())


def gather(records: list[dict]) -> list[dict]:
    """The records of all ranks, in their order; those given where there is one process."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return records
    parts = [None] * distributed.get_world_size()
    distributed.all_gather_object(parts, records)
    return [record for part in parts for record in part]


def word_errors(utt_id: str, reference: str, hypothesis: str, metrics=("wer", "cer")) -> dict:
    """The record of one utterance: its texts, and errors and reference length of each metric.

    Texts are compared as they come: normalize them before. ``metrics``: of wer, cer, per.
    """
    reference, hypothesis = (" ".join(text.split()) for text in (reference, hypothesis))
    record = {"id": utt_id, "reference": reference, "hypothesis": hypothesis}
    for name in metrics:
        count = jiwer.process_characters if name == "cer" else jiwer.process_words
        found = count(reference, hypothesis)
        missed = found.substitutions + found.deletions
        errors, length = RATES[name]
        record |= {errors: missed + found.insertions, length: found.hits + missed}
    return record
