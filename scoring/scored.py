"""The scores of a stage, taken while it runs: mixed into the Brain, before ``sb.Brain``."""

import logging
from pathlib import Path

from speechbrain.core import Stage

from corpus.audio import write
from scoring.pool import MetricPool
from scoring.scoreboard import Scoreboard, gather_records
from scoring.words import ErrorRates

logger = logging.getLogger(__name__)

QUALITY = {
    "pesq": ["pesq"],
    "stoi": ["stoi"],
    "estoi": ["estoi"],
    "composite": ["csig", "cbak", "covl"],
    "si_sdr": ["si_sdr"],
}
WORDS = {"wer": "word", "cer": "char", "per": "phone"}


def read_by_metrics(metrics):
    """Names of the predictions that these metrics score."""
    return ["signal"] * any(m in QUALITY for m in metrics) + ["hypotheses"] * any(
        m in WORDS for m in metrics
    )


class Scored:
    """Quality in processes of its own while the networks compute; words in this one.

    ``hparams`` must have ``valid_metrics``, ``test_metrics``, ``metric_jobs``, ``enhanced_folder`` and ``sample_rate``.
    ``scored_set`` tells the utterances that are scored at the end: test, or valid.
    """

    scored_set = "test"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.pools = {
            stage: MetricPool(self.quality_names(stage), jobs=self.hparams.metric_jobs)
            for stage in Stage
        }

    def scored_as(self, stage):
        """The stage whose metrics count: validation's also where its utterances are scored at the end."""
        return Stage.VALID if stage == Stage.TEST and self.scored_set == "valid" else stage

    def metrics(self, stage):
        """Names of the metrics of a stage."""
        return (
            self.hparams.valid_metrics
            if self.scored_as(stage) == Stage.VALID
            else self.hparams.test_metrics
        )

    def quality_names(self, stage):
        """The scores that the quality metrics of a stage consist of."""
        return [name for metric in self.metrics(stage) for name in QUALITY.get(metric, [])]

    def begin_scores(self, stage):
        """Forget the utterances of the stage before."""
        self.board = Scoreboard()
        self.rates = {
            unit: ErrorRates((unit,))
            for metric, unit in WORDS.items()
            if metric in self.metrics(stage)
        }

    def score(self, predictions, stage):
        """Score a batch; those of quality come later."""
        if self.quality_names(stage):
            self.submit_quality(predictions, stage)
        for unit, rates in self.rates.items():
            references = predictions.batch.phones if unit == "phone" else predictions.batch.words
            rates.add_batch(predictions.batch.id, references, predictions["hypotheses"])

    def submit_quality(self, predictions, stage):
        """Send each utterance, without its padding, to the scoring processes."""
        signal, clean, lens = predictions.take(["signal", "clean_wav", "lens"])
        counts = (lens * clean.shape[1]).round().int().tolist()
        scored_as = self.scored_as(stage)
        for utt_id, predicted, target, count in zip(
            predictions.batch.id, signal.float().cpu(), clean.cpu(), counts
        ):
            self.pools[scored_as].submit(utt_id, predicted[:count].numpy(), target[:count].numpy())
            if scored_as == Stage.TEST:
                save_sound(
                    self.hparams.enhanced_folder,
                    utt_id,
                    predicted[:count],
                    self.hparams.sample_rate,
                )

    def collect_scores(self, stage):
        """Scores of all utterances of all ranks, each counted once."""
        self.board.merge(self.pools[self.scored_as(stage)].collect())
        for rates in self.rates.values():
            self.board.merge(rates.records)
        self.board.merge(gather_records(self.board.records))
        for line in self.board.not_scored_lines():
            logger.warning(line)
        return self.board.summary()


def save_sound(folder, utt_id, signal, sample_rate):
    """Write an enhanced utterance, when a folder is wanted."""
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        write(Path(folder) / f"{utt_id}.wav", signal.numpy(), sample_rate)
