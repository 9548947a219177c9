"""Scores utterances in processes of their own while the model goes on working."""

import os
import pickle
import queue
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np

from errors import RecipeError
from scoring.process import ScoringProcess
from scoring.quality import METRICS

MOST_JOBS = 16  # more would finish no sooner: the model is the slower side


class MetricPool:
    """A persistent pool of scoring processes, started when first used.

    Arguments
    ---------
    metrics : a list of names out of ``scoring.quality.METRICS``, or a mapping name -> function
        Functions ``(predicted, target) -> float`` of an importable module; they raise ``NotScored`` to refuse.
    jobs : processes at most; by default the usable cores, shared among the ranks of this machine.
    timeout : s an utterance may take. A worker that dies or takes longer costs its utterance alone: that gets None and
        the reason, is not tried again, and a fresh worker takes the next one.

    Use it as a context manager, or call ``close``; what was forgotten is closed when the interpreter ends.
    """

    def __init__(self, metrics=tuple(METRICS), jobs=None, timeout=60.0):
        self.metrics = as_functions(metrics)
        self.timeout = timeout
        self.jobs = jobs or default_jobs()
        if self.jobs < 1:
            raise RecipeError(
                f"jobs is {jobs}: scoring needs 1 process or more, or null for a good default."
            )
        self._idle = queue.SimpleQueue()
        self._workers = set()
        self._closing = threading.Event()
        self._submitted = []
        # Each thread only waits for one process; the executor keeps the queue and the order.
        self._threads = ThreadPoolExecutor(self.jobs, thread_name_prefix="scoring")
        self._finalizer = weakref.finalize(
            self, shut_down, self._closing, self._threads, self._workers, os.getpid()
        )

    def submit(self, utt_id, predicted, target, extra=None):
        """Queue one utterance and return at once.

        ``predicted``, ``target``: [samples] each, copied; ``extra``: what else shall stand in its record, such as the
        speaker.
        """
        clash = sorted(set(extra or ()) & {*self.metrics, "id", "not_scored"})
        if clash:
            raise RecipeError(
                f"extra of {utt_id} would overwrite {', '.join(clash)}: choose other names."
            )
        signals = np.array(predicted), np.array(target)
        self._submitted.append((utt_id, extra, self._threads.submit(self._score, *signals)))

    def collect(self):
        """Wait for what was submitted since the last call and return its records, in the order of submission.

        A record is ``{"id", metric: float or None, ..., "not_scored": {metric: reason}, **extra}``.
        """
        submitted, self._submitted = self._submitted, []
        return [self._record(utt_id, extra, future.result()) for utt_id, extra, future in submitted]

    def close(self):
        """Drop what waits and end all processes. Idempotent."""
        self._finalizer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _record(self, utt_id, extra, outcome):
        scores, reasons = outcome
        if scores is None:  # no worker came back: one reason for every metric
            scores, reasons = dict.fromkeys(self.metrics), dict.fromkeys(self.metrics, reasons)
        return {"id": utt_id, **scores, "not_scored": reasons, **(extra or {})}

    def _score(self, predicted, target):
        worker = self._usable_worker()
        outcome = worker.score(predicted, target)
        self._idle.put(worker)
        return outcome

    def _usable_worker(self):
        """Return an idle worker, or a new one if none is idle: there are never more than threads."""
        while not self._idle.empty():
            try:
                worker = self._idle.get_nowait()
            except queue.Empty:  # another thread was quicker
                break
            if worker.usable:
                return worker
            worker.close()
            self._workers.discard(worker)
        worker = ScoringProcess(self.metrics, self.timeout)
        self._workers.add(worker)
        if (
            self._closing.is_set()
        ):  # after adding: either this or shut_down ends a worker that starts meanwhile
            worker.close()
        return worker


def shut_down(closing, threads, workers, owner):
    """End threads and workers; in a forked copy of the process they are not ours to end."""
    if os.getpid() != owner:
        return
    closing.set()
    threads.shutdown(wait=False, cancel_futures=True)
    for worker in tuple(workers):
        worker.close()
    threads.shutdown(wait=True)


def default_jobs():
    """Return this rank's share of the usable cores (cgroup limits count), at least 1."""
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return max(1, min(MOST_JOBS, joblib.cpu_count() // ranks))


def as_functions(metrics):
    """Return name -> function for names or a mapping; checks here what would fail in every worker."""
    if not isinstance(metrics, dict):
        unknown = [name for name in metrics if name not in METRICS]
        if unknown:
            raise RecipeError(
                f"Unknown metrics: {', '.join(unknown)}. Known ones: {', '.join(METRICS)}."
            )
        return {name: METRICS[name] for name in metrics}
    for name, metric in metrics.items():
        check_importable(name, metric)
    return dict(metrics)


def check_importable(name, metric):
    """Raise ``RecipeError`` for a metric that a worker could not import."""
    remedy = "Define it at the top level of a module of its own."
    if getattr(metric, "__module__", None) == "__main__":
        raise RecipeError(
            f"Metric {name} is defined in the main script, which scoring processes do not load. {remedy}"
        )
    try:
        pickle.dumps(metric)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise RecipeError(
            f"Metric {name} cannot be handed to a scoring process ({error}). {remedy}"
        ) from None
