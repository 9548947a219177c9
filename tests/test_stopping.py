"""Signals: at once, or where the work that may not be cut in two ends."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from tiny import ROOT, home

from training.stopping import Stopped, Stopper


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_at_once(number, code):
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as stopped, Stopper().installed():
        os.kill(os.getpid(), number)
        time.sleep(1)
    assert stopped.value.exit_code == code
    assert signal.getsignal(number) is before


def test_put_off_and_a_second_one_not():
    stopper = Stopper()
    with stopper.installed():
        with stopper.held():
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped):
            stopper.leave_if_asked()
        with pytest.raises(Stopped), stopper.held():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)


def test_no_worker_outlives_a_synthesis_that_is_stopped(tmp_path):
    here = os.getcwd()
    home(tmp_path)
    os.chdir(here)
    command = [
        sys.executable,
        str(ROOT / "train.py"),
        "hparams/pretrain_perceptual.yaml",
        "--noprogressbar",
    ]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while not list(tmp_path.glob("mini_corpus/*/*.wav")):  # in the middle of the synthesis
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    begin = time.monotonic()
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 143 and "stopped by SIGTERM" in told and "Traceback" not in told
    assert children and not psutil.wait_procs(children, timeout=10)[1]
    assert time.monotonic() - begin < 30  # s
