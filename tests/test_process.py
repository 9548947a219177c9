"""What a process sets once for speed. Each case is a process of its own, for what is set stays."""

import os
import platform
import subprocess
import sys

import pytest

COUNT = """
import resource, torch
from training.process import keep_memory
assert keep_memory() is {kept}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(1000, 10000).add(1)
before = faults()
for _ in range(10):
    torch.ones(1000, 10000).add(1)
print(faults() - before)
"""


def page_faults(kept, **environment):
    """Pages that the system had to give for ten sums of 40 MB."""
    outer = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MALLOC_", "GLIBC_", "LD_PRELOAD"))
    }
    code = COUNT.format(kept=kept)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**outer, **environment}
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that gives memory back")
def test_memory_is_kept_for_the_next_tensors_unless_the_environment_tunes_it():
    asked_anew = page_faults(False, MALLOC_TRIM_THRESHOLD_="131072")
    assert asked_anew > 10 * 40e6 / os.sysconf("SC_PAGE_SIZE") / 2
    assert page_faults(True) < asked_anew / 20
