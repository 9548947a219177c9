"""One run in a folder at a time, and no lock outlives its process."""

import subprocess
import sys

import pytest

from errors import RecipeError
from training.locking import only_run_in

HOLD = "import sys, time; sys.path[:0] = {path!r}\nfrom training.locking import only_run_in\nwith only_run_in({folder!r}): print('held', flush=True); time.sleep(60)"


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder."""
    code = HOLD.format(path=sys.path, folder=str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_the_second_run_is_refused_and_told_who_is_there(tmp_path, holder):
    with pytest.raises(RecipeError, match=f"process {holder.pid}, host .*--output_folder"):
        with only_run_in(tmp_path, patience=0.2):
            pytest.fail("two runs in one folder")


def test_the_lock_of_a_killed_run_is_not_in_the_way(tmp_path, holder):
    holder.kill()
    holder.wait()
    with only_run_in(tmp_path, patience=0):
        assert (tmp_path / "running.json").exists()
    assert not (tmp_path / "running.json").exists()


def test_a_run_that_ends_soon_is_waited_for(tmp_path, holder):
    killer = subprocess.Popen(
        [sys.executable, "-c", f"import os, time; time.sleep(0.5); os.kill({holder.pid}, 9)"]
    )
    with only_run_in(tmp_path, patience=10):
        killer.wait()
