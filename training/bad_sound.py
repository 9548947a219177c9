"""Sound that cannot be trained on, found when it is loaded."""

import logging

import numpy as np
import soundfile
import torch
from speechbrain.dataio.batch import PaddedBatch, PaddedData

from corpus.audio import read
from corpus.inspection import announces_more
from errors import RecipeError, listed

logger = logging.getLogger(__name__)
ACTIONS = ("error", "skip")


class BadSound(str):
    """Stands in for the samples of a file: why there are none. An exception would end a data-loading process instead."""


def read_checked(path, shortest, longest):
    """A sound file -> (float32 [samples], rate in Hz), or (BadSound, None).

    ``shortest`` and ``longest`` in s; a file outside them is not read.
    """
    try:
        info = soundfile.info(str(path))
        if announces_more(info):
            return BadSound(
                f"{path} is cut short: its header announces more samples than it holds"
            ), None
        if not shortest <= info.duration <= longest:
            return BadSound(
                f"{path} lasts {info.duration:.3f} s; accepted: {shortest:g} to {longest:g}"
            ), None
        signal, rate = read(path)
    except (soundfile.LibsndfileError, OSError) as problem:
        return BadSound(f"{path} cannot be read as sound: {problem}"), None
    except RecipeError as problem:
        return BadSound(str(problem)), None
    if not np.isfinite(signal).all():
        return BadSound(f"{path} holds samples that are not finite numbers"), None
    return signal, rate


def problem_of(item):
    """Why an utterance cannot be used, or None."""
    sounds = item["noisy_sig"], item["clean_sig"]
    for sound in sounds:
        if isinstance(sound, BadSound):
            return f"{item['id']}: {sound}"
    noisy, clean = map(len, sounds)
    return (
        None
        if noisy == clean
        else f"{item['id']}: noisy has {noisy} samples, clean {clean}; they must be parallel"
    )


def padded_to(batch, multiple):
    """A batch whose sounds [batch, samples] are padded further, to a multiple of so many samples."""
    for key in ("noisy_sig", "clean_sig"):
        sound, lens = getattr(batch, key)
        missing = -sound.shape[1] % multiple
        longer = torch.nn.functional.pad(sound, (0, missing))
        setattr(batch, key, PaddedData(longer, lens * (sound.shape[1] / longer.shape[1])))
    return batch


class NoUtterance:
    """A batch of which nothing is left."""

    id = ()

    def __len__(self):
        return 0

    def pin_memory(self):
        return self


def collate(items, multiple=1):
    """Items of the dataset -> padded batch of the good ones, with the list ``problems`` of the others.

    Sounds are padded to a multiple of ``multiple`` samples: shapes that come again find their kernels ready.
    """
    found = [problem_of(item) for item in items]
    good = [item for item, problem in zip(items, found) if problem is None]
    batch = padded_to(PaddedBatch(good), multiple) if good else NoUtterance()
    batch.problems = [problem for problem in found if problem]
    return batch


class BadUtterances:
    """What to do about them: ``error`` stops the run, ``skip`` leaves them out and counts."""

    def __init__(self, action):
        self.action = action
        self._known = set()

    def meet(self, problems, may_be_empty=True):
        """Stop, or tell each problem once; returns their number."""
        if problems and (self.action == "error" or not may_be_empty):
            raise RecipeError(
                f"{len(problems)} utterance(s) of a batch cannot be used:\n{listed(problems)}\nMend or remove them, or leave "
                "such ones out with --on_bad_utterance=skip (several processes: a batch of nothing else stops all the same)."
            )
        for problem in problems:
            if problem not in self._known:
                logger.warning("Left out: %s", problem)
        self._known.update(problems)
        return len(problems)
