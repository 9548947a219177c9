"""Metrics that misbehave, for the pool's tests; a module, because scoring processes import them."""

import os
import signal
import sys
import time


def peak(predicted, target):
    return abs(predicted).max()


def killed_by_marker(predicted, target):
    if predicted[0] == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return 1.0


def hanging_on_marker(predicted, target):
    if predicted[0] == 7:
        time.sleep(600)
    return 1.0


def failing(predicted, target):
    return 1 / 0


def infinite(predicted, target):
    return float("inf")


def process_id(predicted, target):
    return os.getpid()


def has_torch(predicted, target):
    return "torch" in sys.modules


def smallest(predicted, target):
    return float(predicted[0] * predicted[0])


def slow(predicted, target):
    time.sleep(0.2)
    return 1.0
