"""Leave a run in good order on SIGTERM, as batch systems send it, and on Ctrl-C."""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from scoring.scores import gather

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(BaseException):
    """The run was asked to stop. Like KeyboardInterrupt it is no Exception."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number  # as a shell reports it


class Stopper:
    """Turns a signal into ``Stopped``: at once, or in a training at the end of a step.

    A second signal is never put off.
    """

    def __init__(self):
        self.requested = 0  # the signal's number
        self._held, self._owner = False, os.getpid()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Catch the signals inside the block."""
        before = {number: signal.signal(number, self._receive) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Put a signal off: who works inside the block calls ``leave_if_asked``."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def leave_if_asked(self) -> None:
        """Raise ``Stopped`` if a signal came."""
        if self.requested:
            raise Stopped(self.requested)

    def asked_on_any_rank(self) -> bool:
        """Whether a signal came to any rank; all ranks call it at the same step."""
        self.requested = max(gather([self.requested]))
        return bool(self.requested)

    def _receive(self, number, _frame):
        if os.getpid() != self._owner:  # a forked data worker: torch expects this of it
            raise KeyboardInterrupt
        again, self.requested = bool(self.requested), number
        if again or not self._held:
            raise Stopped(number)
        logger.warning("%s: stopping after this step; once more to stop at once", Stopped(number))
