"""Scores utterances in processes of their own while the networks compute."""

import os
from collections.abc import Sequence
from concurrent.futures import TimeoutError, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from multiprocessing.context import SpawnContext

import joblib
import numpy as np
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from errors import RecipeError
from scoring import quality
from scoring.lean_process import LeanProcess
from scoring.metrics import scores_of

POLL = 1.0  # s


class MetricPool(AbstractContextManager):
    """A persistent pool of scoring processes, started when first used; ended at ``with``'s end.

    An utterance whose process dies or takes longer than ``timeout`` (s) is not scored; the others
    are. ``metrics``: names out of ``metrics.QUALITY``.
    """

    def __init__(self, metrics: Sequence[str] = (), jobs: int | None = None, timeout: float = 60.0):
        self.metrics, self.timeout, self.score = scores_of(metrics), timeout, quality.score
        self.jobs = free_cores() if jobs is None else jobs
        if self.jobs < 1:
            raise RecipeError(f"jobs is {jobs}: scoring needs at least 1 process.")
        self._pool, self._submitted = None, []

    def submit(self, utt_id: str, predicted: np.ndarray, target: np.ndarray) -> None:
        """Queue copies of one utterance's signals [samples] at 16 kHz and return at once."""
        if self._pool is None or not self._pool.active:
            self.close()
            context, threads = SpawnContext(), ("OMP_NUM_THREADS", "1")
            context.Process = LeanProcess
            self._pool = ProcessPool(self.jobs, 0, os.putenv, threads, context)
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
            while not wait([future], POLL).done:
                if not self._pool.active:  # its managers ended; nobody would answer
                    raise BrokenProcessPool
            scores, reasons = future.result()
            return {"id": utt_id, **scores, "not_scored": reasons}
        except TimeoutError:
            reason = f"took more than {self.timeout:g} s"
        except ProcessExpired as death:
            reason = f"scoring process died (exit code {death.exitcode})"
        except BrokenProcessPool:
            raise RecipeError("No scoring process runs. What it printed says why.") from None
        nothing, reasons = dict.fromkeys(metrics), dict.fromkeys(metrics, reason)
        return {"id": utt_id, **nothing, "not_scored": reasons}

    def close(self) -> None:
        """Drop what waits and end all processes."""
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
            self._pool = None

    def __exit__(self, *_):
        self.close()


def free_cores() -> int:
    """This rank's share of the usable cores without the one of the networks; 1 to 16."""
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return max(1, min(16, joblib.cpu_count() // ranks - 1))
