"""A full disk: what was saved stays whole, and the error says how much room is missing."""

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from errors import RecipeError
from training.checkpoints import WholeCheckpointer, damage, save_whole
from training.disk_space import explain_full_disk, size_of

ROOT = Path(__file__).parent.parent
ON_A_SMALL_DISK = """
import sys
from pathlib import Path
import numpy
import torch
sys.path.insert(0, sys.argv[1])
from corpus.audio import write
from errors import RecipeError
from training.checkpoints import WholeCheckpointer, damage, save_whole
disk = Path(sys.argv[2])
module = torch.nn.Linear(500, 500)  # 1 MB
saver = WholeCheckpointer(disk / "save", {"module": module})
def attempt(work, *args):
    try:
        work(*args)
        print("done")
    except (RecipeError, OSError) as error:
        print(type(error).__name__, str(error).replace(chr(10), " "))
attempt(saver.save_checkpoint)
attempt(saver.save_checkpoint)
attempt(saver.save_checkpoint)
attempt(save_whole, module.state_dict(), disk / "module.ckpt")
attempt(write, disk / "a.wav", numpy.zeros(2 * 16000 * 30), 16000)
print(sorted(p.name[:4] for p in [*(disk / "save").iterdir(), *disk.glob("*.*")]))
print([damage(folder) for folder in (disk / "save").iterdir()])
"""


def test_a_file_system_that_fills_up(tmp_path):
    mount = f"mount -t tmpfs -o size=2500k tmpfs {tmp_path} && exec {sys.executable} -c '{ON_A_SMALL_DISK}' {ROOT} {tmp_path}"
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"]).returncode:
        pytest.skip("no file system can be mounted here")
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount], capture_output=True, text=True, timeout=120
    )
    lines = done.stdout.splitlines()
    assert lines[:2] == ["done", "done"], done.stderr
    assert all(
        line.startswith("RecipeError") and "no room on the disk to save 1.0 MB" in line
        for line in lines[2:4]
    )
    assert all("MB are missing" in line and "0.0 MB are missing" not in line for line in lines[2:4])
    assert lines[4].startswith("OSError") and "No space left" in lines[4]
    assert lines[5] == "['CKPT', 'CKPT']" and lines[6] == "[None, None]"


def test_a_write_that_fails_inside_a_save_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    saver = WholeCheckpointer(tmp_path, {"module": torch.nn.Linear(2, 2)})
    good = saver.save_checkpoint()

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(RecipeError, match="no room on the disk"):
        saver.save_checkpoint()
    with pytest.raises(RecipeError, match="no room on the disk"):
        save_whole({}, tmp_path / "module.ckpt")
    assert [folder.name for folder in tmp_path.iterdir()] == [good.path.name] and damage(
        good.path
    ) is None


def test_other_failures_are_not_taken_for_a_full_disk(tmp_path):
    with (
        pytest.raises(RuntimeError, match="something else"),
        explain_full_disk(tmp_path, lambda: 1),
    ):
        raise RuntimeError("something else")
    with pytest.raises(PermissionError), explain_full_disk(tmp_path, lambda: 1):
        raise PermissionError(errno.EACCES, "no")


def test_size_counts_all_tensors_of_states():
    module = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    assert size_of([module]) == 32 and size_of([module, optimizer, "text"]) == 32 + 64 + 8
