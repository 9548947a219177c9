"""A run's process, forked from one that has imported what training needs: it begins at once."""

import atexit
import multiprocessing
import os
import runpy
import signal
import sys
import threading
import time
from multiprocessing import forkserver
from multiprocessing.reduction import DupFd

import torch

from results_table.runs import ROOT

TRAIN = ROOT / "train.py"
LOADED = ["train", "torch._dynamo"]  # torch loads the latter with the first optimizer
FORKING = multiprocessing.get_context("forkserver")


class Child:
    """``python train.py`` for a run, in a process group of its own, its output in ``output.txt`` of the run's folder.

    Arguments
    ---------
    run : Run
    minutes_before : float
        Wall clock of earlier starts.
    threads : int
        Of its computations, where the user has not set ``OMP_NUM_THREADS``.
    lock : tuple of int
        Descriptors that the process holds open.
    """

    def __init__(self, run, minutes_before, threads, lock=()):
        self.output = run.folder / "output.txt"
        self.output.touch()
        self.before, self.began = minutes_before, time.monotonic()
        command = [str(TRAIN), *run.arguments, "--noprogressbar"]
        start_server()
        self.process = FORKING.Process(
            target=work, args=(command, str(self.output), dict(os.environ), threads, Held(lock))
        )
        self.process.start()

    @property
    def minutes(self):
        """Wall clock so far, that of earlier starts with it."""
        return self.before + (time.monotonic() - self.began) / 60

    def poll(self):
        """Exit code, or None while it runs."""
        return self.process.exitcode

    def signal(self, number):
        """Send a signal to the process and to its own children."""
        for send in (os.killpg, os.kill):  # it has no group in its first moment
            try:
                return send(self.process.pid, number)
            except ProcessLookupError:
                continue

    def end(self, patience):
        """Wait for the end, for at most ``patience`` seconds; then kill."""
        self.process.join(patience)
        if self.poll() is None:
            self.signal(signal.SIGKILL)
            self.process.join()


class Held:
    """Descriptors that come open to the process that is handed this object."""

    def __init__(self, descriptors):
        self.descriptors = descriptors

    def __getstate__(self):
        return [DupFd(descriptor) for descriptor in self.descriptors]

    def __setstate__(self, sent):
        self.descriptors = [descriptor.detach() for descriptor in sent]


def start_server():
    """Start the process that the children are forked from, once. It loads nothing where a fork would not be safe."""
    safe = (
        sys.platform == "linux" and not torch.cuda.is_available()
    )  # drivers of GPUs, macOS's libraries: not across a fork
    FORKING.set_forkserver_preload(LOADED if safe else [])
    here = os.getcwd()
    os.chdir(ROOT)  # where it finds the modules
    try:
        forkserver.ensure_running()
    finally:
        os.chdir(here)


def work(command, output, environment, threads, held):
    """In the child: the command as if it had been typed."""
    os.setsid()
    os.chdir(ROOT)
    with open(output, "a", encoding="utf-8") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    if "OMP_NUM_THREADS" not in environment:
        torch.set_num_threads(threads)  # which has read its environment when it was loaded
    os.environ.update({"OMP_NUM_THREADS": str(threads), **environment})
    sys.argv = command
    try:
        runpy.run_path(command[0], run_name="__main__")
    finally:  # as an interpreter ends; multiprocessing leaves it out, and waits minutes for joblib's idle workers
        threading._shutdown()
        atexit._run_exitfuncs()
