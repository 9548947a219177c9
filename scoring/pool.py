"""Scores utterances in processes of their own while the networks compute."""

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType

import joblib
import numpy as np
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from errors import RecipeError
from scoring import quality
from scoring.metrics import scores_of
from scoring.worker import use_one_thread

MOST_JOBS = 16  # more would finish no sooner: the networks are the slower side


class LeanProcess(SpawnProcess):
    """A spawned process that does not import the main script, and with it torch."""

    def start(self):
        main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
        try:
            super().start()
        finally:
            sys.modules["__main__"] = main


class LeanContext(SpawnContext):
    """multiprocessing's spawn with LeanProcess."""

    Process = LeanProcess


class MetricPool:
    """A persistent pool of scoring processes, started when first used; a context manager.

    An utterance whose process dies or takes longer than ``timeout`` (s) is not scored; the others
    are. ``metrics``: names out of ``scoring.metrics`` that read the signal. ``jobs``: processes;
    by default the free cores. ``score``: as ``quality.score``.
    """

    def __init__(
        self,
        metrics: Sequence[str] = (),
        jobs: int | None = None,
        timeout: float = 60.0,
        score: Callable = quality.score,
    ):
        self.metrics, self.jobs = scores_of(metrics), free_cores() if jobs is None else jobs
        self.timeout, self.score = timeout, score
        if self.jobs < 1:
            raise RecipeError(f"jobs is {jobs}: scoring needs at least 1 process.")
        self._pool, self._submitted = None, []

    def submit(self, utt_id: str, predicted: np.ndarray, target: np.ndarray) -> None:
        """Queue copies of one utterance's signals [samples] at 16 kHz and return at once."""
        if self._pool is None or not self._pool.active:
            self.close()
            self._pool = ProcessPool(self.jobs, 0, use_one_thread, context=LeanContext())
        arguments = self.metrics, np.array(predicted), np.array(target)
        future = self._pool.schedule(self.score, arguments, timeout=self.timeout)
        self._submitted.append((utt_id, self.metrics, future))

    def collect(self) -> list[dict]:
        """Wait for what was submitted since the last call; its records in the same order.

        A record is ``{"id", score: float or None, ..., "not_scored": {score: reason}}``.
        """
        submitted, self._submitted = self._submitted, []
        return [self._record(*utterance) for utterance in submitted]

    def _record(self, utt_id: str, metrics: list[str], future: ProcessFuture) -> dict:
        try:
            scores, reasons = future.result()
        except TimeoutError:
            scores, reasons = None, f"took more than {self.timeout:g} s"
        except ProcessExpired as death:
            scores, reasons = None, f"scoring process died (exit code {death.exitcode})"
        except BrokenProcessPool:
            raise RecipeError(
                "The scoring processes do not run. What they printed above says why."
            ) from None
        if scores is None:
            scores, reasons = dict.fromkeys(metrics), dict.fromkeys(metrics, reasons)
        return {"id": utt_id, **scores, "not_scored": reasons}

    def close(self) -> None:
        """Drop what waits and end all processes."""
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
            self._pool = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def free_cores() -> int:
    """This rank's share of the usable cores without the one that the networks use; 1 to 16."""
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return max(1, min(MOST_JOBS, joblib.cpu_count() // ranks - 1))
