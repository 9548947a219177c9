"""The main process's side of one scoring process."""

import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path

from errors import RecipeError

ROOT = Path(__file__).resolve().parent.parent
START_LIMIT = 120.0  # s; a cold disk may be slow, but a start must not hang
ONE_THREAD = dict.fromkeys(
    ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"], "1"
)


class ScoringProcess:
    """One process that scores one utterance at a time, and is killed when it takes too long.

    ``metrics``: name -> function of an importable module; ``timeout``: s an utterance.
    """

    def __init__(self, metrics, timeout):
        self.metrics = metrics
        self.timeout = timeout
        self.expired = False
        self._ready = False
        self._connection, theirs = multiprocessing.Pipe()
        self._process = start(theirs.fileno())
        theirs.close()

    @property
    def usable(self):
        return not self.expired and self._process.poll() is None

    def score(self, predicted, target):
        """Return ``(scores, reasons)`` of the worker, or ``(None, reason)`` if it died or took too long.

        The first call waits for the process to start, and raises ``RecipeError`` if it does not.
        """
        if not self._ready:
            self._ready, reason = self._ask(START_LIMIT, sys.path, self.metrics)
            if not self._ready:
                raise RecipeError(
                    f"A scoring process did not start: {reason}. What it printed above says why."
                )
        return self._ask(self.timeout, (predicted, target))

    def close(self):
        """End the process at once; safe to call twice and from another thread than the one in ``score``."""
        self._process.kill()
        self._process.wait()

    def _ask(self, limit, *messages):
        # Sending can block as well as receiving, so a timer kills the process, which ends either with an error.
        watchdog = threading.Timer(limit, self._expire)
        watchdog.daemon = True
        watchdog.start()
        try:
            for message in messages:
                self._connection.send(message)
            return self._connection.recv()
        except (EOFError, OSError):
            self.close()
            return (
                None,
                f"took more than {limit:g} s"
                if self.expired
                else f"scoring process died ({self._end()})",
            )
        finally:
            watchdog.cancel()

    def _expire(self):
        self.expired = True
        self._process.kill()

    def _end(self):
        code = self._process.returncode
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def start(descriptor):
    """Start a worker that inherits only its end of the pipe, with one thread for each numerical library."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-m", "scoring.worker", str(descriptor)],
        env={**os.environ, **ONE_THREAD, "PYTHONPATH": paths},
        pass_fds=[descriptor],
        stdin=subprocess.DEVNULL,
    )
