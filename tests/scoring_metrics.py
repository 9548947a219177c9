"""Ways to score that misbehave, for the pool's tests; a module, as scoring processes import it."""

import os
import signal
import sys
import time

MARK = 7.0  # first sample of the utterance that breaks


def process(names, predicted, target):
    """What is known of the process instead of scores."""
    loaded = {"torch": "torch" in sys.modules, "threads": os.environ["OMP_NUM_THREADS"]}
    return {"pid": os.getpid(), **loaded, "peak": abs(predicted).max()}, {}


def killed_by_mark(names, predicted, target):
    if predicted[0] == MARK:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"si_sdr": 1.0}, {}


def hanging_on_mark(names, predicted, target):
    if predicted[0] == MARK:
        time.sleep(600)
    return {"si_sdr": 1.0}, {}


def slow(names, predicted, target):
    time.sleep(0.2)
    return {"si_sdr": 1.0}, {}


def failing(names, predicted, target):
    raise KeyError("a mistake of the programmer")
