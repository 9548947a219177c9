"""Leave a run in good order when it is asked to stop: SIGTERM (as batch systems send) and Ctrl-C."""

import logging
import os
import signal
from contextlib import contextmanager

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(BaseException):
    """The run was asked to stop. Like KeyboardInterrupt it is no Exception: nobody may take it for a failure."""

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number  # as a shell reports it


class Stopper:
    """Turns a signal into ``Stopped``: at once, or where the work that may not be cut in two ends.

    A second signal is never put off.
    """

    def __init__(self):
        self.requested = None
        self._held, self._owner = 0, os.getpid()

    @contextmanager
    def installed(self):
        """Catch the signals inside the block."""
        before = {number: signal.signal(number, self._receive) for number in SIGNALS}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def held(self):
        """Put a signal off: inside the block it is noted, and whoever works there asks ``leave_if_asked``."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    def leave_if_asked(self):
        """Raise ``Stopped`` if a signal came."""
        if self.requested is not None:
            raise Stopped(self.requested)

    def _receive(self, number, _frame):
        if os.getpid() != self._owner:  # a forked data worker: torch expects this of it
            raise KeyboardInterrupt
        again, self.requested = self.requested is not None, number
        if again or not self._held:
            raise Stopped(number)
        logger.warning(
            "%s: stopping after this step; once more to stop at once", signal.Signals(number).name
        )
