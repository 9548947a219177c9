"""Spawned processes that start quickly; imports no NumPy, as each of them loads this first."""

import sys
from multiprocessing.context import SpawnProcess
from types import ModuleType


class LeanProcess(SpawnProcess):
    """A spawned process that does not import the main script, and with it torch."""

    def start(self):
        main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
        try:
            super().start()
        finally:
            sys.modules["__main__"] = main
