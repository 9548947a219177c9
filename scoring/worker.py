"""A scoring process: receives pairs of signals, answers scores; imports only what its metrics need.

Started as ``python -m scoring.worker DESCRIPTOR`` and not by multiprocessing's spawn, which would import the main
script, and with it torch, in every worker. It ends when the other side of the connection closes, however that died.
"""

import math
import signal
import sys
from multiprocessing.connection import Connection

from scoring.denormals import flush_denormals
from scoring.quality import NotScored

# What arithmetic on odd signals raises. Other errors are programming errors: they end the worker with a traceback.
NUMERICAL_ERRORS = (ArithmeticError, IndexError, RuntimeError, ValueError)


def score(metrics, predicted, target):
    """Return ``(scores, reasons)``: name -> float or None, and name -> why it is None."""
    scores, reasons = {}, {}
    for name, metric in metrics.items():
        scores[name] = None
        try:
            value = float(metric(predicted, target))
        except NotScored as refusal:
            reasons[name] = str(refusal)
        except NUMERICAL_ERRORS as error:
            reasons[name] = f"{type(error).__name__}: {error}"
        else:
            if math.isfinite(value):
                scores[name] = value
            else:
                reasons[name] = f"score is {value}"
    return scores, reasons


def serve(connection):
    """Answer pairs of signals until the connection closes."""
    sys.path[:] = (
        connection.recv()
    )  # before the metrics: they are unpickled by importing their modules
    metrics = connection.recv()
    flush_denormals()  # behind the imports: NumPy warns of it
    connection.send((True, None))
    while True:
        try:
            predicted, target = connection.recv()
        except EOFError:
            return
        connection.send(score(metrics, predicted, target))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's to handle
    try:
        serve(Connection(int(sys.argv[1])))
    except (EOFError, ConnectionError):
        sys.exit("scoring worker: the main process went away")
