"""What a run shows while it trains and at its end: SpeechBrain's TensorBoard log, and PNG files."""

import logging
from pathlib import Path

from speechbrain.utils.distributed import if_main_process

from scoring.scoreboard import Scoreboard
from training.ranks import gather

logger = logging.getLogger(__name__)
# SpeechBrain looks for torchvision as soon as its loggers are imported, and complains; nothing here would use it.
logging.getLogger("speechbrain.utils.train_logger").addFilter(
    lambda record: "torchvision" not in record.getMessage()
)

from speechbrain.utils.train_logger import TensorboardLogger  # noqa: E402

UTTERANCES = 3  # that are shown at each validation
WAVES = {
    "noisy": "noisy_wav",
    "enhanced": "enhanced_wav",
    "clean": "clean_wav",
}  # panel -> prediction


class Reporter:
    """Collects a few utterances at each validation and reports them with the statistics.

    Arguments
    ---------
    folder : path
        The run's folder: ``tensorboard/`` and ``figures/`` go there.
    tensorboard, figures : bool
        Whether to write the one and the other.
    sample_rate : int
        Of the utterances (Hz).
    """

    def __init__(self, folder, tensorboard, figures, sample_rate):
        self.folder, self.figures, self.sample_rate = Path(folder), figures, sample_rate
        self.wanted = tensorboard or figures
        self.log = (
            TensorboardLogger(str(self.folder / "tensorboard"))
            if tensorboard and if_main_process()
            else None
        )
        self.chosen, self.seen = set(), {}

    def choose(self, utt_ids):
        """Pick the utterances to show out of those of the validation: evenly spread, the same in every run."""
        ordered = sorted(utt_ids)
        step = max(1, len(ordered) // UTTERANCES)
        self.chosen = set(ordered[::step][:UTTERANCES])

    def look(self, predictions):
        """Keep the chosen ones of a batch, where it was enhanced."""
        if predictions.get("enhanced_wav") is None or not self.wanted:
            return
        counts = (predictions["lens"] * predictions["clean_wav"].shape[1]).round().int().tolist()
        for index, (utt_id, count) in enumerate(zip(predictions.batch.id, counts)):
            if utt_id in self.chosen:
                signals = {
                    panel: predictions[name][index, :count].float().cpu().numpy()
                    for panel, name in WAVES.items()
                }
                self.seen[utt_id] = (
                    signals,
                    cut_mask(predictions["mask"], index, count / predictions["clean_wav"].shape[1]),
                )

    def gather(self):
        """Give the main process what the other ranks have kept."""
        seen = {utt_id: shown for part in gather(self.seen) for utt_id, shown in part.items()}
        self.seen = seen if if_main_process() else {}

    def report_epoch(self, epoch, rate, train, valid):
        """Statistics, sounds and figures of a finished epoch."""
        if self.log:
            for part in ("train", "valid"):  # a resumed run goes on where it was
                self.log.global_step[part] = dict.fromkeys({**train, **valid}, epoch - 1)
            self.log.global_step["meta"] = epoch - 1
            self.log.log_stats({"lr": rate}, train_stats=without(train, "lr"), valid_stats=valid)
        for utt_id, (signals, mask) in self.seen.items():
            self.report_utterance(utt_id, signals, mask, epoch)
        if self.log:
            self.log.writer.flush()
        self.seen = {}

    def report_utterance(self, utt_id, signals, mask, epoch):
        """One utterance as sound, and the first of the chosen ones as a picture, which takes a second to draw."""
        from reporting.spectrograms import spectrogram_figure

        pictured = self.figures and utt_id == min(self.chosen)
        made = (
            spectrogram_figure(f"{utt_id}, epoch {epoch}", signals, mask, self.sample_rate)
            if pictured
            else None
        )
        if self.log:
            for panel, signal in signals.items():
                self.log.log_audio(f"{utt_id}/{panel}", signal[None], self.sample_rate)
            if made:
                self.log.writer.add_figure(f"spectrograms/{utt_id}", made, epoch)
        if made:
            self.save(made, f"{utt_id}.png")

    def finish(self, title, annotation):
        """The PNG summary of the stage, with the test's utterances out of the run's folder; closes the log."""
        made = self.summary(title, annotation) if self.figures else None
        if made:
            logger.info("Summary of the stage: %s", self.save(made, "summary.png"))
        if self.log:
            self.log.writer.close()

    def summary(self, title, annotation):
        """The figure of the whole run."""
        from reporting.summary import (
            summary_figure,
        )  # matplotlib, which a run without figures need not load

        board, scored = Scoreboard(), self.folder / "test_utterances.jsonl"
        if scored.is_file():
            board.read(scored)
        return summary_figure(title, self.folder / "train_log.txt", board.records, annotation)

    def save(self, made, name):
        """Write a figure into the run's folder; returns its path."""
        path = self.folder / "figures" / name
        path.parent.mkdir(exist_ok=True)
        made.savefig(path)
        return path


def cut_mask(mask, index, share):
    """One utterance of a mask [batch, time, freq] without its padding; None where the mask is not known."""
    return (
        None if mask is None else mask[index, : round(mask.shape[1] * share)].float().cpu().numpy()
    )


def without(stats, name):
    """A dict less one entry."""
    return {key: value for key, value in stats.items() if key != name}
